"""Packs records into the batches that aiokafka's producer sends, and keeps their order where one fails.

Written for aiokafka 0.14.0. Its `BatchBuilder.append` calls serializers for every record. Here there are none, and the calls
take longer than the Cython builder below, so that one is used directly.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.producer import message_accumulator

Header = tuple[str, bytes]
# A record to send: key, value, timestamp (epoch ms, None for the present time) and headers. The headers are a list because
# aiokafka's builder takes nothing else; the record is a plain tuple because creating a named one doubles the cost of sending.
Outgoing = tuple[bytes | None, bytes | None, int | None, list[Header]]


def pack(new_batch: Callable[[], Any], records: Iterable[Outgoing], *, close_last: bool = True) -> Iterator[Any]:
    """Pack records into batches, in order. `new_batch` makes an empty one, as `AIOKafkaProducer.create_batch` does.

    A record that is larger than a batch gets one of its own. Without records there is no batch. The sender sends a closed batch
    without linger; without `close_last`, the last one lingers.
    """
    batch, count = new_batch(), 0
    append = batch._builder.append  # noqa: SLF001  # see the module's docstring
    for key, value, timestamp, headers in records:
        if append(count, timestamp, key, value, headers) is None:  # the batch is full
            yield _closed(batch, count)
            batch, count = new_batch(), 0
            append = batch._builder.append  # noqa: SLF001  # see the module's docstring
            append(count, timestamp, key, value, headers)
        count += 1
    if count:
        yield _closed(batch, count) if close_last else _counted(batch, count)


def _closed(batch: Any, count: int) -> Any:
    batch.close()
    return _counted(batch, count)


def _counted(batch: Any, count: int) -> Any:
    batch._relative_offset = count  # noqa: SLF001  # the sender takes record count and sequence numbers from it
    return batch


def batch_of(producer: AIOKafkaProducer, size: int) -> Any:
    """An empty batch that holds `size` bytes at most, or one record that is larger."""
    accumulator = producer._message_accumulator  # noqa: SLF001  # see the module's docstring
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
