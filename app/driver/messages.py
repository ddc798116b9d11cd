"""The Faust messages that hold slices, and how one is handed on.

Written for faust-streaming 0.15.3.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable, Iterator, Sequence
from typing import Any, cast

from faust.types import TP, ConsumerMessage

from app.kafka.records import Batch
from app.kafka.slices import Slice


def message_of(topic: str, slices: tuple[Slice, ...], generation: int) -> ConsumerMessage:
    """Slices as a message of Faust's; its partition and its offset are those of the last record."""
    partition, offset = slices[-1].partition, slices[-1].batches[-1].next_offset - 1
    return ConsumerMessage(
        *(topic, partition, offset, 0.0, 0, None, None, cast("Any", slices), None, 0, 0),
        tp=TP(topic, partition),
        generation_id=generation,
    )


def packed(slices: Iterable[Slice], limit: int) -> Iterator[tuple[Slice, ...]]:
    """Group slices for one message each, because each message has its cost: as many as have about `limit` records."""
    together: list[Slice] = []
    size = 0
    for part in slices:
        together.append(part)
        size += records_in(part.batches)
        if size >= limit:
            yield tuple(together)
            together, size = [], 0
    if together:
        yield tuple(together)


def records_in(batches: Sequence[Batch]) -> int:
    """About how many records are in batches that follow each other: the offsets that they take."""
    return batches[-1].next_offset - batches[0].base_offset if batches else 0


def cut(whole: Slice, limit: int) -> Iterator[Slice]:
    """Cut a slice into slices of about `limit` records, in whole batches; a larger batch is a slice of its own."""
    part: list[Batch] = []
    size, last = 0, len(whole.batches) - 1
    for number, batch in enumerate(whole.batches):
        part.append(batch)
        size += batch.next_offset - batch.base_offset
        if size >= limit or number == last:
            yield whole._replace(batches=part, last=number == last)
            part, size = [], 0


async def run_unless_suspended(consumer: Any, coroutine: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine of a Faust consumer, and give it up when a rebalance begins: it may have to wait for its agent."""
    running = asyncio.ensure_future(coroutine)
    try:
        await asyncio.sleep(0)  # enough unless the agent is busy; to wait for several things at once takes four tasks
        if not running.done():
            await consumer.wait_first(running, consumer.suspend_flow.wait())
        if running.done():
            running.result()
    finally:
        running.cancel()
