"""The newest records of each partition of a topic, to be looked at."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

from aiokafka import AIOKafkaConsumer, TopicPartition

from app.errors import InputError
from app.kafka.cluster import Cluster

POLL_MS = 500
QUIET_POLLS = 4  # so many polls without a record end the sample: at the end of a partition may be markers of transactions


class Seen(NamedTuple):
    """One record. `timestamp`: epoch ms; the broker's where `timestamp_type` is 1 (LogAppendTime), else the producer's."""

    partition: int
    offset: int
    timestamp: int
    timestamp_type: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]] = ()


class Sample(NamedTuple):
    """Some records of a topic, by partition and offset. `total`: how many offsets the topic has."""

    topic: str
    partitions: int
    total: int
    records: list[Seen]


async def take(cluster: Cluster, topic: str, count: int) -> Sample:
    """About `count` of the newest records, equally many of each partition. Raises `InputError` where there is no such topic."""
    consumer = AIOKafkaConsumer(**cluster.client, isolation_level="read_committed", enable_auto_commit=False)
    async with consumer:
        if topic not in await consumer.topics():
            raise InputError(f"there is no topic {topic} on {cluster}: give another name, app inspect TOPIC")
        numbers = sorted(await _partitions(consumer, topic))
        tps = [TopicPartition(topic, number) for number in numbers]
        begin, end = await asyncio.gather(consumer.beginning_offsets(tps), consumer.end_offsets(tps))
        share = max(1, count // len(tps))
        consumer.assign(tps)
        for tp in tps:
            consumer.seek(tp, max(begin[tp], end[tp] - share))
        records = await _read(consumer, {tp: end[tp] for tp in tps if end[tp] > begin[tp]})
    total = sum(end[tp] - begin[tp] for tp in tps)
    return Sample(topic, len(tps), total, sorted(records))


async def _partitions(consumer: AIOKafkaConsumer, topic: str) -> set[int]:
    found: set[int] | None = consumer.partitions_for_topic(topic)
    if not found:
        await consumer._client._wait_on_metadata(topic)  # noqa: SLF001  # as aiokafka's own clients do
        found = consumer.partitions_for_topic(topic)
    return found or {0}


async def _read(consumer: AIOKafkaConsumer, ends: dict[TopicPartition, int]) -> list[Seen]:
    """The records before these ends; those that arrive meanwhile are left."""
    found: list[Seen] = []
    quiet = 0
    while ends and quiet < QUIET_POLLS:
        fetched = await consumer.getmany(*ends, timeout_ms=POLL_MS)
        quiet = 0 if fetched else quiet + 1
        for tp, records in fetched.items():
            for record in records:
                if record.offset < ends[tp]:
                    stamp = -1 if record.timestamp is None else record.timestamp
                    found.append(
                        Seen(
                            tp.partition, record.offset, stamp, record.timestamp_type, record.key, record.value, record.headers
                        )
                    )
        ends = {tp: end for tp, end in ends.items() if await consumer.position(tp) < end}
    return found
