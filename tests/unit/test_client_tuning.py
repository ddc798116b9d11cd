"""Compression, linger and the pace of fetches: what the clients of a worker get of the settings."""

from __future__ import annotations

import os
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.producer.message_accumulator import BatchBuilder, MessageAccumulator
from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread

from agents.repartition import consumer as sources
from app.driver.clients import ConsumerThread
from app.kafka.batches import Outgoing, keep_order, pack
from app.kafka.cluster import Cluster
from app.kafka.producers import BATCH_BYTES, BatchProducer
from app.settings import Settings
from app.settings.clients import Compression

CODECS = {Compression.none: 0, Compression.snappy: 2, Compression.lz4: 3, Compression.zstd: 4}
FIRST, SECOND = TopicPartition("bars", 0), TopicPartition("bars", 1)


class OneNode:
    """All partitions have the same leader."""

    def leader_for_partition(self, _: TopicPartition) -> int:
        return 1


def made(**options: Any) -> Any:
    """A producer that is never started."""
    compression = options.pop("compression", Compression.none)
    producer = BatchProducer(Cluster("127.0.0.1:9", compression=compression), max_request=1, **options)
    producer._producer._closed = True  # or its end would complain
    return producer


async def lingering() -> Any:
    """The queues of a producer with a linger that does not end by itself."""
    made = MessageAccumulator(OneNode(), BATCH_BYTES, 0, 30, linger_ms=3_600_000)
    producer: Any = type("Producer", (), {"_message_accumulator": made})
    keep_order(producer)
    return made


def packed(count: int, size: int = 1_000, *, close_last: bool) -> list[Any]:
    return [*pack(lambda: BatchBuilder(size, 0), [(b"k", b"v" * 100, None, [])] * count, close_last=close_last)]


async def test_a_batch_that_lingers_leaves_with_what_comes_to_other_partitions_and_at_a_commit() -> None:
    queues = await lingering()
    await queues.add_batch(packed(1, close_last=False)[0], FIRST, 10)
    assert not queues.drain_by_nodes(())[0]
    await queues.add_batch(packed(1, close_last=True)[0], SECOND, 10)
    assert set(queues.drain_by_nodes(())[0][1]) == {SECOND}, "without linger"
    (waiting,) = queues._batches[FIRST]
    waiting._builder.close()  # as a commit does
    assert set(queues.drain_by_nodes(())[0][1]) == {FIRST}


async def test_a_full_batch_does_not_linger() -> None:
    first, *between, last = packed(20, close_last=False)
    assert between
    assert first.closed()
    assert not last.closed()
    assert last.record_count() > 0
    assert all(batch.closed() for batch in packed(20, close_last=True))


async def test_a_producer_lingers_only_if_it_is_told_so() -> None:
    for linger in (0, 50):
        producer = made(linger=linger)
        assert producer._producer._message_accumulator._linger_time == linger / 1_000
        assert producer._lingers is (linger > 0)


@pytest.mark.parametrize("codec", Compression)
def test_a_batch_is_never_larger_than_it_would_be_without_compression(codec: Compression) -> None:
    incompressible: list[Outgoing] = [(b"k", os.urandom(4_000), None, []) for _ in range(30)]
    for batch in pack(lambda: BatchBuilder(16_384, CODECS[codec]), incompressible):
        assert len(batch._build()) <= 16_384


@pytest.mark.parametrize("codec", Compression)
async def test_every_producer_gets_the_codec(codec: Compression) -> None:
    producer = made(compression=codec)
    assert producer._producer._message_accumulator._compression_type == CODECS[codec]


async def test_the_consumers_of_ticks_get_the_pace_of_fetches(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings.load(fetch_min_bytes=77, fetch_max_wait="60ms")
    consumer, copying = (
        sources._consumer(settings, Cluster("127.0.0.1:9"), 6_000),
        sources._consumer(settings, Cluster("a:1"), 1),
    )
    consumer._fetch_min_bytes, consumer._fetch_max_wait_ms = 1, 500  # as Faust makes it
    monkeypatch.setattr(AIOKafkaConsumerThread, "_create_worker_consumer", lambda *_: consumer)
    transport: Any = SimpleNamespace(tasks=SimpleNamespace(settings=settings, assignor=None))
    ConsumerThread._create_worker_consumer(ConsumerThread.__new__(ConsumerThread), transport)
    for made in (consumer, copying):
        assert (made._fetch_min_bytes, made._fetch_max_wait_ms) == (77, 60)
        made._closed = True  # never started
