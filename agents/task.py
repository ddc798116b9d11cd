"""The task of one source partition: it feeds slices to the engine, sends bars at once, and the rest at the checkpoint.

With `delivery=transactional` the bars wait for the checkpoint and are part of its transaction.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec

from agents.checkpoints import Checkpoints
from agents.finals import FinalsPublisher
from agents.metrics import Metrics
from agents.placement import Placement
from agents.recovery import APP_HEADER, Recovered
from agents.side_outputs import SideOutputs, SideRecordEncoder
from agents.timers import TimerClock
from app.kafka.clock import now_ms
from app.kafka.fetcher import APPEND_TIME, Head
from app.kafka.producers import BatchProducer, TransactionalProducer
from app.kafka.slices import GapError, Slice, from_offset
from app.settings import Settings
from tables.checkpoint_plan import CheckpointPlan
from tables.config import EngineConfig
from tables.engine import Engine
from tables.records import Record

log = logging.getLogger(__name__)
SIDE_BATCH = 20_000  # so many late and rejected records cause an early checkpoint
FINALS_BATCH = 200_000  # so many bars that wait for a transaction do, too
PLACED_AT_ONCE = 2_000  # symbols whose partition is checked before the event loop gets a turn
FEW_FINALS = 2_000  # fewer bars are sent at the end of the fetch: one request for each slice would take a quarter of the CPU


def engine_config(settings: Settings) -> EngineConfig:
    """The engine's part of the settings."""
    return EngineConfig(
        window_size=settings.window_size,
        grace=settings.grace,
        scope=settings.scope.value,
        idle_close=settings.idle_close,
        max_future=settings.max_future,
        min_ts=settings.min_ts,
        time_unit=settings.time_unit.value,
        price=settings.price.value,
        wheel_tick=settings.wheel_tick,
    )


class PartitionTask:
    """The engine of one partition, the output it has not published yet, and its position."""

    def __init__(  # noqa: PLR0913  # the parts that it is made of
        self,
        settings: Settings,
        number: int,
        found: Recovered,
        producer: TransactionalProducer,
        finals_producer: BatchProducer | None,
        *,
        append_time: bool,
        max_record: int,
        metrics: Metrics | None = None,
        partitions: int = 0,
        placement: Placement | None = None,
    ) -> None:
        """`producer` writes the checkpoints; `finals_producer` sends bars at once, None where they wait for the checkpoint.

        `append_time`: the input topic has LogAppendTime now; an older batch may have CreateTime. `max_record`: the largest
        record in bytes that the side topics take. `partitions`: how many the input has; 0: symbols are not compared with them.
        """
        self.number = number
        position = found.position
        self.engine = Engine(engine_config(settings), position.next_offset)
        self.engine.restore(position.counters, position.arrival, position.scopes, found.states, found.tail, position.cut)
        self.consumed_to = position.resume_at  # offsets below have been processed, or hold no records
        self.checkpoint_began = time.monotonic()  # the last one, even if it found nothing to write
        self._metrics = metrics or Metrics(settings.grace)
        self._clock = TimerClock(settings.idle_margin, position.arrival, now_ms(), append_time=append_time)
        headers = [(APP_HEADER, settings.app_id.encode())]
        self._finals = FinalsPublisher(
            settings.finals_topic,
            number,
            finals_producer,
            end=found.finals_end,  # no checkpoint is made before the tail has been passed
            headers=headers,
            metrics=self._metrics,
        )
        topics = {"late": settings.late_topic, "rejected": settings.rejected_topic}
        encoder = SideRecordEncoder(settings.ticks_topic, number, max_size=max_record, headers=headers)
        self._side = SideOutputs(topics, encoder, number)
        self._checkpoints = Checkpoints(
            settings,
            number,
            producer,
            plan=CheckpointPlan(self.engine.snapshots, position.changelog_start, found.changelog_end),
            finals=self._finals,
            side=self._side,
            position=position,
            needs_first=found.needs_first_checkpoint,
            headers=headers,
        )
        self.misplaced = 0  # symbols that the default partitioner would have put elsewhere, of those seen since the assignment
        self._partitions = partitions
        self._placement = placement or Placement(settings.ticks_topic)
        self._poisoned = False  # see `_poison_on_error`
        self._engine_lock = asyncio.Lock()  # held to feed the engine, to turn its wheel, and to copy it
        self._checkpoint_lock = asyncio.Lock()

    # ---- state, for readers

    @property
    def checkpointed_to(self) -> int:
        """The offset at which a successor would go on after a crash."""
        return self._checkpoints.position.resume_at

    @property
    def needs_first_checkpoint(self) -> bool:
        """Whether the position must be written before anything is read."""
        return self._checkpoints.needs_first

    def accounting(self) -> dict[str, Any]:
        """The counters, and how far the engine is."""
        engine = self.engine
        return {
            **msgspec.structs.asdict(engine.counters),
            "next_offset": engine.next_offset,
            "open_windows": engine.open_windows,
            "arrival_clock_violations": engine.arrival_violations,
            "arrival_clock_steps": engine.clock_steps,
            "misplaced_symbols": self.misplaced,
            "stream_times": {scope or "*": time for scope, (time, _) in sorted(engine.stream_times().items())},
        }

    def has_bars_beyond(self, offset: int) -> bool:
        """Whether there are bars, also such as are being sent, that a reader of the finals at `offset` has not seen."""
        being_sent = self._engine_lock.locked() or self._checkpoint_lock.locked()
        return being_sent or self.engine.bars_waiting > 0 or self._finals.has_bars_beyond(offset)

    # ---- in

    async def feed(self, part: Slice) -> None:
        """Process a slice and send the bars that it closed. Raises `GapError` if offsets are missing before it."""
        async with self._engine_lock:
            with self._poison_on_error():
                await self._feed(part)
        if len(self._side) > SIDE_BATCH or self._finals.unsent_bars > FINALS_BATCH:
            await self.checkpoint()

    async def _feed(self, part: Slice) -> None:
        steps = self.engine.clock_steps
        for batch in part.batches:
            if batch.next_offset <= self.consumed_to:
                continue
            if batch.base_offset > self.consumed_to:
                raise GapError(f"offset {batch.base_offset} comes after {self.consumed_to - 1}")
            records: Iterator[Record] = iter(batch)
            if batch.base_offset < self.consumed_to:
                records = from_offset(records, self.consumed_to)
            if batch.timestamp_type == APPEND_TIME:
                self.engine.feed_same_arrival(records, batch.max_timestamp)
            else:  # the producers' clocks, whatever the topic has now
                self.engine.feed(records, part.fetched_ms)
            self.consumed_to = batch.next_offset
        if self.engine.clock_steps > steps:
            log.warning(
                "partition %d: a clock was more than a minute ahead, the broker's or this machine's; arrival time goes on from "
                "%d (epoch ms), which a record says",
                self.number,
                self.engine.arrival,
            )
        self._clock.fed(self.engine.arrival, part.fetched_ms)
        if part.last or self.engine.bars_waiting >= FEW_FINALS:
            await self._publish()

    async def tick(self, head: Head, now: int) -> None:
        """Close the windows that are due by idling, if this task has read to the end of the log. `now`: epoch ms."""
        if head.offset != self.consumed_to or self.engine.replaying:
            return
        async with self._engine_lock:
            if head.offset != self.consumed_to:
                return
            with self._poison_on_error():
                self.engine.advance_arrival(self._clock.passed(head, now))
                await self._publish()

    # ---- out

    async def _publish(self) -> None:
        engine = self.engine
        new = engine.take_new_keys(PLACED_AT_ONCE)
        if new and self._partitions:
            self.misplaced += self._placement.count_elsewhere(new, self.number, self._partitions)
        self._side.add(self._metrics.count_side(engine.take_side()))
        bars = engine.bars_waiting
        await self._finals.publish(engine.take_closed(), bars)

    async def checkpoint(self) -> int | None:
        """Make everything so far durable. Returns the offset to resume at, or None where there is nothing to write (yet)."""
        async with self._checkpoint_lock:
            if self._poisoned:
                return None
            self.checkpoint_began = began = time.monotonic()
            with self._poison_on_error():
                written = await self._make_checkpoint()
            if written is not None:
                self._metrics.checkpoint.add(time.monotonic() - began)
            return written

    async def _make_checkpoint(self) -> int | None:
        if self.engine.replaying:
            return None
        async with self._engine_lock:
            await self._publish()
            snapshot = await self._checkpoints.snapshot(self.engine, self.consumed_to)
        return None if snapshot is None else await self._checkpoints.write(snapshot)

    @contextmanager
    def _poison_on_error(self) -> Iterator[None]:
        """If the body fails, poison the partition: bars taken from the engine may be lost.

        A later checkpoint would move the position past them, so none is made. A cancellation counts as a failure.
        """
        try:
            yield
        except BaseException:
            self._poisoned = True
            raise
