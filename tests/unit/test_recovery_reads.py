"""What recovery asks of the broker: no record twice, and some partitions at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any, Self

import pytest
from aiokafka import errors as kafka_errors

from agents import task_creator
from agents.metrics import Metrics
from agents.readiness import Readiness
from agents.recovery import recover
from agents.task_creator import READERS, TaskCreator
from agents.topics import TopicsReport
from app.kafka.cluster import Cluster
from app.settings import Settings
from app.settings.types import Delivery, ScopeKind
from tables.state import UNKNOWN
from tests.simulation.partition import run
from tests.simulation.steps import NEXT_WINDOW, TICK, Step
from tests.simulation.topics import ListReader

PARTITIONS = 5 * READERS


@pytest.mark.parametrize("delivery", list(Delivery))
async def test_a_short_changelog_and_short_finals_are_read_once(delivery: Delivery) -> None:
    one_bar: list[Step] = [TICK, ("read", 1), NEXT_WINDOW, ("read", 1), ("checkpoint", None)]
    simulation = await run(one_bar, ScopeKind.BROKER, delivery)
    reads: list[str] = []

    class Counting(ListReader):
        async def read(self, topic: str, partition: int, start: int, end: int) -> Any:
            reads.append(topic)
            async for batch in super().read(topic, partition, start, end):
                yield batch

    reader: Any = Counting(simulation.topics)
    found = await recover(reader, simulation.settings, 0, 1)
    assert found.position.counters.read == 2
    assert sorted(reads) == sorted([simulation.settings.changelog_topic, simulation.settings.finals_topic])


class NoReader:
    """A reader of a broker on which every partition has a leader."""

    reading = ("", 0, 0)
    open = most = asked = 0

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    async def __aenter__(self) -> Self:
        NoReader.open += 1
        NoReader.most = max(NoReader.most, NoReader.open)
        return self

    async def __aexit__(self, *_: object) -> None:
        NoReader.open -= 1

    def leaderless(self, _: Iterable[Any]) -> dict[Any, Any]:
        return {}

    async def bounds_of(self, places: Iterable[Any]) -> tuple[dict[Any, Any], dict[Any, Any]]:
        NoReader.asked += 1
        return dict.fromkeys(places, (0, 0)), {}


def creator_without_a_broker(monkeypatch: pytest.MonkeyPatch, reader: type[NoReader]) -> TaskCreator:
    async def check(*_: Any) -> Any:
        return UNKNOWN

    async def start(*_: Any, **__: Any) -> dict[int, Any]:
        return {}

    monkeypatch.setattr(task_creator, "Reader", reader)
    monkeypatch.setattr(task_creator, "check_partitions", check)
    creator = TaskCreator(Settings.load(), Metrics(5_000), Readiness())
    monkeypatch.setattr(creator._producers, "start", start)
    return creator


async def test_many_partitions_are_recovered_some_at_a_time_and_their_offsets_asked_for_together(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now, most = 0, 0

    async def recover_one(_self: Any, _reader: Any, _cluster: Any, number: int) -> int:
        nonlocal now, most
        now += 1
        most = max(most, now)
        await asyncio.sleep(0)
        now -= 1
        return number

    creator = creator_without_a_broker(monkeypatch, NoReader)
    monkeypatch.setattr(task_creator._Attempt, "_recover_one", recover_one)
    topics = TopicsReport(PARTITIONS, True, 1 << 20, [], [], {}, 1 << 20)
    tasks: dict[int, Any] = await creator.recover(Cluster("a:1"), topics, set(range(PARTITIONS)))
    assert sorted(tasks.items()) == [(number, number) for number in range(PARTITIONS)]
    assert (most, NoReader.most, NoReader.asked, NoReader.open) == (READERS, READERS, 1, 0)


async def test_a_recovery_whose_readers_cannot_connect_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    class Refused(NoReader):
        made = 0

        async def __aenter__(self) -> Self:
            Refused.made += 1
            if Refused.made > 1 and Refused.made <= 1 + READERS:  # those of the first attempt, after that of the offsets
                await asyncio.sleep(0)
                raise kafka_errors.KafkaConnectionError("the broker has gone away")
            return await super().__aenter__()

    async def recover_one(_self: Any, _reader: Any, _cluster: Any, number: int) -> int:
        return number

    async def answers(_: Cluster) -> None:
        """The brokers refuse nothing."""

    monkeypatch.setattr(task_creator, "BACKOFF_SECONDS", (0.0, 0.0))
    monkeypatch.setattr(task_creator, "unreachable", answers)
    creator = creator_without_a_broker(monkeypatch, Refused)
    monkeypatch.setattr(task_creator._Attempt, "_recover_one", recover_one)
    topics = TopicsReport(PARTITIONS, True, 1 << 20, [], [], {}, 1 << 20)
    assert sorted(await creator.recover(Cluster("a:1"), topics, set(range(PARTITIONS)))) == list(range(PARTITIONS))
    assert Refused.made > 1 + READERS
