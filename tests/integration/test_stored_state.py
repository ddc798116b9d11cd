"""A changelog that this version cannot read stops the worker with one line, whatever is in it."""

from __future__ import annotations

import asyncio

import pytest
from aiokafka import AIOKafkaProducer

from tests.integration.conftest import NewWorker
from tests.support.ticks import Tick, produce

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
