"""Reading bars from their topics, without a consumer group: for the commands and the demo."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter
from typing import Any, NamedTuple

import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from agents.headers import producer_app
from app.doubled import Doubled
from app.errors import BrokerError
from app.kafka.bootstrap import admin
from app.kafka.cluster import Cluster
from app.kafka.topics import partition_counts
from tables.bar_formats.records import bar_of
from tables.bars import Bar

BAR_ORDER = attrgetter("bucket_start", "broker", "symbol")
ORDER = attrgetter("order")  # of placed bars
BarOrder = tuple[int, str, str, int]  # start, broker, symbol, partition
_POLL_MS = 200


@dataclass(frozen=True)
class BarQuery:
    """Which bars of one app: `since` (included) and `until` (excluded) are bar starts in epoch ms, None is no limit."""

    app_id: str
    broker: str | None = None
    symbol: str | None = None
    since: int | None = None
    until: int | None = None

    def match(self, record: Any) -> Bar | None:
        """The bar in a consumer record; None if it does not match, is another app's, or is not a bar."""
        bar = self.read(record)
        return bar if bar is not None and self.wants(bar, bar.bucket_start) else None

    def read(self, record: Any) -> Bar | None:
        """The bar in a consumer record, whatever it is of; None if it is another app's, or is not a bar."""
        if record.value is None or producer_app(record.headers) != self.app_id.encode():
            return None
        try:
            return bar_of(record.value, record.headers)
        except msgspec.MsgspecError:
            return None

    def wants(self, bar: Bar, start: int) -> bool:
        """Whether a bar matches, with this start of its window."""
        return (
            self.broker in (None, bar.broker)
            and self.symbol in (None, bar.symbol)
            and (self.since is None or start >= self.since)
            and (self.until is None or start < self.until)
        )


@asynccontextmanager
async def topic_consumer(cluster: Cluster, topic: str, *beside: str) -> AsyncIterator[AIOKafkaConsumer | None]:
    """Give a consumer at the beginning of all partitions, with read_committed; None if the topic does not exist.

    `beside`: topics that are read as well, where they exist.

    It commits nothing. Raises `BrokerError` if reading fails, also in the body of the `async with`.
    """
    consumer = AIOKafkaConsumer(
        **cluster.client,
        client_id="barwheel-bars",
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        isolation_level="read_committed",
        fetch_max_wait_ms=200,
    )
    try:
        await consumer.start()
        async with admin(cluster) as client:
            counts = await partition_counts(client)
        if topic not in counts:
            yield None
            return
        partitions = [TopicPartition(name, number) for name in (topic, *beside) for number in range(counts.get(name, 0))]
        consumer.assign(partitions)
        await consumer.seek_to_beginning(*partitions)
        yield consumer
    except KafkaError as error:  # an OSError comes from the output that the body writes to, not from the broker
        raise BrokerError(f"reading {topic} failed: {str(error) or type(error).__name__}") from error
    finally:
        await consumer.stop()


async def records_to_end(consumer: AIOKafkaConsumer) -> AsyncIterator[Any]:
    """Every record up to the end offsets of this moment (later ones may be among them), in order within a partition."""
    ends = await consumer.end_offsets(sorted(consumer.assignment()))
    while [place for place, end in ends.items() if await consumer.position(place) < end]:
        for records in (await consumer.getmany(timeout_ms=_POLL_MS)).values():
            for record in records:
                yield record


class PlacedBar(NamedTuple):
    """A bar, and the partition in which it was published."""

    partition: int
    bar: Bar

    @property
    def order(self) -> BarOrder:
        """A sort key: start, broker, symbol, partition."""
        return (*BAR_ORDER(self.bar), self.partition)


def doubled_windows(bars: Iterable[PlacedBar]) -> list[list[PlacedBar]]:
    """The bars, in order, of each window of which more than one partition has one. There should be none."""
    groups = (list(group) for _, group in groupby(bars, key=lambda placed: BAR_ORDER(placed.bar)))
    return [group for group in groups if len(group) > 1]


def doubled(bars: Iterable[PlacedBar]) -> Doubled | None:
    """What these bars, in order, say of symbols that live in two partitions; None if there is nothing to say."""
    windows = doubled_windows(bars)
    if not windows:
        return None
    newest, count = windows[-1], sum(len(group) - 1 for group in windows)
    bar = newest[0].bar
    return Doubled(count, bar.broker, bar.symbol, bar.bucket_start, tuple(placed.partition for placed in newest))


async def follow_bars(consumer: AIOKafkaConsumer, query: BarQuery) -> AsyncIterator[list[PlacedBar]]:
    """New matching bars as they are published, a list per fetch that holds any; endless."""
    while True:
        fetched = (await consumer.getmany(timeout_ms=_POLL_MS)).values()
        bars = [
            PlacedBar(record.partition, bar)
            for records in fetched
            for record in records
            if (bar := query.match(record)) is not None
        ]
        if bars:
            yield sorted(bars, key=ORDER)
