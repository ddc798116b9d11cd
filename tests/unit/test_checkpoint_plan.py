"""Which states a checkpoint writes: what is live stays near the end of the changelog, and what is closed is let go."""

from __future__ import annotations

import gc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tables import checkpoint_plan, snapshots
from tables.checkpoint_plan import SPARE, CheckpointPlan
from tables.config import EngineConfig
from tables.engine import Engine
from tables.scopes import Resting, Scope, Symbol
from tables.snapshots import is_scope
from tables.state import SymbolState, decode_state
from tests.unit.model import Wire, take_finals

NOON = 1_700_000_040_000
MINUTE = 60_000


class Worker:
    """An engine and a changelog in memory, which only ever grows."""

    def __init__(self, scope: str = "broker") -> None:
        self.scope = scope
        self.engine = Engine(EngineConfig(scope=scope))
        self.log: list[tuple[bytes, bytes | None]] = []
        self.changelog = CheckpointPlan(self.engine.snapshots, 0, 0)
        self.offset = 0

    def tick(self, ts: int, *names: int) -> None:
        records = [Wire(self.offset + n, ts, b"A|S%d" % name, b'{"ts":%d,"bid":1.5}' % ts) for n, name in enumerate(names)]
        self.offset += len(names)
        self.engine.feed(records)

    def checkpoint(self) -> int:
        before = len(self.log)
        self.log += self.changelog.round()
        self.changelog.end = len(self.log)
        return len(self.log) - before

    def restored(self) -> Engine:
        """Another engine, restored from the changelog, from where the plan says that what is live begins."""
        states: dict[bytes, SymbolState] = {}
        for key, value in self.log[self.changelog.live_from :]:
            states.pop(key, None)
            if value is not None:
                states[key] = decode_state(value)
        engine = Engine(self.engine.config, self.offset)
        engine.restore(self.engine.counters, self.engine.arrival, {}, states, [])
        return engine

    def stored(self) -> dict[bytes, int]:
        """Offset of the latest state of each key that has one."""
        offsets: dict[bytes, int] = {}
        for offset, (key, value) in enumerate(self.log):
            offsets.pop(key, None)
            if value is not None:
                offsets[key] = offset
        return offsets


ROUNDS = st.lists(
    st.tuples(st.sampled_from([1_000, 7_000, MINUTE, 10 * MINUTE]), st.sets(st.integers(0, 9), max_size=6)), max_size=25
)
Clocks = dict[bytes, tuple[int, int]]


def clocks_of(engine: Engine) -> Clocks:
    """Stream time, and the arrival that moved it, by the key of the record that holds them."""
    windows = engine.windows
    found: dict[bytes, Scope | Resting] = {**windows.resting}
    if engine.config.scope == "symbol":
        found |= {key: symbol.scope for key, symbol in engine.symbols.items()}
    else:
        found |= {scope.record_key: scope for scope in windows.scopes.values()}
    return {key: (clock.stream_time, clock.advanced_at) for key, clock in found.items()}


def open_in(engine: Engine) -> dict[bytes, dict[int, int]]:
    """The ticks of each open window."""
    return {
        key: {window.end: window.ticks for window in symbol.windows()}
        for key, symbol in engine.symbols.items()
        if not symbol.resting
    }


@given(
    rounds=ROUNDS,
    scope=st.sampled_from(["broker", "symbol", "partition"]),
    spare=st.sampled_from([SPARE, 0]),
    windows=st.sampled_from([snapshots.WINDOWS_PER_RECORD, 1]),
)
def test_what_is_live_is_at_live_from_or_later_and_says_what_is_open_and_when(
    rounds: list[tuple[int, set[int]]], scope: str, spare: int, windows: int
) -> None:
    worker, now = Worker(scope), NOON
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checkpoint_plan, "SPARE", spare)
        patch.setattr(snapshots, "WINDOWS_PER_RECORD", windows)
        for wait, names in rounds:
            now += wait
            worker.tick(now, *names)
            worker.checkpoint()
            again = worker.restored()
            assert clocks_of(again) == clocks_of(worker.engine)
            assert open_in(again) == open_in(worker.engine)
            symbols = {key for key in worker.stored() if not is_scope(key)}
            known = {*worker.engine.symbols, *worker.engine.windows.resting}
            assert {key for key in symbols if key.count(b"|") == 1} <= known, "a state that nobody will ever delete"
            parts = {key.rpartition(b"|")[0] for key in symbols if key.count(b"|") > 1}
            assert parts <= worker.engine.symbols.keys(), "a part of a state that nobody will ever delete"


def in_memory() -> int:
    """How many symbols there are, whoever holds them."""
    return sum(type(found).__name__ == Symbol.__name__ for found in gc.get_objects())


@pytest.mark.parametrize("scope", ["broker", "symbol"])
def test_symbols_that_ticked_once_are_let_go_with_a_tombstone_each_or_a_small_clock(scope: str) -> None:
    gc.collect()
    before = in_memory()
    worker, count = Worker(scope), 20_000
    worker.tick(NOON, *range(count))
    assert worker.checkpoint() == count + len(worker.engine.windows.scopes)
    worker.engine.advance_arrival(NOON + 10 * MINUTE)
    assert len(take_finals(worker.engine)) == count
    while worker.changelog.overdue:
        worker.checkpoint()
    worker.checkpoint()
    assert len(worker.engine.symbols) == SPARE
    assert sum(not is_scope(key) for key in worker.stored()) == (count if scope == "symbol" else SPARE)
    assert in_memory() - before == SPARE, "something still holds those that were let go"
    assert len(clocks_of(worker.engine)) == (count if scope == "symbol" else 1)
    worker.tick(NOON, 0, count - 1)
    assert worker.engine.counters.late == 2, "whatever was let go, its closed window stays closed"


def test_symbols_that_have_just_closed_wait_for_their_next_tick_as_many_as_were_open() -> None:
    worker, count = Worker(), 5_000
    worker.tick(NOON, *range(count))
    worker.checkpoint()
    worker.engine.advance_arrival(NOON + MINUTE + 10_000)
    assert len(take_finals(worker.engine)) == count
    assert not worker.changelog.overdue
    worker.engine.advance_arrival(NOON + 4 * MINUTE)
    assert worker.changelog.overdue, "nothing has opened for three minutes"


def test_a_symbol_whose_window_opened_and_closed_between_two_checkpoints_is_never_written() -> None:
    worker = Worker()
    worker.tick(NOON, 1)
    worker.tick(NOON + 2 * MINUTE, 2)
    worker.checkpoint()
    assert {key for key, _ in worker.log} == {b"A|S2", b"A|"}


def test_symbols_that_have_changed_since_the_last_checkpoint_are_not_let_go() -> None:
    worker, traded = Worker(), range(10)
    worker.tick(NOON, *range(2 * SPARE))
    worker.checkpoint()
    worker.tick(NOON + 10 * MINUTE, *traded)
    worker.tick(NOON + 12 * MINUTE, 2 * SPARE)  # closes theirs
    assert worker.checkpoint() > SPARE - len(traded)
    deleted = {key for key, value in worker.log if value is None}
    assert deleted
    assert not deleted & {b"A|S%d" % name for name in traded}


def test_no_tombstone_is_written_for_a_symbol_that_trades_on() -> None:
    worker = Worker()
    for minute in range(30):
        worker.tick(NOON + minute * MINUTE, *range(20))
        worker.checkpoint()
    assert all(value is not None for _, value in worker.log)


def test_what_is_live_stays_near_the_end_while_one_symbol_alone_is_open_for_long() -> None:
    worker = Worker()
    worker.tick(NOON, *range(100))
    worker.checkpoint()
    for second in range(2_000):
        worker.tick(NOON + second // 100, 0)
        worker.checkpoint()
    assert len(worker.log) - worker.changelog.live_from < 4 * 100
