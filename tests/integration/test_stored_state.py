"""Stored state that cannot be gone on from stops the worker with one line that says what is wrong with it."""

from __future__ import annotations

import asyncio
import json

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic, RecordsToDelete
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from tests.conformance.clients import eventually
from tests.integration.conftest import NewWorker
from tests.support.ticks import Tick, produce, read
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


def test_bars_that_were_deleted_after_the_last_checkpoint_stop_the_worker_instead_of_being_published_again(
    new_worker: NewWorker,
) -> None:
    worker = new_worker(topic_partitions="1", checkpoint_interval="1h").start()
    produce(worker.bootstrap, worker.ticks_topic, [Tick(T0), Tick(T0 + 70_000)])
    assert len(read(worker.bootstrap, worker.finals_topic, lambda bars: len(bars) == 1)) == 1
    worker.kill()
    asyncio.run(_delete_before(worker.bootstrap, worker.finals_topic, 1))
    said = _last_words(worker)
    assert f"{worker.finals_topic}[0] begins at offset 1, after 0: bars published since the last checkpoint were" in said
    assert "on_gap=continue to publish them again" in said
    worker.end()
    worker.settings["on_gap"] = "continue"
    worker.start()
    again = read(worker.bootstrap, worker.finals_topic, lambda bars: len(bars) == 1)
    assert [seen.offset for seen in again] == [1]


def test_an_input_that_was_made_anew_and_is_longer_by_now_stops_the_worker(new_worker: NewWorker) -> None:
    worker = new_worker(topic_partitions="1", idle_close="off").start()
    produce(worker.bootstrap, worker.ticks_topic, [Tick(T0 + second * 1_000) for second in range(10)])
    worker.wait_read(10)
    assert _doctor(worker, "was created again") == [], "of a running worker"
    worker.stop()
    asyncio.run(_make_anew(worker.bootstrap, worker.ticks_topic))
    reload = [Tick(T0 + 3_600_000 + second * 1_000) for second in range(30)]
    produce(worker.bootstrap, worker.ticks_topic, reload)
    said = _last_words(worker)
    assert f"{worker.ticks_topic}[0] was created again: its topic id is" in said
    assert "set on_gap=continue to go on from offset 0" in said
    worker.end()
    flush = worker.run("flush", "--yes")
    assert (flush.returncode, "was created again" in flush.stderr) == (STATE_ERROR, True), (
        "no heartbeat for another topic's windows"
    )
    assert _doctor(worker, "was created again") == ["wrong"]
    worker.settings["on_gap"] = "continue"
    assert _doctor(worker, "was created again") == ["note"]
    worker.start()
    worker.wait_read(10 + len(reload))
    worker.stop()
    worker.settings["on_gap"] = "stop"
    worker.start()  # what it went on from is known now
    worker.stop()


def _doctor(worker: Worker, said: str) -> list[str]:
    """The levels of the findings that say this."""
    done = worker.run("doctor", "--json")
    found = json.loads(done.stdout)
    assert done.returncode == int(any(item["level"] == "wrong" for item in found["findings"])), done.stderr
    return [item["level"] for item in found["findings"] if said in item["text"]]


def test_another_ticks_topic_stops_the_worker_and_both_are_named(new_worker: NewWorker) -> None:
    worker = _stopped_after_a_bar(new_worker, "idempotent")
    former = worker.ticks_topic
    worker.settings["ticks_topic"] = f"{former}_v2"
    said = _last_words(worker)
    assert f"ticks_topic={former} stored, {former}_v2 set" in said


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


async def _delete_before(bootstrap: str, topic: str, offset: int) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        for policy in ("delete", "compact"):
            await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, {"cleanup.policy": policy})])
            if policy == "delete":  # a compacted topic refuses it
                await admin.delete_records({TopicPartition(topic, 0): RecordsToDelete(before_offset=offset)})
    finally:
        await admin.close()


async def _make_anew(bootstrap: str, topic: str) -> None:
    await _delete(bootstrap, topic)
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        configs = {"message.timestamp.type": "LogAppendTime"}

        async def created() -> bool:  # a broker may still be deleting the files of the former one
            answer = await admin.create_topics([NewTopic(topic, 1, 1, topic_configs=configs)])
            return [code for _, code, *_ in answer.topic_errors] == [0]

        await eventually(created)
    finally:
        await admin.close()


async def _delete(bootstrap: str, topic: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        await admin.delete_topics([topic])
    finally:
        await admin.close()
