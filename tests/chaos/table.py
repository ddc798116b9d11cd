"""`python -m tests.chaos table`: the same faults on each broker, in each delivery mode, with both timestamp types, as a table.

A combination that could not be run is marked so. With `--results FILE` a finished combination is written to FILE, and one that
FILE has from the same commit and with the same options is not run again: a table of hours can be made in parts. Each row names
the commit that was run. With `--any-commit` rows of other commits are taken, too, the newest of each combination.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from tests.chaos import report
from tests.chaos.kinds import Kind
from tests.chaos.options import OWN_BROKERS, Options
from tests.chaos.run import run
from tests.support.kafka_node import KafkaUnavailableError
from tests.support.worker import ROOT

BROKERS = {"pocket": "pocket", "kafka": "one Kafka", "cluster": "three Kafkas"}
DELIVERIES = ("idempotent", "transactional")
TIMESTAMPS = {"append": "LogAppendTime", "create": "CreateTime"}
BEGIN, END = "<!-- chaos table: begin -->", "<!-- chaos table: end -->"
COUNTS = ("records", "binned", "late", "rejected", "heartbeats", "windows", "closed_by_idling", "keys_of_two_partitions")

Row = dict[str, Any]  # the summary of a run; `not_run`: the reason why there is none


def main(words: list[str]) -> int:
    """Run what is to be run, print the table, write it; returns 1 where a run found a violation, else 0."""
    given = _parser().parse_args(words)
    results = Results(given.results, any_commit=given.any_commit)
    rows = []
    for options in combinations(given.faults, given.seed):
        wanted = options.broker in given.brokers and options.timestamps in given.timestamps
        rows.append(results.find(options) or (_row(options, results) if wanted else _not_run(options, "it was left out")))
        if given.write is not None:
            write(given.write, markdown(rows, given.faults, given.seed))
    print(markdown(rows, given.faults, given.seed))  # noqa: T201  # this is a command
    return int(any(row.get("violations") for row in rows))


def combinations(faults: int, seed: int) -> Iterator[Options]:
    """One run for each row of the table."""
    for broker in BROKERS:
        for delivery in DELIVERIES:
            for timestamps in TIMESTAMPS:
                yield Options(faults, seed, broker, delivery, timestamps=timestamps)


class Results:
    """The rows of earlier runs, of this commit or of any, in a file of JSON lines."""

    def __init__(self, file: Path | None, *, any_commit: bool) -> None:
        self._file = file
        self._commit = _commit()
        lines = file.read_text().splitlines() if file is not None and file.exists() else []
        self._rows = [row for row in map(json.loads, lines) if any_commit or row["commit"] == self._commit]

    def find(self, options: Options) -> Row | None:
        """The row of the last earlier run with the same options."""
        return next((row for row in reversed(self._rows) if row["command"] == options.command), None)

    def add(self, row: Row) -> Row:
        """Keep a row; returns it with the commit."""
        kept = {**row, "commit": self._commit}
        if self._file is not None:
            with self._file.open("a") as file:
                file.write(json.dumps(kept) + "\n")
        return kept


def _commit() -> str:
    """The commit, and a digest of what has been changed since."""
    head, changed = (
        subprocess.run(["git", *words], cwd=ROOT, capture_output=True, check=False).stdout
        for words in (["rev-parse", "HEAD"], ["diff", "HEAD", "--", "*.py"])
    )
    return head.decode().strip() + (f"+{hashlib.sha256(changed).hexdigest()[:12]}" if changed else "")


def _row(options: Options, results: Results) -> Row:
    if options.broker not in OWN_BROKERS:
        return _not_run(options, f"there is no broker `{options.broker}`")
    _say(options.command)
    try:
        outcome = run(options, _say)
    except KafkaUnavailableError as error:
        return _not_run(options, str(error))
    row = results.add(report.summary(outcome))
    for violation in row["violations"]:
        _say(f"VIOLATION {violation}")
    return row


def _not_run(options: Options, reason: str) -> Row:
    _say(f"not run: {options.command}: {reason}")
    return {"broker": options.broker, "delivery": options.delivery, "timestamps": options.timestamps, "not_run": reason}


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)  # noqa: T201  # this is a command


def markdown(rows: Iterable[Row], faults: int, seed: int) -> str:
    """Two tables: what was read and published, and how many faults of each kind there were."""
    rows, kinds = list(rows), [kind for kind in Kind if any(kind in row.get("faults", ()) for row in rows)]
    names = [name.replace("_", " ") for name in COUNTS]
    counts = [("faults", *names, "repeated, equal value", "seconds", "commit", "violations"), *map(_counts, rows)]
    faulty = [tuple(map(str, kinds)), *(tuple(str(row.get("faults", {}).get(kind, "")) for kind in kinds) for row in rows)]
    heads = [("broker", "delivery", "timestamps"), *map(_head, rows)]
    return "\n".join(
        [
            f"`python -m tests.chaos table --faults {faults} --seed {seed} --write docs/delivery.md`, {os.cpu_count()} cores:",
            "",
            *_table(heads, counts),
            "",
            "Faults by kind:",
            "",
            *_table(heads, faulty),
        ]
    )


def _head(row: Row) -> tuple[str, ...]:
    return BROKERS[row["broker"]], row["delivery"], TIMESTAMPS[row["timestamps"]]


def _counts(row: Row) -> tuple[str, ...]:
    if "not_run" in row:
        return f"not run: {row['not_run']}", *[""] * (len(COUNTS) + 4)
    repeated = ", ".join(f"{kind}: {count}" for kind, count in row["repeated_keys"].items())
    numbers = (f"{row[name]:,}" for name in COUNTS)
    return (
        str(sum(row["faults"].values())),
        *numbers,
        repeated or "0",
        f"{row['seconds']:.0f}",
        _short(row["commit"]),
        str(len(row["violations"])),
    )


def _short(commit: str) -> str:
    return commit[:7] + ("+" if "+" in commit else "")  # with changes that were not committed


def _table(heads: list[tuple[str, ...]], cells: list[tuple[str, ...]]) -> list[str]:
    lines = ["| " + " | ".join((*head, *row)) + " |" for head, row in zip(heads, cells, strict=True)]
    return [lines[0], "|" + "---|" * len(heads[0]) + "---:|" * len(cells[0]), *lines[1:]]


def write(file: Path, text: str) -> None:
    """Replace what is between the markers of a file; raises `ValueError` where it has none."""
    whole = file.read_text()
    if whole.count(BEGIN) != 1 or whole.count(END) != 1 or whole.index(BEGIN) > whole.index(END):
        raise ValueError(f"{file}: it must contain one line {BEGIN} and, below it, one line {END}")
    before, after = whole.split(BEGIN)[0], whole.split(END)[1]
    file.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.chaos table", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--faults", type=int, default=200, metavar="N", help="in each combination (default %(default)s)")
    parser.add_argument("--seed", type=int, default=7, help="seed of the market and of the schedule (default %(default)s)")
    parser.add_argument("--brokers", nargs="+", choices=BROKERS, default=tuple(BROKERS), help="run on these only")
    parser.add_argument("--timestamps", nargs="+", choices=TIMESTAMPS, default=tuple(TIMESTAMPS), help="run with these only")
    parser.add_argument(
        "--results", type=Path, metavar="FILE", help="keep finished combinations, and take those of this commit"
    )
    parser.add_argument("--any-commit", action="store_true", help="take kept combinations of other commits, too")
    parser.add_argument("--write", type=Path, metavar="FILE", help=f"write the table into FILE, between {BEGIN} and {END}")
    return parser
