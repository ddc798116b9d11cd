"""A trading day of real quotes: longer bars are folds of the vendor's minutes, and late quotes end up in the same bars."""

from __future__ import annotations

import random
from dataclasses import replace
from decimal import Decimal

import pytest

from tables.bars import Bar
from tables.config import EngineConfig
from tables.engine import Engine
from tests.support.vendor import DAYS, Day, Row, missing, rows_of
from tests.unit.model import Wire, take_beyond, take_finals
from tests.unit.test_engine_real_data import bars_of, records

pytestmark = [pytest.mark.skipif(bool(missing()), reason=missing() or "the test data is there"), pytest.mark.slow]
MINUTE = 60_000
FRAMES = {"5m": 5 * MINUTE, "1h": 60 * MINUTE, "1d": 1_440 * MINUTE}
days = pytest.mark.parametrize("day", DAYS, ids=lambda day: day.broker)


def read(log: list[Wire], config: EngineConfig) -> tuple[Engine, list[Bar], list[tuple[str, Bar]], list[tuple[str, Bar]]]:
    """An engine that has read a log and seen a long silence; its finals, longer bars and revisions."""
    engine = Engine(config)
    engine.feed(log)
    engine.advance_arrival(max(wire.timestamp for wire in log) + 100 * 24 * 60 * MINUTE)
    return engine, take_finals(engine), *take_beyond(engine)


def folded(minutes: list[Row], size: int) -> list[Row]:
    """Longer bars, from the vendor's minutes."""
    groups: dict[int, list[Row]] = {}
    for row in minutes:
        groups.setdefault(row[0] - row[0] % size, []).append(row)
    return [
        (start, rows[0][1], max((row[2] for row in rows), key=Decimal), min((row[3] for row in rows), key=Decimal), rows[-1][4])
        for start, rows in groups.items()
    ]


@days
def test_every_longer_bar_is_the_fold_of_the_vendors_minutes(day: Day) -> None:
    _, finals, longer, _ = read(records(day), EngineConfig(frames=tuple(FRAMES)))
    assert rows_of(finals) == day.minutes("bid")
    for frame, size in FRAMES.items():
        found = rows_of([bar for of, bar in longer if of == frame])
        assert found == folded(day.minutes("bid"), size)


def numbered(day: Day) -> list[Wire]:
    """The quotes with a number each, so that the order of two with one time does not depend on their arrival."""
    return [replace(wire, value=(wire.value or b"")[:-1] + b', "seq": %d}' % wire.offset) for wire in records(day)]


def test_late_quotes_end_up_in_the_bars_that_they_would_have_made_in_time() -> None:
    day, rnd, moved = DAYS[0], random.Random(1), []
    for wire in numbered(day):
        late = rnd.randrange(10 * MINUTE) if rnd.random() < 0.1 else 0
        moved.append((wire.timestamp + late, wire))
    moved.sort(key=lambda pair: pair[0])
    log = [Wire(offset, at, wire.key, wire.value) for offset, (at, wire) in enumerate(moved)]
    engine, finals, longer, revised = read(
        log, EngineConfig(correct=True, correction_horizon=15 * MINUTE, frames=tuple(FRAMES))
    )
    assert engine.counters.late == 0
    assert engine.counters.corrected > 1_000
    last: dict[tuple[str, int], Bar] = {}
    for frame, bar in [*(("", bar) for bar in finals), *longer, *revised]:
        before = last.get((frame, bar.bucket_start))
        assert bar.revision == (
            0 if before is None and bar.ticks > 0 and not bar.corrected else before.revision + 1 if before else 1
        )
        last[frame, bar.bucket_start] = bar
    in_time = {bar.bucket_start: bar for bar in bars_of(numbered(day), "bid")}
    assert rows_of([last["", start] for start in in_time]) == rows_of(list(in_time.values()))
    assert {start: last["", start].ticks for start in in_time} == {start: bar.ticks for start, bar in in_time.items()}
    for frame, size in FRAMES.items():
        newest = [bar for (of, _), bar in sorted(last.items()) if of == frame]
        assert rows_of(newest) == folded(rows_of(list(in_time.values())), size)
    _, without, _, _ = read(log, EngineConfig())
    _, dropped, _, none = read(log, EngineConfig(correct=True, correction_horizon=0))
    assert rows_of(without) == rows_of(dropped)
    assert not none
