"""Judging the newest ticks keeps nothing of the bars that they would make."""

from __future__ import annotations

from typing import NamedTuple

import pytest

from app.operations import newest_ticks
from app.settings import Settings
from tables.engine import Engine

START = 1_700_000_040_000


class Row(NamedTuple):
    """A consumer record."""

    partition: int
    offset: int
    timestamp: int
    key: bytes
    value: bytes
    timestamp_type: int = 1
    headers: tuple[()] = ()


def test_bars_that_close_on_the_way_are_freed(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Engine] = []

    def engine(*arguments: object) -> Engine:
        made.append(Engine(*arguments))  # type: ignore[arg-type]  # as given
        return made[-1]

    monkeypatch.setattr(newest_ticks, "Engine", engine)
    settings = Settings.load(late_policy="correct", correction_delay="0ms", frames="2m", empty="flat", empty_frames="base,2m")
    times = [START + 60_000 * number for number in range(20)]
    rows = [Row(0, number, at, b"A|x", b'{"ts":%d,"bid":1}' % at) for number, at in enumerate(times)]
    rows += [Row(0, 20 + number, times[-1], b"A|x", b'{"ts":%d,"bid":1}' % at) for number, at in enumerate(times[-5:-2])]
    rows.append(Row(0, 23, times[-1] + 1_000, b"A|x", b'{"ts":%d,"bid":1}' % times[-1]))
    assert newest_ticks.judge(settings, rows).text.startswith("of the newest 24 ticks")
    assert made[0].counters.corrected
    assert (made[0].take_closed(), made[0].take_after_close()) == ([], [])
