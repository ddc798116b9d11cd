"""Reading up to an offset ends, or fails with the reason."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from app.errors import StateError
from app.kafka import reader as module
from app.kafka.cluster import Cluster
from app.kafka.fetcher import RawTopics
from app.kafka.reader import Reader
from tests.conformance.pocket_process import PocketProcess
from tests.support.ticks import Tick, create_topic, produce
from tests.support.waiting import until

T0 = 1_399_248_000_000


async def test_reading_to_an_offset_that_never_comes_ends_with_the_reason(broker: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "STUCK_SECONDS", 0.5)
    topic = f"short-{uuid4().hex[:8]}"
    await _filled(broker, topic)
    offsets: list[int] = []

    async def read() -> None:
        async for batch in reader.read(topic, 0, 0, 7):
            offsets.extend([record.offset for record in batch])

    async with Reader(Cluster(broker), frozenset({topic})) as reader:
        with pytest.raises(StateError, match=r"nothing comes after offset 3, though 7 was its end \(it has 0 to 3 now\)"):
            await read()
        assert reader.reading == (f"{topic}[0]", 3, 7)
    assert offsets == [0, 1, 2]


async def test_a_consumer_stops_while_a_fetch_waits_for_its_retry(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    # aiokafka passes the cancellation of that fetch on to the caller of `stop`, which looks like a lost partition
    pocket = PocketProcess(tmp_path)
    pocket.start()
    with contextlib.ExitStack() as stack:
        stack.callback(pocket.kill)
        await _filled(pocket.bootstrap, "t")
        consumer = AIOKafkaConsumer(
            bootstrap_servers=pocket.bootstrap,
            key_deserializer=RawTopics(frozenset({"t"})),
            enable_auto_commit=False,
            retry_backoff_ms=60_000,
        )
        await consumer.start()
        consumer.assign([TopicPartition("t", 0)])
        consumer.seek(TopicPartition("t", 0), 0)
        assert await consumer.getmany(timeout_ms=30_000)
        stack.pop_all().close()
    await until(lambda: "Failed fetch messages" in caplog.text, what="a fetch fails")
    await consumer.stop()


async def _filled(broker: str, topic: str) -> None:
    await asyncio.to_thread(create_topic, broker, topic, 1)
    await asyncio.to_thread(produce, broker, topic, [Tick(T0 + n) for n in range(3)])
