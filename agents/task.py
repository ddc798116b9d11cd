"""The task of one source partition: it feeds slices to the engine, sends bars at once, and the rest at the checkpoint.

With `delivery=transactional` the bars wait for the checkpoint and are part of its transaction.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from agents.accounting import accounting_of
from agents.beyond import BeyondOutputs, finals_records
from agents.checkpoints import Checkpoints
from agents.engines import restored_engine
from agents.finals import FinalsPublisher, finals_headers
from agents.headers import APP_HEADER
from agents.input_log import EndOfEpoch, InputLog, never_told
from agents.metrics import Metrics
from agents.placement import PlacedSymbols
from agents.recovery import Recovered
from agents.side_outputs import side_outputs
from agents.timers import idle_timer
from app.kafka.clock import BrokerClock
from app.kafka.fetcher import Head
from app.kafka.producers import BatchProducer, TransactionalProducer
from app.kafka.raw_batches import RawBatch
from app.kafka.records import APPEND_TIME, Batch, LeaderEpoch
from app.kafka.slices import GapError, Slice, from_offset
from app.settings import Settings
from tables.checkpoint_plan import CheckpointPlan
from tables.engine import Engine
from tables.state import Identity

SIDE_BATCH = 20_000  # so many late and rejected records cause an early checkpoint
FINALS_BATCH = 200_000  # so many bars that wait for a transaction do, too
ASK_AGAIN_MS = 10_000  # while windows are open, a checkpoint asks for the broker's time this often
FEW_FINALS = 2_000  # fewer bars are sent at the end of the fetch: one request for each slice would take a quarter of the CPU


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
        clock: BrokerClock | None = None,
        markers: BatchProducer | None = None,
        end_of_epoch: EndOfEpoch = never_told,
        placed: PlacedSymbols | None = None,
    ) -> None:
        """`producer` writes the checkpoints; `finals_producer` sends bars at once, None where they wait for the checkpoint.

        `markers` writes them where `idle_close=marker`. `append_time`: the input topic has LogAppendTime now; an older batch
        may have CreateTime. `max_record`: the largest record in bytes that the side topics take. `end_of_epoch` asks where a
        leader epoch of a partition of the input ends. `placed` counts the symbols that lie elsewhere.
        """
        self.number = number
        position = found.position
        self.engine = restored_engine(settings, found)
        self.consumed_to = position.resume_at  # offsets below have been processed, or hold no records
        self._input = InputLog(number, position.leader_epoch, end_of_epoch, found.tail_read)
        self.checkpoint_began = time.monotonic()  # the last one, even if it found nothing to write
        self.publication_began = float("-inf")  # the last one that had something to publish
        self._metrics = metrics or Metrics(settings.grace)
        broker = clock or BrokerClock()
        self._copies = settings.repartition
        self._idle = idle_timer(settings, self.engine, broker, markers, number, position.arrival, append_time=append_time)
        self._app_id = settings.app_id
        headers = [(APP_HEADER, settings.app_id.encode())]
        self._finals = FinalsPublisher(
            settings.finals_topic,
            number,
            finals_producer,
            end=found.finals_end,  # no checkpoint is made before the tail has been passed
            headers=finals_headers(settings.app_id, position.leader_epoch),
            metrics=self._metrics,
            records=finals_records(settings),
        )
        self._beyond, self._side = BeyondOutputs(settings, number), side_outputs(settings, number, max_record, headers)
        self._checkpoints = Checkpoints(
            settings,
            number,
            producer,
            plan=CheckpointPlan(self.engine.snapshots, position.changelog_start, found.changelog_end),
            finals=self._finals,
            others=(self._beyond, self._side),
            position=position,
            required=True,  # written before anything is read
            clock=broker,
            headers=headers,
        )
        self.placed = placed or PlacedSymbols()
        self._stored = not found.needs_first_checkpoint  # the position, as it is
        self._poisoned = False  # see `_poison_on_error`
        self._engine_lock = asyncio.Lock()  # held to feed the engine, to turn its wheel, and to copy it
        self._checkpoint_lock = asyncio.Lock()

    # ---- state, for readers

    @property
    def checkpointed_to(self) -> int:
        """The offset at which a successor would go on after a crash."""
        return self._checkpoints.position.resume_at

    @property
    def identity(self) -> Identity:
        """The ids of the cluster and the topics to which the position belongs."""
        return self._checkpoints.position.identity

    @property
    def finals_end(self) -> int:
        """The end offset of the finals, as far as it was acknowledged."""
        return self._finals.end

    @property
    def states_due(self) -> int:
        """About how many states a checkpoint would write now."""
        return self.engine.snapshots.due

    @property
    def publication_waits(self) -> bool:
        """Whether there is something that only a checkpoint publishes: a first position, late or rejected records, or bars."""
        return self._checkpoints.required or bool(self._side or self._beyond) or self._finals.unsent_bars > 0

    @property
    def no_bar_before(self) -> int:
        """See `FetchPace`."""
        return self._idle.no_bar_before

    def accounting(self) -> dict[str, Any]:
        """The counters, and how far the engine is."""
        return accounting_of(self.engine, self.placed)

    def has_bars_beyond(self, offset: int) -> bool:
        """Whether there are bars, also such as are being sent, that a reader of the finals at `offset` has not seen."""
        being_sent = self._engine_lock.locked() or self._checkpoint_lock.locked()
        return being_sent or self.engine.bars_waiting > 0 or self._finals.has_bars_beyond(offset)

    # ---- in

    async def begin(self) -> None:
        """Write the position, before anything is read. So a partition without a position has no bars.

        The acknowledgment also gives the broker's time. Within a replay, the stored position is written once more: its end
        must not be forgotten.
        """
        if not self.engine.replaying:
            await self.checkpoint()
        elif self._stored:
            await self._checkpoints.repeat()

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
            if isinstance(batch, LeaderEpoch):
                if await self._input.follow(batch.leader_epoch, self.consumed_to):
                    self._finals.headers = finals_headers(self._app_id, batch.leader_epoch)
                continue
            if batch.next_offset <= self.consumed_to:
                continue
            if batch.base_offset > self.consumed_to:
                raise GapError(f"offset {batch.base_offset} comes after {self.consumed_to - 1}")
            append_time = batch.timestamp_type == APPEND_TIME and not self._copies
            arrival_cap = None if append_time else self._idle.clock.latest_arrival(part.fetched)
            feed_batch(self.engine, batch, self.consumed_to, arrival_cap)
            self.consumed_to = batch.next_offset
        self._idle.fed(part, stepped=self.engine.clock_steps > steps)
        if part.last or self.engine.bars_waiting >= FEW_FINALS:
            await self._publish()

    async def check_log(self, ask: EndOfEpoch) -> None:
        """Check that the log still has what was processed. Raises `GapError` where it was truncated, and aiokafka's errors."""
        await self._input.check(ask, self.consumed_to)

    def finals_are_there(self, leader_epoch: int, end: int) -> None:
        """Note that the finals have all records before an offset in this leader epoch."""
        self._checkpoints.finals_epoch = leader_epoch, end

    async def tick(self, head: Head) -> None:
        """Close the windows that are due by idling, if this task has read to the end of the log."""
        if head.offset != self.consumed_to or self.engine.replaying:
            return
        async with self._engine_lock:
            if head.offset != self.consumed_to:
                return
            with self._poison_on_error():
                self._checkpoints.required |= await self._idle.turn(head)
                await self._publish()
        if self.engine.open_windows and self._idle.clock.broker.stale(ASK_AGAIN_MS):
            self._checkpoints.required = True

    # ---- out

    async def _publish(self) -> None:
        engine = self.engine
        self.placed.count_new(engine)
        self._side.add(self._metrics.count_side(engine.take_side()))
        self._beyond.add(self._metrics.count_beyond(engine.take_after_close()))
        bars = engine.bars_waiting
        await self._finals.publish(engine.take_closed(), bars)

    async def checkpoint(self) -> int | None:
        """Make everything so far durable. Returns the offset to resume at, or None where there is nothing to write (yet)."""
        async with self._checkpoint_lock:
            if self._poisoned:
                return None
            self.checkpoint_began = began = time.monotonic()
            if self.publication_waits:
                self.publication_began = began
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
            snapshot = await self._checkpoints.snapshot(self.engine, self.consumed_to, self._input.leader_epoch)
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


def feed_batch(engine: Engine, batch: Batch, first_offset: int, arrival_cap: int | None) -> None:
    """Feed the records of a batch, from an offset on. `arrival_cap`: see `Engine.feed`; None: they arrived together."""
    if arrival_cap is None and isinstance(batch, RawBatch):
        engine.feed_batch(batch, first_offset)
        return
    records = iter(batch)
    if batch.base_offset < first_offset:
        records = from_offset(records, first_offset)
    if arrival_cap is None:
        engine.feed_same_arrival(records, batch.max_timestamp)
    else:  # the producers' clocks, whatever the topic has now; or those of the sources
        engine.feed(records, arrival_cap)
