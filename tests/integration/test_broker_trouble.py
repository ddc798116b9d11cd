"""A broker that goes away, has no room, refuses a record or loses a topic: the worker waits or stops, and loses no bar."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from tests.conformance.pocket_process import PocketProcess
from tests.conformance.test_pocket_disk import full_disk
from tests.integration.conftest import NewWorker
from tests.support.ticks import Tick, heartbeat, produce, read, windows
from tests.support.worker import Worker

T0 = 1_399_248_000_000
BROKER_ERROR, STATE_ERROR, TOPICS_ERROR = 3, 4, 4
END = heartbeat(T0 + 66_000)  # closes the window of T0


@pytest.fixture
def own_worker(own_pocket: PocketProcess, tmp_path: Path) -> Iterator[Worker]:
    """A worker on that broker, not started."""
    worker = Worker(own_pocket.bootstrap, tmp_path / "worker", topic_partitions="1")
    yield worker
    worker.end()


def check_one_bar_of(worker: Worker, ticks: int) -> None:
    """One window, once, with every tick."""
    finals = read(worker.bootstrap, worker.finals_topic, 1)
    assert [seen.bar.ticks for seen in finals] == [ticks]


@pytest.mark.parametrize("delivery", ["idempotent", "transactional"])
def test_a_broker_that_goes_away_is_waited_for_and_said_so(
    own_pocket: PocketProcess, own_worker: Worker, delivery: str
) -> None:
    worker = own_worker
    worker.settings["delivery"] = delivery
    worker.start()
    produce(worker.bootstrap, worker.ticks_topic, [Tick(T0)])
    worker.wait_read(1)
    own_pocket.kill()
    worker.wait(lambda: not worker.ready(), "it is no longer ready")
    own_pocket.start()
    worker.wait(worker.ready, "it is ready again")
    produce(worker.bootstrap, worker.ticks_topic, [Tick(T0 + 1_000), END])
    worker.wait_closed(3)
    worker.stop()
    check_one_bar_of(worker, 2)


def test_bars_that_a_full_disk_does_not_take_are_published_when_there_is_room(
    own_pocket: PocketProcess, own_worker: Worker
) -> None:
    worker = own_worker.start()
    assert worker.process is not None
    worker.process.send_signal(signal.SIGSTOP)  # the disk must be full before it has a bar
    produce(worker.bootstrap, worker.ticks_topic, [Tick(T0), Tick(T0 + 1_000), END])
    with full_disk(own_pocket, limit=0):
        worker.process.send_signal(signal.SIGCONT)
        worker.wait_closed(3)
        assert read(worker.bootstrap, worker.finals_topic) == []
    check_one_bar_of(worker, 2)
    worker.stop()
    check_one_bar_of(worker, 2)


def test_a_bar_that_the_broker_finds_too_large_stops_the_worker_and_is_published_when_it_may(
    new_worker: NewWorker, tmp_path: Path
) -> None:
    worker = new_worker(topic_partitions="1", session_timeout="6s").start()
    asyncio.run(_configure(worker, {"cleanup.policy": "compact", "max.message.bytes": "100"}))
    produce(worker.bootstrap, worker.ticks_topic, [Tick(T0), Tick(T0 + 1_000), END])
    assert worker.process is not None
    assert worker.process.wait(60) == BROKER_ERROR
    said = worker.log().splitlines()[-1]
    assert "the broker refused a request" in said
    assert worker.finals_topic in said
    assert "Traceback" not in worker.log()
    worker.process = None
    assert read(worker.bootstrap, worker.finals_topic) == []
    asyncio.run(_configure(worker, {"cleanup.policy": "compact", "max.message.bytes": "1048588"}))
    worker.start().wait_closed(3)
    worker.stop()
    check_one_bar_of(worker, 2)


@pytest.mark.parametrize("lost", ["ticks", "finals", "changelog"])
def test_a_topic_that_is_deleted_and_made_anew_under_the_worker_stops_it_with_the_reason(
    new_worker: NewWorker, lost: str
) -> None:
    worker = new_worker(topic_partitions="1").start()
    minutes = [Tick(T0 + minute * 60_000) for minute in range(10)]
    produce(worker.bootstrap, worker.ticks_topic, minutes)
    worker.wait_read(10)
    assert len(windows(read(worker.bootstrap, worker.finals_topic, 9))) == 9
    worker.stop()  # a checkpoint has been made
    worker.start()
    topic = {"ticks": worker.ticks_topic, "finals": worker.finals_topic, "changelog": worker.changelog_topic}[lost]
    asyncio.run(_delete(worker, topic))
    assert worker.run("topics").returncode == 0
    produce(worker.bootstrap, worker.ticks_topic, [Tick(T0 + 11 * 60_000)])
    assert worker.process is not None
    assert worker.process.wait(60) == STATE_ERROR
    assert "created again" in worker.log().splitlines()[-1]
    assert topic in worker.log().splitlines()[-1]
    assert "Traceback" not in worker.log()
    worker.process = None
    again = worker.run("worker")
    assert again.returncode == STATE_ERROR
    assert topic in again.stderr.splitlines()[-1]


async def _configure(worker: Worker, configs: dict[str, str]) -> None:
    client = AIOKafkaAdminClient(bootstrap_servers=worker.bootstrap)
    await client.start()
    try:
        await client.alter_configs([ConfigResource(ConfigResourceType.TOPIC, worker.finals_topic, configs)])
    finally:
        await client.close()


async def _delete(worker: Worker, topic: str) -> None:
    client = AIOKafkaAdminClient(bootstrap_servers=worker.bootstrap)
    await client.start()
    try:
        answer = await client.delete_topics([topic])
        assert [code for _, code in answer.topic_error_codes] == [0]
    finally:
        await client.close()


def test_partitions_that_are_added_under_the_worker_stop_it_and_both_numbers_are_named(
    new_worker: NewWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONSUMER_METADATA_MAX_AGE_MS", "1000")  # how often a client looks at the topics: else 5 minutes
    worker = new_worker(topic_partitions="2").start()
    produce(worker.bootstrap, worker.ticks_topic, [Tick(T0)])
    worker.wait_read(1)
    asyncio.run(_add_partitions(worker, 3))
    assert worker.process is not None
    assert worker.process.wait(60) == TOPICS_ERROR
    assert f"topic {worker.ticks_topic}: has 3 partitions and had 2 when" in worker.log().splitlines()[-1]
    assert "Traceback" not in worker.log()
    worker.process = None


async def _add_partitions(worker: Worker, partitions: int) -> None:
    client = AIOKafkaAdminClient(bootstrap_servers=worker.bootstrap)
    await client.start()
    try:
        await client.create_partitions({worker.ticks_topic: NewPartitions(partitions)})
    finally:
        await client.close()
