"""A truncated log that has grown again is told from one that was only given to another leader, by where leader epochs end."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from agents import gaps, recovery
from agents.headers import EPOCH_HEADER
from app.errors import StateError
from app.kafka.leader_epochs import EpochEnd
from app.kafka.slices import GapError
from app.settings.types import Delivery, OnGap
from tables.bars import decode_bar
from tables.state import POSITION_KEY, Position, decode_position
from tests.simulation.partition import Simulation
from tests.simulation.steps import NEXT_WINDOW, TICK
from tests.simulation.topics import ListReader
from tests.unit.test_gaps import THEN, after, recovered, restart

OTHER = ("tick", 0, 2, 0, "tick")  # of another symbol than TICK


def delivered(simulation: Simulation) -> None:
    while simulation.wire.deliver():
        pass


def grow(simulation: Simulation, left: int, length: int) -> None:
    """The input loses all records from `left` on to another leader, and grows to this length."""
    simulation.topics.elect(simulation.settings.ticks_topic, left)
    while len(simulation.log) < length:
        simulation.tick(*OTHER[1:])


def stored_position(simulation: Simulation) -> Position:
    rows = simulation.topics.committed(simulation.settings.changelog_topic)
    return decode_position([row.value or b"" for row in rows if row.key == POSITION_KEY][-1])


async def truncated_and_grown(left: int, length: int, delivery: Delivery) -> Simulation:
    simulation = await after(5, delivery=delivery)
    grow(simulation, left, length)
    await restart(simulation, THEN)
    await simulation.finish()
    return simulation


@pytest.mark.parametrize("delivery", list(Delivery))
@pytest.mark.parametrize(("left", "length"), [(3, 4), (3, 5), (3, 7), (4, 60), (0, 5), (0, 50)])
def test_a_truncated_input_that_grew_again_stops_the_start_or_is_gone_on_from_where_it_was_cut(
    left: int, length: int, delivery: Delivery
) -> None:
    async def check() -> None:
        simulation = await after(5, delivery=delivery)
        grow(simulation, left, length)
        said = rf"ticks\[0\]: leader epoch 0 ends at offset {left}, before the position 5: .*grown to {length} since"
        with pytest.raises(StateError, match=rf"{said}: set on_gap=continue to go on from offset {left},"):
            await recovered(simulation, THEN)
        await restart(simulation, THEN)
        assert (simulation.partition.consumed_to, simulation.partition.engine.counters.lost) == (left, 5 - left)
        await restart(simulation, THEN)
        assert simulation.partition.engine.counters.lost == 5 - left, "counted once"
        await simulation.finish()
        assert simulation.partition.checkpointed_to == length
        assert simulation.partition.engine.counters.read == 5 + length - left, "every record that came instead is read"
        assert (await recovered(simulation, THEN)).position.leader_epoch == 1

    asyncio.run(check())


@pytest.mark.parametrize("delivery", list(Delivery))
@pytest.mark.parametrize("later", [0, 3])
def test_another_leader_that_has_every_record_stops_nothing(later: int, delivery: Delivery) -> None:
    async def check() -> None:
        simulation = await after(5, delivery=delivery)
        for _ in range(3):
            grow(simulation, len(simulation.log), len(simulation.log) + later)
            assert (await recovered(simulation, THEN)).position.resume_at == simulation.partition.checkpointed_to
            await simulation.read(later)
            await simulation.checkpoint(None)
        assert simulation.partition.engine.counters.lost == 0

    asyncio.run(check())


@pytest.mark.parametrize("checkpointed", [True, False])
@pytest.mark.parametrize("election", ["before", "between", "after"])
def test_bars_since_the_checkpoint_name_the_epoch_they_were_read_in(election: str, checkpointed: bool) -> None:  # noqa: FBT001  # a table
    """The position is in epoch 0. An election before the bars closed is no reason to stop, whatever the position knows."""

    async def check() -> None:
        simulation = await after(1)
        if election == "before":
            grow(simulation, 1, 1)
        for _ in range(3):
            simulation.tick(*TICK[1:])
        if election == "between":
            grow(simulation, 4, 4)
        simulation.tick(*NEXT_WINDOW[1:])
        await simulation.read(4)
        delivered(simulation)
        if checkpointed:
            await simulation.checkpoint(None)
        if election == "after":
            grow(simulation, 5, 5)
        [row] = simulation.topics.committed(simulation.settings.finals_topic)
        assert dict(row.headers)[EPOCH_HEADER] == (b"0" if election == "after" else b"1")
        found = await recovered(simulation, THEN)
        assert (found.position.counters.lost, len(found.tail)) == (0, 0 if checkpointed else 1)

    asyncio.run(check())


async def bars_after_the_cut(left: int, length: int) -> list[int]:
    """The ticks of each bar. The input was cut behind the position, but below where the published bar had closed."""
    simulation = await after(1)
    for _ in range(3):
        simulation.tick(*TICK[1:])
    simulation.tick(*NEXT_WINDOW[1:])
    await simulation.read(4)
    delivered(simulation)
    grow(simulation, left, length)
    with pytest.raises(StateError, match=rf"epoch 0 ends at offset {left}, before 4, up to where bars have been published"):
        await recovered(simulation, THEN)
    await restart(simulation, THEN)
    assert simulation.partition.engine.counters.lost == 4 - left
    await simulation.finish()
    assert not simulation.partition.engine.replaying
    finals = simulation.topics.committed(simulation.settings.finals_topic)
    assert len({row.key for row in finals}) == len(finals)
    return [decode_bar(row.value or b"").ticks for row in finals]


@pytest.mark.parametrize(("left", "length"), [(2, 9), (1, 5), (3, 4)])
def test_a_cut_behind_the_position_shows_in_the_bars_published_since(left: int, length: int) -> None:
    assert asyncio.run(bars_after_the_cut(left, length)) == [4, length - left]


def test_truncated_finals_that_grew_again_are_noticed() -> None:
    async def check() -> None:
        simulation = await after(1)
        topic = simulation.settings.finals_topic
        for _ in range(6):
            simulation.tick(*NEXT_WINDOW[1:])
        await simulation.read(6)
        delivered(simulation)
        simulation.partition.finals_are_there(0, 6)
        await simulation.checkpoint(None)
        kept = list(simulation.topics.rows[topic])
        simulation.topics.elect(topic)
        simulation.topics.rows[topic] += [row._replace(offset=6 + n) for n, row in enumerate(kept[:2])]
        assert (await recovered(simulation, THEN)).position.counters.lost == 0, "another leader, which has all"
        simulation.topics.rows[topic][:] = kept
        simulation.topics.elect(topic, 4)
        simulation.topics.rows[topic] += [row._replace(offset=4 + n) for n, row in enumerate(kept[:5])]
        with pytest.raises(StateError, match=r"ends at offset 9 .* up to 6: .* truncated at offset 4: .*without 2 records"):
            await recovered(simulation, THEN)
        found = await recovered(simulation, THEN, OnGap.keep_going)
        assert (found.position.finals_end, found.position.finals_epoch, found.needs_first_checkpoint) == (4, (-1, 0), True)
        assert found.tail == [], "bars from before the position have no open windows"

    asyncio.run(check())


@pytest.mark.parametrize("length", [3, 5, 8])
def test_an_epoch_that_the_broker_does_not_know_is_another_log(length: int) -> None:
    async def check() -> None:
        simulation = await after(5)
        grow(simulation, 5, 6)
        await simulation.read(1)
        await simulation.checkpoint(None)
        assert stored_position(simulation).leader_epoch == 1
        simulation.topics.leaders.clear()  # a copy of the disk from before
        simulation.topics.longest.clear()
        del simulation.log[min(5, length) :]
        while len(simulation.log) < length:
            simulation.tick(*OTHER[1:])
        with pytest.raises(StateError, match=rf"ticks\[0\] has no leader epoch 1 any more, .*go on from offset {length},"):
            await recovered(simulation, THEN)
        await restart(simulation, THEN)
        assert (simulation.partition.consumed_to, simulation.partition.engine.counters.lost) == (length, abs(6 - length))
        await restart(simulation, THEN)
        assert simulation.partition.engine.counters.lost == abs(6 - length)

    asyncio.run(check())


def test_a_new_leader_that_does_not_know_yet_what_its_followers_have_has_lost_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    async def check() -> None:
        simulation = await after(5)
        simulation.topics.elect(simulation.settings.ticks_topic)

        async def bounds(self: ListReader, topic: str, _partition: int) -> tuple[int, int]:
            return 0, 3 if topic == simulation.settings.ticks_topic else self._topics.stable_end(topic)

        monkeypatch.setattr(ListReader, "bounds", bounds)
        found = await recovered(simulation, THEN)
        assert (found.position.resume_at, found.position.counters.lost) == (5, 0)

    asyncio.run(check())


def test_where_the_broker_is_too_old_the_end_of_the_log_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    async def too_old(*_: Any) -> None:
        return None

    async def check() -> None:
        monkeypatch.setattr(ListReader, "end_of_epoch", too_old)
        simulation = await after(5)
        grow(simulation, 3, 9)
        assert (await recovered(simulation, THEN)).position.resume_at == 5
        del simulation.log[4:]
        with pytest.raises(StateError, match=r"ticks\[0\] ends at offset 4, before the position 5: its log was truncated"):
            await recovered(simulation, THEN)

    asyncio.run(check())


@pytest.mark.parametrize(("left", "noticed"), [(5, False), (4, True), (0, True)])
def test_a_running_task_processes_no_record_of_a_leader_that_lacks_what_was_processed(left: int, noticed: bool) -> None:  # noqa: FBT001  # a table
    async def check() -> None:
        simulation = await after(5)
        grow(simulation, left, 9)
        if not noticed:
            await simulation.read(4)
            assert simulation.partition.consumed_to == 9
            return
        with pytest.raises(GapError, match="its log was truncated below offset 5"):
            await simulation.read(4)
        assert simulation.partition.engine.counters.read == 5
        assert await simulation.partition.checkpoint() is None, "its position stays before them"

    asyncio.run(check())


async def not_asked(_reader: Any, _topic: str, _partition: int, log: gaps.Log, _stored: str, _epoch: int) -> gaps.Log:
    return log


async def always_the_end(self: ListReader, topic: str, _partition: int, _leader_epoch: int) -> EpochEnd | None:
    return self._topics.end_of_epoch(topic, self._topics.leaders.get(topic, [(0, 0)])[-1][0])


@pytest.mark.parametrize(
    ("owner", "name", "broken"),
    [
        (recovery, "_with_epoch", not_asked),
        (ListReader, "end_of_epoch", always_the_end),
        (gaps.Log, "cut_below", lambda self, offset: self.end if self.end < offset else None),
    ],
    ids=["the broker is not asked", "it is asked for its own epoch", "the log's end decides"],
)
def test_records_are_never_read_when_a_rule_for_leader_epochs_is_broken(
    monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, broken: Any
) -> None:
    def read() -> int:
        return asyncio.run(truncated_and_grown(3, 9, Delivery.idempotent)).partition.engine.counters.read

    assert read() == 11
    monkeypatch.setattr(owner, name, broken)
    with pytest.raises((AssertionError, GapError)):
        assert read() == 11


def test_bars_are_missing_when_bars_do_not_name_their_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recovery, "leader_epoch_of", lambda _: -1)
    with pytest.raises((AssertionError, pytest.fail.Exception)):
        asyncio.run(bars_after_the_cut(2, 9))
