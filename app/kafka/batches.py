"""Packs records into the batches that aiokafka's producer sends, and keeps their order where one fails.

Written for aiokafka 0.14.0. Its `BatchBuilder.append` calls serializers for every record. Here there are none, and the calls
take longer than the Cython builder below, so that one is used directly; or another one that makes the same batches, and into
which a run of records can write itself.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol

from aiokafka import AIOKafkaProducer, codec
from aiokafka.producer import message_accumulator

Header = tuple[str, bytes]
# A record to send: key, value, timestamp (epoch ms, None for the present time) and headers. The headers are a list because
# aiokafka's builder takes nothing else; the record is a plain tuple because creating a named one doubles the cost of sending.
Outgoing = tuple[bytes | None, bytes | None, int | None, list[Header]]


# Makes a builder of a batch: its size, the number of its codec and what compresses, and whether it is part of a transaction.
NewBuilder = Callable[[int, int, Callable[[bytes], bytes] | None, bool], Any]
ENCODERS = {1: codec.gzip_encode, 2: codec.snappy_encode, 3: codec.lz4_encode, 4: codec.zstd_encode}


class Run(Protocol):
    """Records, once, which can write themselves into the batch of a builder."""

    def __iter__(self) -> Iterator[Outgoing]:
        """The records."""

    def write_into(self, builder: Any) -> bool:
        """Write those that are left. Returns whether all of them fitted."""


def flat(records: Iterable[Outgoing | Run]) -> Iterator[Outgoing]:
    """The records one after another."""
    for some in records:
        if isinstance(some, tuple):
            yield some
        else:
            yield from some


class BuiltBatch(message_accumulator.BatchBuilder):  # type: ignore[misc]  # aiokafka has no types
    """A batch for aiokafka's producer, with a builder that is not aiokafka's."""

    def __init__(self, builder: Any) -> None:
        self._builder = builder
        self._relative_offset = 0
        self._buffer = self._key_serializer = self._value_serializer = None
        self._closed = False

    def close(self) -> None:
        """Compress what it has: the memory of its records is freed before it is sent."""
        super().close()
        if self._buffer is None:  # else it has been built, and aiokafka has dropped the builder: the batch is sent again
            self._builder.close()

    def _set_producer_state(self, producer_id: int, producer_epoch: int, base_sequence: int) -> None:
        """As aiokafka's, which takes its own builder only."""
        self._builder.set_producer_state(producer_id, producer_epoch, base_sequence)


def pack(new_batch: Callable[[], Any], records: Iterable[Outgoing | Run], *, close_last: bool = True) -> Iterator[Any]:
    """Pack records into batches, in order. `new_batch` makes an empty one, as `AIOKafkaProducer.create_batch` does.

    A record that is larger than a batch gets one of its own. Without records there is no batch. The sender sends a closed batch
    without linger; without `close_last`, the last one lingers.
    """
    batch, count = new_batch(), 0
    if isinstance(batch, BuiltBatch):
        yield from _pack_built(batch, new_batch, records, close_last=close_last)
        return
    append = batch._builder.append  # noqa: SLF001  # see the module's docstring
    for key, value, timestamp, headers in flat(records):
        if append(count, timestamp, key, value, headers) is None:  # the batch is full
            yield _closed(batch, count)
            batch, count = new_batch(), 0
            append = batch._builder.append  # noqa: SLF001  # see the module's docstring
            append(count, timestamp, key, value, headers)
        count += 1
    if count:
        yield _closed(batch, count) if close_last else _counted(batch, count)


def _pack_built(
    batch: Any, new_batch: Callable[[], Any], records: Iterable[Outgoing | Run], *, close_last: bool
) -> Iterator[Any]:
    builder, now = batch._builder, int(time.time() * 1_000)  # noqa: SLF001  # see the module's docstring
    for some in records:
        while not _written(some, builder, now):  # the batch is full
            yield _closed(batch, builder.count)
            batch = new_batch()
            builder = batch._builder  # noqa: SLF001  # see the module's docstring
    if builder.count:
        yield _closed(batch, builder.count) if close_last else _counted(batch, builder.count)


def _written(some: Outgoing | Run, builder: Any, now: int) -> bool:
    if not isinstance(some, tuple):
        return some.write_into(builder)
    key, value, timestamp, headers = some
    fits: bool = builder.append(now if timestamp is None else timestamp, key, value, headers)
    return fits


def _closed(batch: Any, count: int) -> Any:
    batch.close()
    return _counted(batch, count)


def _counted(batch: Any, count: int) -> Any:
    batch._relative_offset = count  # noqa: SLF001  # the sender takes record count and sequence numbers from it
    return batch


def batch_of(producer: AIOKafkaProducer, size: int, new_builder: NewBuilder | None = None) -> Any:
    """An empty batch that holds `size` bytes at most, or one record that is larger. `new_builder`: None for aiokafka's."""
    accumulator = producer._message_accumulator  # noqa: SLF001  # see the module's docstring
    if new_builder is not None:
        number, transactions = accumulator._compression_type, accumulator._txn_manager  # noqa: SLF001  # see above
        transactional = transactions is not None and transactions.transactional_id is not None
        return BuiltBatch(new_builder(size, number, ENCODERS.get(number), transactional))
    usual, accumulator._batch_size = accumulator._batch_size, size  # noqa: SLF001  # aiokafka has one size for all topics
    try:
        return producer.create_batch()
    finally:
        accumulator._batch_size = usual  # noqa: SLF001  # see above


class OrderedBatch(message_accumulator.MessageBatch):  # type: ignore[misc]  # aiokafka has no types
    """A batch that tells its accumulator when it fails.

    It refers to the accumulator, and nothing else is stored in it. A closure over the batch would be a cycle: the batch, half a
    megabyte, would then stay in memory until the garbage collector runs.
    """

    accumulator: OrderedAccumulator

    def failure(self, exception: BaseException) -> None:
        """Fail this batch, and all behind it."""
        self.accumulator.fail(self, exception)

    def fail_alone(self, exception: BaseException) -> None:
        """Fail this batch only."""
        super().failure(exception)
        waiter = self._drain_waiter
        if waiter.done() and not waiter.cancelled():
            waiter.exception()  # or asyncio logs that nobody waited for it


class OrderedAccumulator(message_accumulator.MessageAccumulator):  # type: ignore[misc]  # aiokafka has no types
    """The producer's queues. A batch that fails fails all that wait behind it in its partition, and all that come later.

    aiokafka sends those. Where the failed batch was the first of its producer the broker takes them, as it knows no sequence
    number yet that would be missing.
    """

    failed: dict[Any, BaseException]  # the first failure, by partition

    def _append_batch(self, builder: Any, tp: Any) -> Any:
        if tp in self.failed:
            raise copy.copy(self.failed[tp])
        batch = super()._append_batch(builder, tp)
        batch.__class__ = OrderedBatch
        batch.accumulator = self
        return batch

    def fail(self, batch: OrderedBatch, exception: BaseException) -> None:
        """Fail a batch, and all behind it in its partition."""
        self.failed.setdefault(batch.tp, exception)
        batch.fail_alone(exception)
        for behind in self._batches.pop(batch.tp, ()):
            behind.failure(exception)

    def give_up_unsent(self, exception: BaseException) -> None:
        """Fail what was never sent. A batch that was sent, and waits to be sent again, may have been written: it stays."""
        for queue in [queue for queue in self._batches.values() if queue]:
            if not queue[0].retry_count:
                queue[0].failure(exception)  # and those behind it

    def close_at_once(self, exception: BaseException) -> None:
        """Take nothing more, and fail everything."""
        self._closed = True
        self.fail_all(exception)

    def fail_all(self, exception: BaseException) -> None:
        """Fail everything: the producer cannot go on. As aiokafka's, which is not prepared for the queues to change."""
        queued = [batch for batches in self._batches.values() for batch in batches]
        for batch in [*queued, *self._pending_batches]:
            batch.failure(exception)
        self._exception = exception


def keep_order(producer: AIOKafkaProducer) -> None:
    """Give a producer that has sent nothing yet an `OrderedAccumulator`."""
    accumulator = producer._message_accumulator  # noqa: SLF001  # see the module's docstring
    accumulator.__class__ = OrderedAccumulator
    accumulator.failed = {}
