"""What the native core keeps in one piece of memory: the states of windows, and the records of a checkpoint."""

from __future__ import annotations

import sys
from decimal import Decimal
from typing import Any

import pytest

from tables import native
from tables.checkpoint_plan import CheckpointPlan
from tables.config import EngineConfig
from tables.engine import Engine
from tables.further import is_longer
from tables.window import Window, new_window, pack_window
from tests.support.raw_batches import read_by_aiokafka
from tests.unit.model import Wire

pytestmark = pytest.mark.skipif(native.NATIVE is None, reason=f"the native core is not built: {native.MISSING}")

START, SYMBOLS = 1_399_248_000_000, 30
NOBODY_ELSE = sys.getrefcount(object())  # has a reference to something


def windows_of(count: int) -> list[Window]:
    """Windows; every third one does not fit into the native core."""
    windows = [new_window(START + 60_000, START, Decimal("1.5") + number, START, 0, number) for number in range(count)]
    for window in windows[::3]:
        window.add_quantity(Decimal("1e-30"), Decimal(3))
    return windows


def test_states_in_one_piece_are_a_sequence_as_a_tuple_of_them_is() -> None:
    core: Any = native.NATIVE
    windows = windows_of(10)
    states, plain = core.pack_all([core.adopted(window) for window in windows]), tuple(map(pack_window, windows))
    assert (len(states), list(states), [*reversed(states)]) == (10, list(plain), [*reversed(plain)])
    assert [states[at] for at in range(-10, 10)] == [plain[at] for at in range(-10, 10)]
    assert [states[2:7], states[-3:], states[::4], states[8:99]] == [[*plain[2:7]], [*plain[-3:]], [*plain[::4]], [*plain[8:]]]
    for at in (10, -11, 1 << 40):
        with pytest.raises(IndexError):
            states[at]
    assert len(core.pack_all([])) == 0


def test_states_that_are_longer_than_usual_fit() -> None:
    core: Any = native.NATIVE
    window = new_window((1 << 58) + 1, -(1 << 58), Decimal("-0.123456789012345678"), 1 << 58, -(1 << 58), 1 << 58)
    window.add_quantity(window.open, Decimal("0.123456789012345678"))
    state = pack_window(window)
    assert list(core.pack_all([core.adopted(window)] * 500)) == [state] * 500
    assert len(state) > 224


def runs_of(frames: tuple[str, ...]) -> list[Any]:
    """The records of many symbols at once that a checkpoint writes."""
    engine = Engine(EngineConfig(frames=frames), native="on")
    plan = CheckpointPlan(engine.snapshots, 0, 0)
    for minute in range(2):
        ts = START + minute * 70_000
        first = minute * SYMBOLS
        engine.feed([Wire(first + n, ts, b"A|S%d" % n, b'{"ts":%d,"bid":1.%d}' % (ts, n)) for n in range(SYMBOLS)])
    return [some for some in plan.runs() if not isinstance(some, tuple)]  # a scope's clock is a record by itself


@pytest.mark.parametrize("frames", [(), ("5m", "1h")])
@pytest.mark.parametrize("limit", [1, 2_000, 1 << 20])
def test_a_checkpoint_writes_the_records_that_it_gives_one_by_one(limit: int, frames: tuple[str, ...]) -> None:
    expected = [(key, value) for run in runs_of(frames) for key, value, *_ in run]
    runs, written = runs_of(frames), []
    assert [len(run) for run in runs] == [SYMBOLS] * (1 + bool(frames))
    for run in runs:
        done = False
        while not done:
            builder = native.batch_builder("auto")(limit, 0, None, False)
            done = run.write_into(builder)
            written += [(record.key, record.value) for record in read_by_aiokafka(bytes(builder.build()))]
        assert len(run) == 0
        assert list(run) == []
    assert written == expected


@pytest.mark.parametrize("core", ["on", "off"])
def test_a_symbol_whose_longer_windows_were_forgotten_has_new_ones(core: str) -> None:
    engine = Engine(EngineConfig(frames=("5m",)), native=core)
    plan = CheckpointPlan(engine.snapshots, 0, 0)
    found = []
    ticks = [(b"A|x", 0), (b"A|y", 2), (b"A|y", 7), (b"A|x", 7), (b"A|x", 9)]  # and the minute of each
    for offset, (key, minute) in enumerate(ticks):
        ts = START + minute * 60_000
        engine.feed([Wire(offset, ts, key, b'{"ts":%d,"bid":1.5}' % ts)])
        written = dict(plan.round())
        known = dict(engine.snapshots.everything())
        found.append((b"A|x|+" in known, written.get(b"A|x|+", b"") is not None))
    assert found == [(False, True), (True, True), (False, False), (False, True), (True, True)]


@pytest.mark.parametrize("core", ["on", "off"])
def test_what_a_symbol_had_of_longer_windows_is_freed_while_the_symbol_trades_on(core: str) -> None:
    engine = Engine(EngineConfig(frames=("5m",)), native=core)
    plan = CheckpointPlan(engine.snapshots, 0, 0)
    longers = []
    for offset, minute in enumerate([0, 2, 7]):  # the last tick closes the window of five minutes, and opens one of a minute
        ts = START + minute * 60_000
        engine.feed([Wire(offset, ts, b"A|x", b'{"ts":%d,"bid":1.5}' % ts)])
        longers += [item for item in dict(engine.snapshots.everything()).values() if is_longer(item)]
        engine.take_closed()
        engine.take_after_close()
        list(plan.round())
    assert b"A|x" in engine.snapshots.symbols
    assert len(set(map(id, longers))) == 1
    del longers[1:]
    references = sys.getrefcount(longers.pop())
    assert references == NOBODY_ELSE
