"""The check of a running worker: which answers of a real broker lead to a recovery, and when it is asked."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import NewTopic
from aiokafka.errors import KafkaConnectionError

from agents import log_watch
from agents.input_log import EndOfEpoch
from agents.log_watch import LogWatch
from agents.topics import identity_of
from app.kafka.bootstrap import admin
from app.kafka.cluster import Cluster
from app.kafka.identity import identify
from app.kafka.slices import GapError
from app.pocket.server import Broker
from app.settings import Settings
from tables.state import Identity
from tests.support.ports import free_port


class Task:
    """A partition's task as the watch sees it."""

    def __init__(self, identity: Identity) -> None:
        self.number, self.identity, self.finals_end = 0, identity, 0
        self.leaders: list[int] = []  # ends of the epochs that it asked for
        self.finals: list[tuple[int, int]] = []

    async def check_log(self, ask: EndOfEpoch) -> None:
        end = await ask(0, 0)
        assert end is not None
        self.leaders.append(end.offset)

    def finals_are_there(self, leader_epoch: int, end: int) -> None:
        self.finals.append((leader_epoch, end))


class Refusals:
    """A consumer, of which the watch wants to know only how many fetches were refused."""

    count = 0

    def refusals(self) -> int:
        return self.count


class Watched:
    """A broker, a task and the watch."""

    def __init__(self, broker: Broker) -> None:
        self.cluster = Cluster(f"127.0.0.1:{broker.port}")
        self.settings = Settings.load()
        self.watch = LogWatch(self.settings)
        self.consumer: Any = Refusals()
        self.task: Any = None

    async def begin(self) -> None:
        await self.create(self.settings.ticks_topic)
        await self.create(self.settings.finals_topic)
        self.task = Task(await self.identity())

    async def identity(self) -> Identity:
        async with admin(self.cluster) as client:
            found = await identify(client, [self.settings.ticks_topic, self.settings.finals_topic])
            return identity_of(self.settings, found)

    async def create(self, topic: str) -> None:
        async with admin(self.cluster) as client:
            await client.create_topics([NewTopic(topic, 1, 1)])

    async def delete(self, topic: str) -> None:
        async with admin(self.cluster) as client:
            await client.delete_topics([topic])

    async def check(self) -> None:
        """Before a slice."""
        await self.watch.check_if_doubtful(self.cluster, {0: self.task}, self.consumer)


@pytest.fixture
async def watched(tmp_path: Path) -> AsyncIterator[Watched]:
    broker = await Broker(tmp_path).start()
    made = Watched(broker)
    await made.begin()
    yield made
    await broker.stop()


async def test_nothing_is_asked_without_a_refusal_until_the_time_has_come(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    await watched.check()
    await watched.watch.check_if_due(watched.cluster, {0: watched.task}, watched.consumer)
    assert watched.task.finals == []
    monkeypatch.setattr(log_watch, "CHECK_SECONDS", 0.0)
    await watched.watch.check_if_due(watched.cluster, {0: watched.task}, watched.consumer)
    assert watched.task.finals == [(0, 0)]


@pytest.mark.parametrize("which", ["input", "finals"])
async def test_a_topic_that_was_made_anew_is_found_after_a_refusal(watched: Watched, which: str) -> None:
    topic = watched.settings.ticks_topic if which == "input" else watched.settings.finals_topic
    await watched.delete(topic)
    await watched.create(topic)
    await watched.check()  # nothing was refused
    watched.consumer.count = 1
    with pytest.raises(
        GapError,
        match=f"the topic of the {which} is another one: its id is .*, and was {getattr(watched.task.identity, which)}",
    ):
        await watched.check()


async def test_while_the_input_is_gone_every_slice_is_doubtful(watched: Watched) -> None:
    watched.consumer.count = 1
    await watched.delete(watched.settings.ticks_topic)
    await watched.check()
    await watched.create(watched.settings.ticks_topic)
    with pytest.raises(GapError, match="the topic of the input is another one"):
        await watched.check()


async def test_another_cluster_is_found(watched: Watched) -> None:
    watched.task.identity = Identity("another", watched.task.identity.input, watched.task.identity.finals)
    watched.consumer.count = 1
    with pytest.raises(GapError, match=r"the cluster is another one: its id is .*, and was another"):
        await watched.check()


async def test_each_leader_is_checked_once_for_each_task(watched: Watched) -> None:
    for _ in range(3):
        watched.consumer.count += 1
        await watched.check()
    assert (watched.task.leaders, watched.task.finals) == ([0], [(0, 0)] * 3)
    watched.task = Task(watched.task.identity)  # as after a recovery
    watched.consumer.count += 1
    await watched.check()
    assert watched.task.leaders == [0]


async def test_finals_that_end_before_what_was_acknowledged_were_truncated(watched: Watched) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=watched.cluster.bootstrap)
    await producer.start()
    await producer.send_and_wait(watched.settings.finals_topic, b"a bar", partition=0)
    await producer.stop()
    watched.task.finals_end = 1
    watched.consumer.count = 1
    await watched.check()
    watched.task = Task(watched.task.identity)
    watched.task.finals_end = 2
    watched.consumer.count = 2
    with pytest.raises(GapError, match=r"ends at 1, and bars were acknowledged up to 2"):
        await watched.check()


async def test_a_broker_that_is_away_is_asked_again_and_holds_back_the_next_slice(watched: Watched) -> None:
    watched.consumer.count = 1
    watched.cluster = replace(watched.cluster, bootstrap=f"127.0.0.1:{free_port()}")
    await watched.watch.check_if_due(watched.cluster, {0: watched.task}, watched.consumer)
    with pytest.raises(KafkaConnectionError):
        await watched.check()
