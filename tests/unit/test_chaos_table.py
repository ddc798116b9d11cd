"""The table of docs/delivery.md says what was run, and what was not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.chaos import table
from tests.chaos.options import Options
from tests.chaos.table import BEGIN, END, Results, Row
from tests.support.worker import ROOT


def row(options: Options, **more: Any) -> Row:
    head = {"broker": options.broker, "delivery": options.delivery, "timestamps": options.timestamps}
    return {**head, "command": options.command, **more}


def finished(options: Options) -> Row:
    counts = dict.fromkeys(table.COUNTS, 12_345)
    return row(
        options,
        **counts,
        faults={"kill": 3, "freeze": 2},
        repeated_keys={"freeze": 7},
        seconds=61.2,
        violations=["x"],
        commit="0123456789",
    )


def test_a_combination_that_was_not_run_is_marked_and_has_no_figures() -> None:
    first, second, *_ = table.combinations(5, 7)
    text = table.markdown([finished(first), row(second, not_run="no Java")], 5, 7)
    lines = [line for line in text.splitlines() if line.startswith("| pocket")]
    assert [line.count("|") for line in lines[:2]] == [text.splitlines()[2].count("|")] * 2
    assert "| pocket | idempotent | LogAppendTime | 5 | 12,345 |" in lines[0]
    assert lines[0].endswith("| freeze: 7 | 61 | 0123456 | 1 |")
    assert "not run: no Java" in lines[1]
    assert not any(character.isdigit() for character in lines[1])
    assert lines[2].endswith("| 3 | 2 |")


def test_there_is_a_row_for_each_broker_delivery_and_timestamp_type() -> None:
    rows = [(options.broker, options.delivery, options.timestamps) for options in table.combinations(5, 7)]
    assert len(rows) == len(set(rows)) == 12


def test_only_what_is_between_the_markers_is_replaced(tmp_path: Path) -> None:
    file = tmp_path / "page.md"
    file.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    table.write(file, "new")
    assert file.read_text() == f"before\n{BEGIN}\nnew\n{END}\nafter\n"
    file.write_text("no markers")
    with pytest.raises(ValueError, match="it must contain"):
        table.write(file, "new")
    assert file.read_text() == "no markers"


def test_the_page_has_the_markers(tmp_path: Path) -> None:
    copy = tmp_path / "delivery.md"
    copy.write_text((ROOT / "docs" / "delivery.md").read_text())
    table.write(copy, "new")


def test_finished_rows_are_taken_from_the_same_commit_only_unless_any_will_do(tmp_path: Path) -> None:
    file, options = tmp_path / "results.jsonl", next(iter(table.combinations(5, 7)))
    added = Results(file, any_commit=False).add({**finished(options), "commit": "to be replaced"})
    found = Results(file, any_commit=False).find(options)
    assert found == added
    assert found["faults"] == {"kill": 3, "freeze": 2}
    assert Results(file, any_commit=False).find(next(iter(table.combinations(6, 7)))) is None
    older = {**found, "commit": "another", "seconds": 1.0}
    file.write_text(json.dumps(older) + "\n")
    assert Results(file, any_commit=False).find(options) is None
    assert Results(file, any_commit=True).find(options) == older
    Results(file, any_commit=True).add(finished(options))
    assert Results(file, any_commit=True).find(options) == added, "the newest of each"
