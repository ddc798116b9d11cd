"""Reading a stretch of one partition as raw batches, outside any consumer group."""

from __future__ import annotations

from collections.abc import AsyncIterator
from types import TracebackType
from typing import Self

from aiokafka import AIOKafkaConsumer, TopicPartition

from app.fetching import Batch, RawTopics

FETCH_BYTES = 4 << 20
POLL_MS = 500
# a connection takes one request after the other: while the broker holds back an empty answer, the next question waits
FETCH_WAIT_MS = 5


class Reader:
    """A group-less consumer of the topics given; use as `async with`."""

    def __init__(self, bootstrap: str, topics: frozenset[str]) -> None:
        self._consumer = AIOKafkaConsumer(
            bootstrap_servers=bootstrap,
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
        """The batches from `start` up to `end`; the first may begin, and the last may go on, beyond these offsets."""
        tp = TopicPartition(topic, partition)
        self._consumer.assign([tp])
        self._consumer.seek(tp, start)
        while await self._consumer.position(tp) < end:
            for batches in (await self._consumer.getmany(tp, timeout_ms=POLL_MS)).values():
                for batch in batches:
                    yield batch
