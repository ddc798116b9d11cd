"""The worker's producers: they send batches of records, in order, acknowledged by all replicas; one kind in transactions."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, KafkaTimeoutError, MessageSizeTooLargeError, ProducerClosed
from aiokafka.structs import OffsetAndMetadata, RecordMetadata, TopicPartition

from app.kafka.batches import Header, NewBuilder, Outgoing, Run, batch_of, keep_order, pack
from app.kafka.cluster import Cluster
from app.kafka.records import APPEND_TIME

BATCH_BYTES = 512 * 1024
TRANSACTION_SECONDS = 60.0  # the broker aborts a transaction that is open for longer
ABORT_SECONDS = 1.0  # for the tasks of a client whose connections are closed

NO_LIMITS: Mapping[str, int] = MappingProxyType({})
NO_HEADERS: list[Header] = []  # shared by all records without headers; never changed


class Sent(NamedTuple):
    """A batch that was handed to the producer: its acknowledgement, its number of records, and its topic."""

    acknowledged: asyncio.Future[RecordMetadata]
    records: int
    topic: str

    @property
    def end(self) -> int | None:
        """One after the offset of the last record; None before the acknowledgement and after an error."""
        future = self.acknowledged
        if not future.done() or future.cancelled() or future.exception() is not None:
            return None
        return int(future.result().offset) + self.records

    @property
    def append_time(self) -> int | None:
        """The broker's time of the append, epoch ms. None: no acknowledgment yet, or a topic with CreateTime."""
        metadata = None if self.end is None else self.acknowledged.result()
        return None if metadata is None or metadata.timestamp_type != APPEND_TIME else int(metadata.timestamp)

    @property
    def base(self) -> int | None:
        """The offset of the first record; None where `end` is."""
        return None if self.end is None else self.end - self.records

    @property
    def error(self) -> BaseException | None:
        """Why it was not written; None while that is not known, and where it was written."""
        future = self.acknowledged
        if not future.done():
            return None
        given_up = KafkaError(f"a batch for topic {self.topic} was given up")
        error: BaseException | None = given_up if future.cancelled() else future.exception()
        if isinstance(error, MessageSizeTooLargeError):
            error = MessageSizeTooLargeError(f"more at once than topic {self.topic} allows by its max.message.bytes")
        return error


class BatchProducer:
    """An idempotent producer. A failed send is never repeated here, because it may have been written all the same."""

    def __init__(
        self,
        cluster: Cluster,
        *,
        max_request: int,
        batch_limits: Mapping[str, int] = NO_LIMITS,
        transactional_id: str | None = None,
        transaction_seconds: float = TRANSACTION_SECONDS,
        linger: int = 0,
        new_builder: NewBuilder | None = None,
    ) -> None:
        """Sizes in bytes: `max_request` of the largest record that can be sent, `batch_limits` of a topic's largest batch.

        `transaction_seconds`: how long the broker lets a transaction be open. `linger`: how long (ms) a batch that is not full
        waits for those of other partitions. `new_builder` packs batches; None: aiokafka does.
        """
        self._batch_limits = batch_limits
        self._lingers = linger > 0
        self._new_builder = new_builder
        self._producer = AIOKafkaProducer(
            **cluster.producer,
            enable_idempotence=True,
            transactional_id=transactional_id,
            transaction_timeout_ms=int(transaction_seconds * 1_000),
            acks="all",
            linger_ms=linger,
            max_batch_size=BATCH_BYTES,
            max_request_size=max(max_request, 2 * BATCH_BYTES),
            request_timeout_ms=40_000,
        )
        keep_order(self._producer)
        self._stopping: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Connect; raises aiokafka's errors."""
        await self._producer.start()

    async def stop(self) -> None:
        """Flush and close.

        Safe to call again: later callers await the same shutdown, even if the first was cancelled. aiokafka's own `stop`
        returns at once when it is called again, while sends are still under way.
        """
        if self._stopping is None:
            self._stopping = asyncio.ensure_future(self._producer.stop())
        await asyncio.shield(self._stopping)

    def give_up_unsent(self) -> None:
        """Give up what was never sent: `stop` would wait for it, for as long as its partition has no leader."""
        self._producer._message_accumulator.give_up_unsent(ProducerClosed())  # noqa: SLF001  # see `keep_order`

    async def abort(self) -> None:
        """End it at once, as a crash would. When this returns, nothing more is sent, also if the broker does not answer."""
        if self._stopping is None or not self._stopping.done():
            self._stopping = asyncio.ensure_future(self._abort())
        await asyncio.shield(self._stopping)

    async def _abort(self) -> None:
        producer = self._producer
        producer._closed = True  # noqa: SLF001  # `stop` would wait for what is under way
        producer._message_accumulator.close_at_once(ProducerClosed())  # noqa: SLF001  # see `keep_order`
        sender = producer._sender.sender_task  # noqa: SLF001  # it alone hands on what is queued
        if sender is not None:
            sender.cancel()
        closing = asyncio.ensure_future(producer.client.close())
        await asyncio.wait([closing, *([sender] if sender is not None else [])], timeout=ABORT_SECONDS)

    async def send(self, topic: str, partition: int, records: Iterable[Outgoing | Run]) -> list[Sent]:
        """Send records in order; returns when the last batch is queued, before it is acknowledged.

        Each batch waits until the one before it is on its way, so other tasks can run in between. After a failed batch the
        partition takes no more: raises the error of that one.
        """
        size = min(BATCH_BYTES, self._batch_limits.get(topic, BATCH_BYTES))
        batches = pack(lambda: batch_of(self._producer, size, self._new_builder), records, close_last=not self._lingers)
        return [await self._send(batch, topic, partition) for batch in batches]

    async def _send(self, batch: Any, topic: str, partition: int) -> Sent:
        count: int = batch.record_count()
        future = await self._producer.send_batch(batch, topic, partition=partition)
        future.add_done_callback(_mark_retrieved)
        return Sent(future, count, topic)


def _mark_retrieved(future: asyncio.Future[RecordMetadata]) -> None:
    """Keep asyncio from logging an error that was never retrieved: of many failed sends, only the first is raised."""
    if not future.cancelled():
        future.exception()


class TransactionalProducer(BatchProducer):
    """A transactional producer: readers of committed records see all records of a transaction, or none."""

    def __init__(
        self,
        cluster: Cluster,
        *,
        max_request: int,
        batch_limits: Mapping[str, int] = NO_LIMITS,
        transactional_id: str,
        group: str,
        transaction_seconds: float = TRANSACTION_SECONDS,
        new_builder: NewBuilder | None = None,
    ) -> None:
        """`transactional_id` belongs to one source partition: `start` by the partition's next owner fences this producer."""
        super().__init__(
            cluster,
            max_request=max_request,
            batch_limits=batch_limits,
            transactional_id=transactional_id,
            transaction_seconds=transaction_seconds,
            new_builder=new_builder,
        )
        self._group = group

    async def begin(self) -> None:
        """Begin a transaction."""
        await self._producer.begin_transaction()

    async def commit(self, source: TopicPartition, next_offset: int) -> None:
        """Commit the transaction together with the group's offset.

        Raises aiokafka's errors. After one it is unknown whether the transaction was committed, until the next `start`.
        """
        try:
            async with asyncio.timeout(TRANSACTION_SECONDS):
                offsets = {source: OffsetAndMetadata(next_offset, "")}
                await self._producer.send_offsets_to_transaction(offsets, self._group)
                await self._producer.commit_transaction()
        except TimeoutError:
            raise KafkaTimeoutError(f"a transaction was not committed within {TRANSACTION_SECONDS:.0f} s") from None


async def acknowledged(sent: Iterable[Sent]) -> int | None:
    """Wait for all acknowledgements; returns the end offset of the last batch, None if nothing was sent.

    Raises the error of the first send that failed.
    """
    end = None
    for batch in sent:
        try:
            metadata = await batch.acknowledged
        except MessageSizeTooLargeError as error:
            raise batch.error or error from None
        end = metadata.offset + batch.records
    return end
