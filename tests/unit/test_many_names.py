"""Any number of brokers and symbols: no stored record grows with it, no clock is forgotten, and no answer lists all of them."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import pytest

from agents import checkpoints
from agents.accounting import SCOPES_LISTED
from agents.topics import SMALLEST_BATCH
from app.settings.types import Delivery, ScopeKind
from app.web import sampling
from tables import checkpoint_plan, snapshots
from tables.config import EngineConfig
from tables.engine import Engine
from tables.state import encode_state
from tables.ticks import MAX_KEY
from tables.views import StreamTimesView, stream_time_of
from tables.window import new_window
from tests.simulation.judge import judge
from tests.simulation.partition import Simulation
from tests.simulation.topics import START, Row
from tests.unit.model import Wire

OVERHEAD = 100  # bytes of a batch and a record
BROKERS = 25_000
LONG = "x" * 90  # as long as the page takes names, nearly
MINUTE = 60_000


def names(count: int) -> list[bytes]:
    return [f"{LONG}{number:06}|EURUSD".encode() for number in range(count)]


def arrive(simulation: Simulation, keys: list[bytes], ts: int) -> None:
    """A tick of each of these symbols, all at once."""
    first = len(simulation.log)
    value = b'{"ts":%d,"bid":1.5}' % ts
    simulation.log.extend(Row(first + n, simulation.broker_time, key, value) for n, key in enumerate(keys))


def stored(simulation: Simulation) -> dict[bytes, bytes]:
    """The newest value of each key of the changelog."""
    rows = simulation.topics.committed(simulation.settings.changelog_topic)
    return {row.key: row.value for row in rows if row.key and row.value}


@pytest.mark.parametrize("scope", list(ScopeKind))
def test_no_record_of_the_changelog_grows_with_the_number_of_brokers(monkeypatch: pytest.MonkeyPatch, scope: ScopeKind) -> None:
    count = 1_000
    monkeypatch.setattr(checkpoints, "YIELD_EVERY", 10 * count)  # the simulation takes a turn for a sign that nothing comes

    async def many() -> None:
        simulation = Simulation(scope, Delivery.transactional)
        await simulation.restart()
        keys = names(count)
        arrive(simulation, keys, START)
        await simulation.read(count)
        await simulation.checkpoint(None)
        assert max(len(key) + len(value) for key, value in stored(simulation).items()) < SMALLEST_BATCH
        await simulation.restart()
        simulation.now += 2 * MINUTE
        arrive(simulation, [keys[0], keys[-1]], START + 2 * MINUTE)  # closes what was open before the restart
        await simulation.timer()
        arrive(simulation, [keys[0], keys[1], keys[-1]], START + 1)
        await simulation.read(count)
        assert simulation.partition.engine.counters.late == 3
        await simulation.finish()
        judge(simulation)

    asyncio.run(many())


def test_no_record_of_the_changelog_grows_with_the_number_of_open_windows() -> None:
    async def many() -> None:
        simulation = Simulation(ScopeKind.BROKER, Delivery.transactional, window_size="1s", grace="10m")
        await simulation.restart()
        for second in range(500):
            arrive(simulation, [b"A|x"], START + second * 1_000)
            simulation.now += 1_000
        await simulation.read(500)
        await simulation.checkpoint(None)
        assert simulation.partition.engine.open_windows == 500
        assert max(len(key) + len(value) for key, value in stored(simulation).items()) < SMALLEST_BATCH
        await simulation.restart()
        assert simulation.partition.engine.open_windows == 500
        await simulation.finish()
        judge(simulation)

    asyncio.run(many())


def test_the_longest_record_of_a_state_fits_the_smallest_batch_that_a_topic_must_take() -> None:
    price, seq = Decimal(f"1.{'9' * 33}"), -(1 << 63)
    window = new_window(1 << 53, 1 << 53, price, 1 << 62, seq, 1 << 62)
    for qty in (f"1.{'9' * 33}", "9" * 34):
        window.add_quantity(Decimal("9" * 34), Decimal(qty))
        window.add_quantity(price, Decimal(qty))
    state = encode_state(([window] * snapshots.WINDOWS_PER_RECORD, 1 << 53, 1 << 53, 1_000))
    assert len(state) + MAX_KEY + OVERHEAD < SMALLEST_BATCH


async def test_the_accounting_and_the_partitions_list_the_first_scopes_and_say_how_many_there_are() -> None:
    simulation = Simulation(ScopeKind.BROKER, Delivery.transactional)
    await simulation.restart()
    arrive(simulation, names(BROKERS)[::-1], START)
    await simulation.read(BROKERS)
    accounting = simulation.partition.accounting()
    first = [key.partition(b"|")[0].decode() for key in names(SCOPES_LISTED)]
    assert list(accounting["stream_times"]) == first
    assert accounting["more_scopes"] == BROKERS - SCOPES_LISTED
    times, more = sampling.scope_times(simulation.partition.engine)
    assert (list(times), more) == (first, BROKERS - SCOPES_LISTED)
    assert times[first[0]].watermark == START - 5_000


@pytest.mark.parametrize("scope", ["broker", "symbol", "partition"])
def test_the_stream_time_of_each_is_known_whether_its_windows_are_open_or_not(
    monkeypatch: pytest.MonkeyPatch, scope: str
) -> None:
    monkeypatch.setattr(checkpoint_plan, "SPARE", 0)
    engine = Engine(EngineConfig(scope=scope))
    plan = checkpoint_plan.CheckpointPlan(engine.snapshots, 0, 0)
    names_of = {"broker": ["A", "B"], "symbol": ["A|x", "B|y"], "partition": ["*"]}[scope]
    assert stream_time_of(engine, "A", "x") is None
    engine.feed([Wire(n, START, key, b'{"ts":%d,"bid":1}' % START) for n, key in enumerate((b"A|x", b"B|y"))])
    assert (stream_time_of(engine, "A", "x"), stream_time_of(engine, "B", "y")) == (START, START)
    assert dict(StreamTimesView(lambda: [engine])) == dict.fromkeys(names_of, START)
    list(plan.round())
    engine.advance_arrival(START + 10 * MINUTE)
    list(plan.round())
    assert not engine.symbols
    closed = START + MINUTE + 5_000
    assert (stream_time_of(engine, "A", "x"), stream_time_of(engine, "B", "y")) == (closed, closed)
    assert dict(StreamTimesView(lambda: [engine])) == dict.fromkeys(names_of, closed)
