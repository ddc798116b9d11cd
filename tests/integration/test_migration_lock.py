"""The lock and the history of migrations on a broker: one runner at a time, and nobody writes after a successor."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import msgspec
import pytest
from aiokafka import AIOKafkaProducer

from app.kafka.cluster import Cluster
from app.kafka.topics import TopicSpec, ensure_one
from migrations.errors import LockLostError, MigrationError
from migrations.plan.entry import Entry, Status
from migrations.run import history
from migrations.run.history import Writer
from migrations.run.lock import ApplyLock
from tests.support.waiting import until
from tests.support.worker import ROOT

SESSION_MS = 6_000  # the least that Apache Kafka allows
HOLDER = """
import asyncio, sys
from app.kafka.cluster import Cluster
from migrations.errors import LockLostError
from migrations.plan.entry import Entry
from migrations.run.history import Writer
from migrations.run.lock import ApplyLock
import msgspec

async def main(broker, topic, session_ms):
    cluster = Cluster(broker)
    async with ApplyLock(cluster, topic, wait_seconds=60, session_ms=int(session_ms)) as lock, Writer(cluster, topic) as writer:
        print("held", flush=True)
        while line := (await asyncio.to_thread(sys.stdin.readline)).strip():
            try:
                await (lock.check() if line == "check" else writer.write(msgspec.json.decode(line, type=Entry)))
                print("done", flush=True)
            except LockLostError as error:
                print(f"lost: {error}", flush=True)

asyncio.run(main(*sys.argv[1:]))
"""


class Holder:
    """A runner that does what it is told, in a process of its own."""

    def __init__(self, cluster: Cluster, topic: str) -> None:
        command = [sys.executable, "-c", HOLDER, cluster.bootstrap, topic, str(SESSION_MS)]
        self.process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._line() == "held"

    def told(self, line: str) -> str:
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return self._line()

    def _line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def end(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture
async def cluster(broker: str) -> Cluster:
    """The broker."""
    return Cluster(broker)


@pytest.fixture
async def topic(cluster: Cluster) -> str:
    """A history of the test's own."""
    name = f"{uuid4().hex[:8]}-{history.TOPIC}"
    await history.ensure_topic(cluster, name, 1)
    return name


@pytest.fixture
def holder(cluster: Cluster, topic: str) -> Iterator[Holder]:
    """A process that has the lock."""
    started = Holder(cluster, topic)
    yield started
    started.end()


def entry(number: int, **other: Any) -> Entry:
    """What is recorded of a statement."""
    given = {
        "id": f"0001_ticks/{number}",
        "hash": f"v1:sha256:{number}",
        "name": f"S{number}",
        "text": "CREATE STREAM s (a INT) WITH (KAFKA_TOPIC='t', VALUE_FORMAT='JSON');",
        "status": Status.applied,
        "app_id": "app",
        "app_version": "1",
        "user": "me",
        "cluster_id": "c",
        "applied_at": 1_399_248_000_000,
    }
    return Entry(**{**given, **other})


# ---- the lock


async def test_of_many_runners_one_at_a_time_has_the_lock(cluster: Cluster, topic: str) -> None:
    inside: list[int] = []
    order: list[int] = []

    async def run(number: int) -> None:
        async with ApplyLock(cluster, topic, wait_seconds=60, session_ms=SESSION_MS) as lock:
            inside.append(number)
            order.append(number)
            for _ in range(5):  # while the others come and go
                assert inside == [number]
                await lock.check()
                await asyncio.sleep(0.02)
            inside.remove(number)

    await asyncio.gather(*(run(number) for number in range(4)))
    assert sorted(order) == [0, 1, 2, 3]


async def test_who_waits_in_vain_says_so_and_leaves_the_holder_its_lock(cluster: Cluster, topic: str) -> None:
    async with ApplyLock(cluster, topic, wait_seconds=10, session_ms=SESSION_MS) as lock:
        with pytest.raises(MigrationError, match=r"another runner is at work .* `app migrate unlock`"):
            async with ApplyLock(cluster, topic, wait_seconds=0.5, session_ms=SESSION_MS):
                pytest.fail("two have it")
        await lock.check()
    async with ApplyLock(cluster, topic, wait_seconds=10, session_ms=SESSION_MS):
        pass


async def test_the_lock_of_a_killed_runner_is_freed(cluster: Cluster, topic: str, holder: Holder) -> None:
    holder.process.kill()
    async with ApplyLock(cluster, topic, wait_seconds=30, session_ms=SESSION_MS) as lock, Writer(cluster, topic) as writer:
        await lock.check()
        await writer.write(entry(1))


async def test_a_runner_that_was_frozen_finds_its_lock_gone(cluster: Cluster, topic: str, holder: Holder) -> None:
    assert holder.told(msgspec.json.encode(entry(1)).decode()) == "done"
    holder.process.send_signal(signal.SIGSTOP)
    async with ApplyLock(cluster, topic, wait_seconds=30, session_ms=SESSION_MS) as lock, Writer(cluster, topic) as writer:
        holder.process.send_signal(signal.SIGCONT)
        said = await asyncio.to_thread(holder.told, msgspec.json.encode(entry(2, user="frozen")).decode())
        assert said.startswith(f"lost: {topic}: another runner has taken over")
        await until(lambda: holder.told("check").startswith("lost"), what="the group tells it too", every=0.2)
        await lock.check()
        await writer.write(entry(2))
    assert {name: found.user for name, found in (await history.read(cluster, topic, "app")).items()} == {
        "0001_ticks/1": "me",
        "0001_ticks/2": "me",
    }


# ---- the history


async def test_a_topic_that_would_forget_is_refused(cluster: Cluster) -> None:
    name = uuid4().hex
    await ensure_one(cluster, TopicSpec(name, 1, {"cleanup.policy": "delete"}, ""), 1)
    with pytest.raises(MigrationError, match=r"1 partitions and cleanup.policy=delete, and must have 1 and compact"):
        await history.ensure_topic(cluster, name, 1)


async def test_a_writer_is_refused_once_there_is_another(cluster: Cluster, topic: str) -> None:
    async with Writer(cluster, topic) as first:
        await first.write(entry(1))
        async with Writer(cluster, topic) as second:
            for _ in range(2):
                with pytest.raises(LockLostError, match="0001_ticks/2 was not recorded"):
                    await first.write(entry(2))
            await second.write(entry(3))
    assert list(await history.read(cluster, topic, "app")) == ["0001_ticks/1", "0001_ticks/3"]


async def test_each_app_has_the_newest_of_its_own_entries(cluster: Cluster, topic: str) -> None:
    async with Writer(cluster, topic) as writer:
        await writer.write(entry(1, status=Status.sending))
        await writer.write(entry(1, duration_ms=7, server_text="CREATE STREAM S (A INTEGER);"))
        await writer.write(entry(1, app_id="other", hash="x"))
    assert await history.read(cluster, topic, "app") == {
        "0001_ticks/1": entry(1, duration_ms=7, server_text="CREATE STREAM S (A INTEGER);")
    }
    assert [found.hash for found in (await history.read(cluster, topic, "other")).values()] == ["x"]
    assert await history.read(cluster, topic, "ap") == {}


async def test_who_follows_the_history_sees_what_others_write(cluster: Cluster, topic: str) -> None:
    async with Writer(cluster, topic) as writer:
        await writer.write(entry(1))
        following = history.follow(cluster, topic, "app")
        assert list(await anext(following)) == ["0001_ticks/1"]
        await writer.write(entry(2))
        assert list(await anext(following)) == ["0001_ticks/1", "0001_ticks/2"]
        await following.aclose()  # type: ignore[attr-defined]  # it is a generator


async def test_what_this_version_cannot_read_is_named_and_what_was_removed_is_gone(cluster: Cluster, topic: str) -> None:
    producer = AIOKafkaProducer(**cluster.client)
    await producer.start()
    await producer.send_and_wait(topic, msgspec.json.encode(entry(1)), b"app|1", partition=0)
    await producer.send_and_wait(topic, None, b"app|1", partition=0)
    await producer.send_and_wait(topic, json.dumps({"id": 1}).encode(), b"old|0001_x/1", partition=0)
    await producer.stop()
    assert await history.read(cluster, topic, "app") == {}
    with pytest.raises(MigrationError, match="the history of old holds 0001_x/1 in a form"):
        await history.read(cluster, topic, "old")
