"""The consumer of both floors: no group, every partition from its beginning."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiokafka import AIOKafkaConsumer, TopicPartition

from benchmarks.synthetic_ticks import PARTITIONS

FETCH_BYTES = 4 << 20  # a partition; what barwheel's worker asks for


@asynccontextmanager
async def whole_topic(bootstrap: str, topic: str) -> AsyncIterator[AIOKafkaConsumer]:
    """Yield a consumer at the beginning of all partitions."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        max_partition_fetch_bytes=FETCH_BYTES,
    )
    await consumer.start()
    try:
        consumer.assign([TopicPartition(topic, number) for number in range(PARTITIONS)])
        yield consumer
    finally:
        await consumer.stop()
