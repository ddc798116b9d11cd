"""The worker's producers: records in batches of their own, in order, acknowledged by all replicas; or in transactions."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any, NamedTuple

from aiokafka import AIOKafkaProducer
from aiokafka import errors as kafka
from aiokafka.errors import KafkaTimeoutError, MessageSizeTooLargeError
from aiokafka.structs import OffsetAndMetadata, RecordMetadata, TopicPartition

from app.kafka.batches import Header, Outgoing, pack
from app.kafka.cluster import Cluster

BATCH_BYTES = 512 * 1024
TRANSACTION_SECONDS = 60.0  # the broker gives up on a transaction that is open for longer

# what a broker refuses for good: trying again does not help
PERMANENT_WRITE_ERRORS = (
    kafka.MessageSizeTooLargeError,
    kafka.TopicAuthorizationFailedError,
    kafka.ClusterAuthorizationFailedError,
    kafka.GroupAuthorizationFailedError,
    kafka.TransactionalIdAuthorizationFailed,
    kafka.InvalidTopicError,
)

NO_HEADERS: list[Header] = []  # shared, never changed


class Sent(NamedTuple):
    """A batch on its way: its acknowledgement, how many records it holds, and where to."""

    acknowledged: asyncio.Future[RecordMetadata]
    records: int
    topic: str

    @property
    def end(self) -> int | None:
        """One after the offset of its last record; None while it is on its way, and where it failed."""
        future = self.acknowledged
        if not future.done() or future.cancelled() or future.exception() is not None:
            return None
        return int(future.result().offset) + self.records


class BatchProducer:
    """One idempotent producer. A failed send is never repeated here: its caller cannot know whether it was written."""

    def __init__(self, cluster: Cluster, *, max_request: int, transactional_id: str | None = None) -> None:
        """`max_request`: the largest record in bytes that may be sent."""
        self._producer = AIOKafkaProducer(
            **cluster.client,
            enable_idempotence=True,
            transactional_id=transactional_id,
            transaction_timeout_ms=int(TRANSACTION_SECONDS * 1_000),
            acks="all",
            linger_ms=0,
            max_batch_size=BATCH_BYTES,
            max_request_size=max(max_request, 2 * BATCH_BYTES),
            request_timeout_ms=40_000,
        )
        self._stopping: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Connect; raises aiokafka's errors."""
        await self._producer.start()

    async def stop(self) -> None:
        """Flush and close; whoever asks again waits for the same end, also where the first to ask was cancelled."""
        if self._stopping is None:
            self._stopping = asyncio.ensure_future(self._producer.stop())
        await asyncio.shield(self._stopping)  # aiokafka's own returns at once the second time, its sends under way

    async def send(self, topic: str, partition: int, records: Iterable[Outgoing]) -> list[Sent]:
        """Hand records over, in order; returns once the last batch is queued, not yet acknowledged.

        Each batch waits for the one before it to be on its way, so others have their turn in between.
        """
        return [await self._send(batch, topic, partition) for batch in pack(self._producer.create_batch, records)]

    async def _send(self, batch: Any, topic: str, partition: int) -> Sent:
        count: int = batch.record_count()
        future = await self._producer.send_batch(batch, topic, partition=partition)
        future.add_done_callback(_seen)
        return Sent(future, count, topic)


def _seen(future: asyncio.Future[RecordMetadata]) -> None:
    """Of many sends that fail together the first is raised; asyncio would log the others."""
    if not future.cancelled():
        future.exception()


class TransactionalProducer(BatchProducer):
    """A transactional producer: what is sent between `begin` and `commit` can be read by all or by nobody."""

    def __init__(self, cluster: Cluster, *, max_request: int, transactional_id: str, group: str) -> None:
        """One `transactional_id` a source partition: its next owner's `start` fences this one."""
        super().__init__(cluster, max_request=max_request, transactional_id=transactional_id)
        self._group = group

    async def begin(self) -> None:
        """Begin a transaction."""
        await self._producer.begin_transaction()

    async def commit(self, source: TopicPartition, next_offset: int) -> None:
        """Commit it, together with the group's offset; after an error nobody knows whether it was, before the next `start`."""
        try:
            async with asyncio.timeout(TRANSACTION_SECONDS):
                offsets = {source: OffsetAndMetadata(next_offset, "")}
                await self._producer.send_offsets_to_transaction(offsets, self._group)
                await self._producer.commit_transaction()
        except TimeoutError:
            raise KafkaTimeoutError(f"a transaction was not committed within {TRANSACTION_SECONDS:.0f} s") from None


async def acknowledged(sent: Iterable[Sent]) -> int | None:
    """Wait for all; the end offset of the last batch, or None where nothing was sent. Raises what a send failed with."""
    end = None
    for future, records, topic in sent:
        try:
            metadata = await future
        except MessageSizeTooLargeError:
            raise MessageSizeTooLargeError(f"more at once than topic {topic} allows by its max.message.bytes") from None
        end = metadata.offset + records
    return end
