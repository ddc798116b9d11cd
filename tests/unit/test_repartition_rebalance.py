"""Rebalances in the middle of a recovery or of a transaction: what was revoked is given up, what is assigned is recovered."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiokafka import TopicPartition

from agents.repartition.agent import Repartitioner
from agents.repartition.source_task import SourceTask
from app.kafka.slices import GapError
from app.settings import Settings
from tables.state import Counters, Position

Place = tuple[str, int]


class Group:
    """Stands for the consumer and the broker: it remembers what was asked of them."""

    def __init__(self) -> None:
        self.seeks: list[Place] = []
        self.verified = 0

    def pause(self, *tps: TopicPartition) -> None: ...

    def resume(self, *tps: TopicPartition) -> None: ...

    def seek(self, tp: TopicPartition, _: int) -> None:
        self.seeks.append((tp.topic, tp.partition))

    def highwater(self, _: TopicPartition) -> int:
        return 0

    async def commit(self, _: Any) -> None:
        self.verified += 1

    async def getmany(self, **_: Any) -> dict[TopicPartition, list[Any]]:
        await asyncio.sleep(0)
        return {}


class Recovery:
    """Stands for `SourceRecovery`. `hold`: awaited within the next recovery."""

    placing = None

    def __init__(self, agent: Repartitioner) -> None:
        self.recovered: list[set[Place]] = []
        self.begun: list[set[Place]] = []
        self.hold: Callable[[], Awaitable[object]] | None = None
        self.aborted = 0
        self.producers = self
        self._agent = agent

    async def abort(self) -> None:
        self.aborted += 1

    async def recover(self, _cluster: Any, _topics: Any, places: set[Place]) -> dict[Place, SourceTask]:
        self.begun.append(places)
        hold, self.hold = self.hold, None
        if hold is not None:
            await hold()
        self.recovered.append(places)
        return {place: self._task(place) for place in places}

    def _task(self, place: Place) -> SourceTask:
        at = Position(next_offset=0, arrival=0, counters=Counters(), finals_end=0, changelog_start=0, fingerprint={})
        parts: Any = {"placing": None, "ready": None, "ask": None, "producer": None}
        return SourceTask(Settings.load(broker=""), place, at, progress=self._agent.progress, **parts)


def agent_of() -> tuple[Any, Any, Group, Callable[[], Awaitable[None]]]:
    async def crash(error: BaseException) -> None:
        raise error

    agent: Any = Repartitioner(Settings.load(repartition=True, ticks_topic="t", broker=""), crash)
    agent._recovery = recovery = Recovery(agent)
    agent._watch._due = float("inf")  # the topics do not change
    group = Group()

    async def step() -> None:
        await agent._step(group, None)

    return agent, recovery, group, step


def tps(*numbers: int) -> list[TopicPartition]:
    return [TopicPartition("t", number) for number in numbers]


async def test_what_is_assigned_is_recovered_before_it_is_read() -> None:
    agent, recovery, group, step = agent_of()
    await agent.on_partitions_assigned(tps(0, 1))
    await step()
    await step()
    assert recovery.recovered == [{("t", 0), ("t", 1)}]
    assert sorted(group.seeks) == [("t", 0), ("t", 1)]
    await agent.on_partitions_revoked(tps(0, 1))
    assert not agent.progress.sources
    await agent.on_partitions_assigned(tps(1))
    await step()
    assert recovery.recovered[1:] == [{("t", 1)}]


async def test_a_rebalance_within_a_recovery_gives_it_up_and_recovers_what_is_assigned_then() -> None:
    agent, recovery, group, step = agent_of()
    within = asyncio.Event()

    async def for_ever() -> None:
        within.set()
        await asyncio.Event().wait()

    recovery.hold = for_ever
    await agent.on_partitions_assigned(tps(0, 1, 2, 3))
    recovering = asyncio.ensure_future(step())
    await within.wait()
    await agent.on_partitions_revoked(tps(0, 1, 2, 3))
    await agent.on_partitions_assigned(tps(1, 3))
    await recovering
    await step()
    assert recovery.recovered == [{("t", 1), ("t", 3)}]
    assert sorted(group.seeks) == [("t", 1), ("t", 3)]


async def test_a_recovery_that_ends_in_spite_of_its_cancellation_does_not_pass_for_that_of_the_next_assignment() -> None:
    agent, recovery, _, step = agent_of()
    within = asyncio.Event()

    async def stubborn() -> None:
        within.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return  # as a client may swallow it

    recovery.hold = stubborn
    await agent.on_partitions_assigned(tps(0, 1))
    recovering = asyncio.ensure_future(step())
    await within.wait()
    await agent.on_partitions_revoked(tps(0, 1))
    await agent.on_partitions_assigned(tps(0))
    await recovering
    await step()
    assert recovery.recovered[-1] == {("t", 0)}


async def test_after_an_error_the_group_is_asked_before_a_former_owner_would_fence_the_present_one() -> None:
    agent, recovery, group, step = agent_of()
    await agent.on_partitions_assigned(tps(0))
    await step()
    agent._stale = agent._failed = True
    await step()
    assert (group.verified, len(recovery.recovered)) == (1, 2)
    agent._note_gap(GapError("x"))
    agent._note_gap(GapError("x"))
    with pytest.raises(Exception, match="they do not exist"):
        agent._note_gap(GapError("x"))
