"""Topics made anew and truncated logs: told apart by topic ids, stopped at, and gone on from where nothing is read twice."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from agents import gaps, recovery
from agents.recovery import Recovered, recover
from agents.task import PartitionTask
from app.errors import StateError
from app.kafka.clock import BrokerClock
from app.settings.types import Delivery, OnGap, ScopeKind
from tables.bars import decode_bar
from tables.state import UNKNOWN, Identity
from tests.simulation.partition import Simulation
from tests.simulation.steps import NEXT_WINDOW, TICK
from tests.simulation.topics import Checkpoints, Finals, ListReader, Wire

THEN = Identity("cluster", "ticks-1", "finals-1")
ANEW = Identity("cluster", "ticks-2", "finals-1")
FINALS_ANEW = Identity("cluster", "ticks-1", "finals-2")


async def recovered(simulation: Simulation, now: Identity, on_gap: OnGap = OnGap.stop) -> Recovered:
    reader: Any = ListReader(simulation.topics)
    return await recover(reader, simulation.settings.model_copy(update={"on_gap": on_gap}), 0, 1, now)


async def restart(simulation: Simulation, now: Identity) -> None:
    """A crash and a start that may go on over gaps, on topics with these ids."""
    for transaction in list(simulation.topics.open_transactions):
        simulation.topics.end(transaction, commit=False)
    found = await recovered(simulation, now, OnGap.keep_going)
    simulation.wire = Wire(simulation.topics, lambda: simulation.broker_time)
    checkpoints: Any = Checkpoints(simulation.wire)
    finals: Any = Finals(simulation.wire) if simulation.settings.delivery is Delivery.idempotent else None
    reader: Any = ListReader(simulation.topics)
    ask = partial(reader.end_of_epoch, simulation.settings.ticks_topic)
    task = PartitionTask(
        *(simulation.settings, 0, found, checkpoints, finals),
        append_time=True,
        max_record=1 << 20,
        clock=BrokerClock(lambda: simulation.steady),
        end_of_epoch=ask,
    )
    simulation.partition, simulation.read_to = task, task.consumed_to
    if not task.engine.replaying:
        await simulation.checkpoint(None)


async def after(count: int, *, delivery: Delivery = Delivery.idempotent, checkpointed: bool = True) -> Simulation:
    """So many ticks of one window have been read, by an app that knew the ids."""
    simulation = Simulation(ScopeKind.BROKER, delivery)
    await restart(simulation, THEN)
    for _ in range(count):
        simulation.tick(*TICK[1:])
    await simulation.read(count)
    if checkpointed:
        await simulation.checkpoint(None)
    return simulation


def anew_and_longer(simulation: Simulation) -> None:
    simulation.log.clear()
    for _ in range(50):
        simulation.tick(*TICK[1:])


def anew_and_shorter(simulation: Simulation) -> None:
    simulation.log.clear()
    simulation.tick(*TICK[1:])


def anew_and_empty(simulation: Simulation) -> None:
    simulation.log.clear()


@pytest.mark.parametrize("make_anew", [anew_and_longer, anew_and_shorter, anew_and_empty])
@pytest.mark.parametrize("delivery", list(Delivery))
def test_an_input_made_anew_stops_the_start_however_long_it_is_by_now(
    make_anew: Callable[[Simulation], None], delivery: Delivery
) -> None:
    async def check() -> None:
        simulation = await after(5, delivery=delivery)
        make_anew(simulation)
        with pytest.raises(
            StateError, match=r"ticks\[0\] was created again: its topic id is ticks-2, .* 5 was ticks-1.*offset 0"
        ):
            await recovered(simulation, ANEW)
        await restart(simulation, ANEW)
        assert simulation.partition.consumed_to == 0
        assert (await recovered(simulation, ANEW)).position.identity == ANEW, "the next start goes on from it"
        await simulation.finish()
        assert simulation.partition.checkpointed_to == len(simulation.log)

    asyncio.run(check())


@pytest.mark.parametrize("delivery", list(Delivery))
def test_records_that_retention_took_unread_stop_the_start_or_are_counted(delivery: Delivery) -> None:
    async def check() -> None:
        simulation = await after(5, delivery=delivery)
        for _ in range(4):
            simulation.tick(*TICK[1:])
        simulation.topics.begins[simulation.settings.ticks_topic] = 8
        said = r"3 records before offset 8 of ticks\[0\] are gone unread \(retention was faster\): .*go on from offset 8,"
        with pytest.raises(StateError, match=said):
            await recovered(simulation, THEN)
        for _ in range(2):
            await restart(simulation, THEN)
            counters = simulation.partition.engine.counters
            assert (simulation.partition.consumed_to, counters.lost) == (8, 3), "counted once"
        await simulation.finish()
        assert simulation.partition.engine.counters.read == 6

    asyncio.run(check())


@pytest.mark.parametrize("delivery", list(Delivery))
@pytest.mark.parametrize("left", [0, 3])
def test_a_truncated_input_is_gone_on_from_at_its_end_and_what_is_gone_is_counted(left: int, delivery: Delivery) -> None:
    async def check() -> None:
        simulation = await after(5, delivery=delivery)
        del simulation.log[left:]
        said = rf"ticks\[0\] ends at offset {left}, before the position 5: its log was truncated.*go on from offset {left},"
        with pytest.raises(StateError, match=said):
            await recovered(simulation, THEN)
        await restart(simulation, THEN)
        assert (simulation.partition.consumed_to, simulation.partition.engine.counters.lost) == (left, 5 - left)
        await restart(simulation, THEN)
        assert simulation.partition.engine.counters.lost == 5 - left, "counted once"
        simulation.tick(*TICK[1:])
        simulation.tick(*NEXT_WINDOW[1:])
        await simulation.finish()
        bars = [decode_bar(row.value or b"") for row in simulation.topics.committed(simulation.settings.finals_topic)]
        assert [bar.ticks for bar in bars] == [6, 1], "no tick is in a bar twice"

    asyncio.run(check())


@pytest.mark.parametrize("left", [1, 2, 3])
def test_an_input_truncated_behind_the_position_is_found_by_the_bars_published_since(left: int) -> None:
    async def check() -> None:
        simulation = await after(1)
        simulation.tick(*TICK[1:])
        simulation.tick(*TICK[1:])
        simulation.tick(*NEXT_WINDOW[1:])
        simulation.tick(*NEXT_WINDOW[1:])
        await simulation.read(4)
        while simulation.wire.deliver():
            pass  # the last bar closed at offset 4
        before = list(simulation.topics.committed(simulation.settings.finals_topic))
        assert [decode_bar(row.value or b"").closed_at_offset for row in before] == [3, 4]
        del simulation.log[left:]
        with pytest.raises(
            StateError, match=rf"ticks\[0\] ends at offset {left}, before 4, up to where bars have been published"
        ):
            await recovered(simulation, THEN)
        await restart(simulation, THEN)
        assert simulation.partition.engine.counters.lost == 4 - left
        await simulation.read(10)
        await simulation.checkpoint(None)
        assert simulation.partition.checkpointed_to == left
        simulation.tick(*NEXT_WINDOW[1:])
        await simulation.finish()
        finals = simulation.topics.committed(simulation.settings.finals_topic)
        assert finals[:2] == before
        assert len({row.key for row in finals}) == len(finals) == 3

    asyncio.run(check())


def test_truncated_finals_are_gone_on_from_at_their_end_and_finals_made_anew_at_their_beginning() -> None:
    async def check() -> None:
        simulation = await after(1)
        for _ in range(6):
            simulation.tick(*NEXT_WINDOW[1:])
        await simulation.read(6)
        while simulation.wire.deliver():
            pass
        await simulation.checkpoint(None)
        finals = simulation.topics.rows[simulation.settings.finals_topic]
        kept = list(finals)
        del finals[4:]
        with pytest.raises(StateError, match=r"ends at offset 4 .* up to 6: its log was truncated: .*without 2 records"):
            await recovered(simulation, THEN)
        found = await recovered(simulation, THEN, OnGap.keep_going)
        assert (found.position.finals_end, found.tail) == (4, [])
        with pytest.raises(StateError, match=r"it was created again .topic id finals-2, it was finals-1.*still open"):
            await recovered(simulation, FINALS_ANEW)
        finals[:] = [*kept, *kept]
        with pytest.raises(StateError, match="it was created again"):
            await recovered(simulation, FINALS_ANEW)
        found = await recovered(simulation, FINALS_ANEW, OnGap.keep_going)
        assert (found.position.finals_end, found.tail, found.needs_first_checkpoint) == (0, [], True)

    asyncio.run(check())


def test_bars_published_after_truncated_finals_are_not_published_again() -> None:
    async def check() -> None:
        simulation = await after(1)
        for _ in range(4):
            simulation.tick(*NEXT_WINDOW[1:])
        await simulation.read(4)
        while simulation.wire.deliver():
            pass
        await simulation.checkpoint(None)
        topic = simulation.settings.finals_topic
        del simulation.topics.rows[topic][2:]
        await restart(simulation, THEN)
        for _ in range(4):
            simulation.tick(*NEXT_WINDOW[1:])
        await simulation.read(4)
        while simulation.wire.deliver():
            pass  # four bars, past the former end; then a crash before the next checkpoint
        await restart(simulation, THEN)
        await simulation.finish()
        keys = [row.key for row in simulation.topics.committed(topic)]
        assert len(set(keys)) == len(keys) == 7

    asyncio.run(check())


def test_another_cluster_stops_the_start_and_both_are_named() -> None:
    async def check() -> None:
        simulation = await after(5)
        with pytest.raises(StateError, match="on the cluster with the id cluster, and this is another"):
            await recovered(simulation, Identity("another"), OnGap.keep_going)

    asyncio.run(check())


def test_what_the_broker_does_not_tell_is_not_compared_and_not_forgotten() -> None:
    async def check() -> None:
        simulation = await after(5)
        found = await recovered(simulation, UNKNOWN)
        assert (found.position.identity, found.needs_first_checkpoint) == (THEN, False)

    asyncio.run(check())


def test_a_position_of_a_version_that_did_not_know_ids_takes_those_of_now() -> None:
    async def check() -> None:
        simulation = Simulation(ScopeKind.BROKER, Delivery.idempotent)
        await restart(simulation, UNKNOWN)
        simulation.tick(*TICK[1:])
        await simulation.read(1)
        await simulation.checkpoint(None)
        await restart(simulation, THEN)
        with pytest.raises(StateError, match="was created again"):
            await recovered(simulation, ANEW)

    asyncio.run(check())


async def bars_after_truncation(left: int, *, checkpointed: bool) -> list[int]:
    """The ticks of each bar, where only so many of five records are left of the input and a sixth and seventh come."""
    simulation = await after(1)
    for _ in range(3):
        simulation.tick(*TICK[1:])
    simulation.tick(*NEXT_WINDOW[1:])
    await simulation.read(4)
    while simulation.wire.deliver():
        pass
    if checkpointed:
        await simulation.checkpoint(None)
    del simulation.log[left:]
    await restart(simulation, THEN)
    await simulation.read(10)
    assert not simulation.partition.engine.replaying, "it waits for records that are gone"
    simulation.tick(*TICK[1:])
    simulation.tick(*NEXT_WINDOW[1:])
    await simulation.finish()
    assert simulation.partition.engine.counters.late == 0, "nothing is read again"
    finals = simulation.topics.committed(simulation.settings.finals_topic)
    return [decode_bar(row.value or b"").ticks for row in finals]


@pytest.mark.parametrize(
    ("owner", "name", "broken", "checkpointed", "ticks"),
    [
        (gaps.Log, "is_same", lambda *_: False, True, [4, 2, 1]),
        (recovery, "_passed_at", lambda bar, _: bar, False, [4, 1, 1]),
        (recovery, "check_passed", lambda *_: False, False, [4, 1, 1]),
    ],
    ids=[
        "a truncated log is taken for one made anew",
        "the bars keep offsets that are gone",
        "the bars published since the checkpoint are not looked at",
    ],
)
def test_bars_are_wrong_or_never_come_when_a_rule_for_truncated_logs_is_broken(
    monkeypatch: pytest.MonkeyPatch,
    owner: Any,
    name: str,
    broken: Any,
    ticks: list[int],
    *,
    checkpointed: bool,
) -> None:
    assert asyncio.run(bars_after_truncation(2, checkpointed=checkpointed)) == ticks
    monkeypatch.setattr(owner, name, broken)
    with pytest.raises((AssertionError, StateError)):
        assert asyncio.run(bars_after_truncation(2, checkpointed=checkpointed)) == ticks
