"""`python -m tests.chaos`: inject faults into workers and check the result; exit code 0: correct, 1: violations, 2: usage.

`python -m tests.chaos table` does so on each broker, in each delivery mode, with both timestamp types.
"""

from __future__ import annotations

import argparse
import json
import logging
import signal
import sys
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from tests.chaos import report, table
from tests.chaos.kinds import DEFAULT, DESCRIPTIONS, ON_REQUEST, Kind
from tests.chaos.options import BARS_FORMATS, OWN_BROKERS, SCOPES, Options
from tests.chaos.run import run
from tests.support.kafka_node import KafkaUnavailableError

USAGE = 2


def main() -> int:
    """Parse the arguments, run, print the report; return the exit code."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # cleans up as after Ctrl-C
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # it would log each planned outage of the broker
    if sys.argv[1:2] == ["table"]:
        return table.main(sys.argv[2:])
    parser = _parser()
    given = parser.parse_args()
    options = Options(
        given.faults,
        given.seed,
        given.broker,
        given.delivery,
        given.workers,
        given.timestamps,
        given.kinds,
        None if given.keep is None else given.keep.resolve(),
        given.scope,
        repartition=given.repartition,
        bars_format=given.bars_format,
    )
    if not options.possible:
        parser.error(f"--broker {options.broker}: no fault of {', '.join(sorted(options.kinds))} is possible with it")
    errors = Console(stderr=True)
    columns = (TextColumn("faults"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    try:
        with Progress(*columns, console=errors, disable=not errors.is_terminal) as progress:
            task = progress.add_task("faults", total=options.faults)
            outcome = run(
                options,
                lambda line: errors.print(line, markup=False, highlight=False, soft_wrap=True),
                advance=lambda: progress.advance(task),
            )
    except KafkaUnavailableError as error:
        parser.error(str(error))
    if given.json:
        print(json.dumps(report.summary(outcome), indent=2))  # noqa: T201  # this is a command
    else:
        report.show(outcome, Console())
    return 0 if outcome.correct else 1


def _parser() -> argparse.ArgumentParser:
    faults = "\n".join(
        f"  {kind:12} {description}{' (only by --kinds)' * (kind in ON_REQUEST)}" for kind, description in DESCRIPTIONS.items()
    )
    parser = argparse.ArgumentParser(
        prog="python -m tests.chaos",
        description=__doc__,
        epilog=f"faults:\n{faults}\n\nexample: python -m tests.chaos --faults 50 --seed 7 --broker kafka",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--faults", type=_count, default=20, metavar="N", help="number of faults (default %(default)s)")
    parser.add_argument("--seed", type=int, default=7, help="seed of the market and of the schedule (default %(default)s)")
    parser.add_argument(
        "--broker",
        type=_broker,
        default="pocket",
        help="pocket (default), kafka (one of our own: Docker, or BARWHEEL_KAFKA=maven), cluster (three nodes of Kafka, "
        "BARWHEEL_KAFKA=maven), or host:port, which is not killed",
    )
    parser.add_argument("--delivery", choices=("idempotent", "transactional"), default="idempotent")
    parser.add_argument(
        "--timestamps",
        choices=("append", "create"),
        default="append",
        help="of the input: LogAppendTime (default) or CreateTime",
    )
    parser.add_argument(
        "--repartition", action="store_true", help="the workers copy the market's topic by symbol (repartition=on)"
    )
    parser.add_argument("--scope", choices=SCOPES, default="broker", help="the setting scope (default %(default)s)")
    parser.add_argument("--bars-format", choices=BARS_FORMATS, default="json", help="the setting bars_format (default json)")
    parser.add_argument("--workers", type=_count, default=2, metavar="N", help="workers at the start (default %(default)s)")
    parser.add_argument(
        "--kinds", type=_kinds, default=DEFAULT, help="only these faults, separated by commas; `all`: every one"
    )
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep data and logs in DIR; by default only after a violation")
    return parser


def _count(text: str) -> int:
    if not text.isdigit() or not int(text):
        raise argparse.ArgumentTypeError(f"{text}: must be a number above 0")
    return int(text)


def _broker(text: str) -> str:
    host, _, port = text.removeprefix("kafka://").rpartition(":")
    if text not in OWN_BROKERS and not (host and port.isdigit()):
        raise argparse.ArgumentTypeError(f"{text}: must be pocket, kafka, cluster or host:port")
    return text


def _kinds(text: str) -> frozenset[Kind]:
    if text == "all":
        return frozenset(Kind)
    try:
        return frozenset(Kind(word) for word in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text}: must be among {', '.join(Kind)}") from None


if __name__ == "__main__":
    sys.exit(main())
