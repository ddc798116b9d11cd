"""Produce ticks and read topics in tests, without a consumer group."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions

from app.kafka.topics import TopicSpec, new_topic
from tables.bar_formats.records import bar_of
from tables.bars import Bar

DEADLINE = 60.0  # seconds


@dataclass(frozen=True)
class Seen:
    """One record as a consumer saw it."""

    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Mapping[str, bytes] = field(default_factory=dict)

    @property
    def bar(self) -> Bar:
        """The record of a finals topic as a bar."""
        assert self.value is not None
        return bar_of(self.value, self.headers.items())

    @property
    def content(self) -> tuple[int, bytes | None, int, bytes | None]:
        """Everything but the offset: equal for two copies of a record."""
        return self.partition, self.key, self.timestamp, self.value


@dataclass(frozen=True)
class Tick:
    """A record to send: a tick of `ts`, or without `ts` any `key` and `value`."""

    ts: int = 0
    bid: str = "1.5"
    name: str = "A|x"
    more: str = ""
    value: bytes | None = None
    key: bytes | None = None

    @property
    def record(self) -> tuple[bytes | None, bytes | None]:
        """Key and value."""
        if not self.ts:
            return self.key, self.value
        return self.name.encode(), f'{{"ts": {self.ts}, "bid": {self.bid}{self.more}}}'.encode()


def heartbeat(ts: int, name: str = "A|x") -> Tick:
    """A heartbeat of an event time."""
    return Tick(key=name.encode(), value=f'{{"ts": {ts}, "heartbeat": true}}'.encode())


def produce(bootstrap: str, topic: str, ticks: Iterable[Tick], partition: int = 0) -> list[int]:
    """Send ticks to a partition in as few batches as possible, and wait; returns their offsets."""
    return asyncio.run(_produce(bootstrap, topic, [tick.record for tick in ticks], partition))


async def _produce(bootstrap: str, topic: str, records: list[tuple[bytes | None, bytes | None]], partition: int) -> list[int]:
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, max_request_size=4 << 20, acks="all")
    await producer.start()
    try:
        offsets: list[int] = []
        batch = producer.create_batch()
        for key, value in records:
            if batch.append(key=key, value=value, timestamp=None) is None:
                if batch.record_count():
                    offsets += await _send(producer, topic, partition, batch)
                    batch = producer.create_batch()
                if batch.append(key=key, value=value, timestamp=None) is None:  # too large for a batch
                    metadata = await producer.send_and_wait(topic, key=key, value=value, partition=partition)
                    offsets.append(metadata.offset)
        if batch.record_count():
            offsets += await _send(producer, topic, partition, batch)
        return offsets
    finally:
        await producer.stop()


async def _send(producer: AIOKafkaProducer, topic: str, partition: int, batch: object) -> range:
    count: int = batch.record_count()  # type: ignore[attr-defined]  # aiokafka's BatchBuilder is untyped
    metadata = await (await producer.send_batch(batch, topic, partition=partition))
    return range(metadata.offset, metadata.offset + count)


def read(
    bootstrap: str,
    topic: str,
    enough: Callable[[list[Seen]], bool] | int | None = None,
    deadline: float = DEADLINE,
) -> list[Seen]:
    """All records of a topic, in order of partition and offset.

    Waits until there are `enough`: a number, or a condition on the records; None reads up to the current end. Raises
    `AssertionError` with the last records after `deadline` seconds.
    """
    if isinstance(enough, int):
        wanted = enough

        def at_least(records: list[Seen]) -> bool:
            return len(records) >= wanted

        enough = at_least
    return asyncio.run(_read(bootstrap, topic, enough, deadline))


async def _read(bootstrap: str, topic: str, enough: Callable[[list[Seen]], bool] | None, deadline: float) -> list[Seen]:
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap,
        enable_auto_commit=False,
        isolation_level="read_committed",
        auto_offset_reset="earliest",
        max_partition_fetch_bytes=4 << 20,
    )
    await consumer.start()
    try:
        until = time.monotonic() + deadline
        while not (partitions := await _partitions(consumer, topic)):
            assert time.monotonic() < until, f"topic {topic} does not exist after {deadline} s"
        consumer.assign(partitions)
        ends = await consumer.end_offsets(partitions)
        found: list[Seen] = []
        while True:
            complete = [(await consumer.position(tp)) >= ends[tp] for tp in partitions]
            if all(complete) and (enough is None or enough(found)):
                return sorted(found, key=lambda seen: (seen.partition, seen.offset))
            shown = "\n".join(str(seen) for seen in found[-20:])
            assert time.monotonic() < until, (
                f"{topic}: only {len(found)} records after {deadline} s, the last of them:\n{shown}"
            )
            for tp, records in (await consumer.getmany(timeout_ms=200)).items():
                found += [Seen(tp.partition, r.offset, r.timestamp, r.key, r.value, dict(r.headers)) for r in records]
    finally:
        await consumer.stop()


async def _partitions(consumer: AIOKafkaConsumer, topic: str) -> list[TopicPartition]:
    await consumer._client.force_metadata_update()  # the topic may be new
    await consumer.topics()
    return [TopicPartition(topic, number) for number in sorted(consumer.partitions_for_topic(topic) or ())]


def create_topic(bootstrap: str, topic: str, partitions: int, **configs: str) -> None:
    """Create a topic, with the cluster's default of replicas; `cleanup_policy="compact"` means cleanup.policy=compact."""

    async def create() -> None:
        admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
        await admin.start()
        try:
            named = {name.replace("_", "."): value for name, value in configs.items()}
            await admin.create_topics([new_topic(TopicSpec(topic, partitions, named, ""), -1)])
        finally:
            await admin.close()

    asyncio.run(create())
    read(bootstrap, topic)  # waits for its metadata


def add_partitions(bootstrap: str, topic: str, partitions: int) -> None:
    """Give a topic so many partitions in all."""

    async def add() -> None:
        admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
        await admin.start()
        try:
            await admin.create_partitions({topic: NewPartitions(partitions)})
        finally:
            await admin.close()

    asyncio.run(add())
    asyncio.run(_until_partitions(bootstrap, topic, partitions))


async def _until_partitions(bootstrap: str, topic: str, partitions: int) -> None:
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap)
    await consumer.start()
    try:
        until = time.monotonic() + DEADLINE
        while len(await _partitions(consumer, topic)) < partitions:
            assert time.monotonic() < until, f"{topic} does not have {partitions} partitions after {DEADLINE} s"
    finally:
        await consumer.stop()


def delete_topic(bootstrap: str, topic: str) -> None:
    """Delete a topic, and wait until it is gone."""

    async def delete() -> None:
        admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
        await admin.start()
        try:
            await admin.delete_topics([topic])
            until = time.monotonic() + DEADLINE
            while topic in await admin.list_topics():
                assert time.monotonic() < until, f"topic {topic} is still there after {DEADLINE} s"
                await asyncio.sleep(0.05)
        finally:
            await admin.close()

    asyncio.run(delete())


def windows(finals: Iterable[Seen]) -> list[tuple[str, str, int]]:
    """The windows of the published bars, in order."""
    return [(seen.bar.broker, seen.bar.symbol, seen.bar.bucket_start) for seen in finals]


def of(finals: Iterable[Seen], broker: str, symbol: str | None = None) -> list[Bar]:
    """The bars of a broker, or of one symbol of it."""
    return [seen.bar for seen in finals if seen.bar.broker == broker and symbol in {None, seen.bar.symbol}]


def now_ms() -> int:
    """The current time in epoch ms, for ticks that arrive near their event time."""
    return time.time_ns() // 1_000_000
