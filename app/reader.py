"""Reading a stretch of one partition as raw batches, outside any consumer group."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from types import TracebackType
from typing import Self

from aiokafka import AIOKafkaConsumer, TopicPartition

from app.errors import StateError
from app.fetching import Batch, RawTopics
from app.security import Cluster

FETCH_BYTES = 4 << 20
POLL_MS = 500
# a connection takes one request after the other: while the broker holds back an empty answer, the next question waits
FETCH_WAIT_MS = 5
STILL_SECONDS = 60.0  # without anything new, before the question is asked why


class Reader:
    """A group-less consumer of the topics given; use as `async with`."""

    def __init__(self, cluster: Cluster, topics: frozenset[str]) -> None:
        self.reading = ("", 0, 0)  # which partition, at which offset, up to which
        self._consumer = AIOKafkaConsumer(
            **cluster.client,
            key_deserializer=RawTopics(topics),
            enable_auto_commit=False,
            isolation_level="read_committed",
            auto_offset_reset="earliest",
            max_partition_fetch_bytes=FETCH_BYTES,
            fetch_max_wait_ms=FETCH_WAIT_MS,
        )

    async def __aenter__(self) -> Self:
        await self._consumer.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._consumer.stop()

    async def bounds(self, topic: str, partition: int) -> tuple[int, int]:
        """First offset that is still there, and the end offset."""
        tp = TopicPartition(topic, partition)
        begin = await self._consumer.beginning_offsets([tp])
        end = await self._consumer.end_offsets([tp])
        return begin[tp], end[tp]

    async def read(self, topic: str, partition: int, start: int, end: int) -> AsyncIterator[Batch]:
        """The batches from `start` up to `end`; the first may begin, and the last may go on, beyond these offsets.

        Raises aiokafka's errors where the broker is away, and `StateError` where it answers but does not give what it has.
        """
        tp = TopicPartition(topic, partition)
        self._consumer.assign([tp])
        self._consumer.seek(tp, start)
        moved, at = time.monotonic(), start
        while (position := await self._consumer.position(tp)) < end:
            self.reading = (f"{topic}[{partition}]", position, end)
            if position != at:
                moved, at = time.monotonic(), position
            elif time.monotonic() - moved > STILL_SECONDS:
                begin, now_end = await self.bounds(topic, partition)
                raise StateError(
                    f"{topic}[{partition}]: nothing comes after offset {position}, though {end} was its end "
                    f"(it has {begin} to {now_end} now): was it made anew, or does a transaction stay open?"
                )
            for batches in (await self._consumer.getmany(tp, timeout_ms=POLL_MS)).values():
                for batch in batches:
                    yield batch
