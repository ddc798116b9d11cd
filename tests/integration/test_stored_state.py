"""Stored state that cannot be gone on from stops the worker with one line that says what is wrong with it."""

from __future__ import annotations

import asyncio

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient

from tests.integration.conftest import NewWorker
from tests.support.ticks import Tick, produce
from tests.support.worker import Worker

T0 = 1_399_248_000_000
STATE_ERROR = 4


async def _append(bootstrap: str, topic: str, key: bytes, value: bytes) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap)
    await producer.start()
    try:
        await producer.send_and_wait(topic, value, key, partition=0)
    finally:
        await producer.stop()


@pytest.mark.parametrize(
    ("key", "said"),
    [
        (b"position", "key 'position': not a position of this version"),
        (b"A|x", "key 'A|x': not a state of this version"),
    ],
)
def test_a_record_that_cannot_be_read_stops_the_worker_and_is_named(new_worker: NewWorker, key: bytes, said: str) -> None:
    worker = new_worker(topic_partitions="1").start()
    produce(worker.bootstrap, worker.ticks_topic, [Tick(T0)])
    worker.wait_read(1)
    worker.stop()
    asyncio.run(_append(worker.bootstrap, worker.changelog_topic, key, b'{"nonsense": true'))
    worker.spawn()
    assert worker.process is not None
    assert worker.process.wait(60) == STATE_ERROR
    assert said in worker.log().splitlines()[-1]
    assert "Traceback" not in worker.log()


@pytest.mark.parametrize("delivery", ["idempotent", "transactional"])
def test_a_second_app_on_the_same_finals_stops_and_names_the_first(new_worker: NewWorker, delivery: str) -> None:
    first = _stopped_after_a_bar(new_worker, delivery)
    second = new_worker(
        app_id="another", topics_prefix=first.settings["topics_prefix"], ticks_topic=first.ticks_topic, topic_partitions="1"
    )
    said = _last_words(second)
    assert f"ends with a bar of app_id {first.settings['app_id']}, this is another" in said
    assert "another topics_prefix" in said


@pytest.mark.parametrize("delivery", ["idempotent", "transactional"])
def test_a_changelog_that_was_deleted_stops_the_worker_instead_of_publishing_every_bar_again(
    new_worker: NewWorker, delivery: str
) -> None:
    worker = _stopped_after_a_bar(new_worker, delivery)
    asyncio.run(_delete(worker.bootstrap, worker.changelog_topic))
    said = _last_words(worker)
    assert f"{worker.changelog_topic}[0] holds no position" in said
    assert "was the changelog deleted?" in said


def _stopped_after_a_bar(new_worker: NewWorker, delivery: str) -> Worker:
    worker = new_worker(topic_partitions="1", delivery=delivery).start()
    produce(worker.bootstrap, worker.ticks_topic, [Tick(T0), Tick(T0 + 70_000)])
    worker.wait_read(2)  # the second tick closes the window of the first
    worker.stop()
    return worker


def _last_words(worker: Worker) -> str:
    worker.spawn()
    assert worker.process is not None
    assert worker.process.wait(60) == STATE_ERROR
    assert "Traceback" not in worker.log()
    return worker.log().splitlines()[-1]


async def _delete(bootstrap: str, topic: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        await admin.delete_topics([topic])
    finally:
        await admin.close()
