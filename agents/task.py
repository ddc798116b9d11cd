"""One source partition at work: slices through the engine, finals out at once, the rest at its checkpoint.

A checkpoint waits until the finals sent so far are acknowledged. The late and rejected records, the changed states, as of one
moment, and the position are one transaction: a former owner that wakes up, or a crash in the middle, leaves nothing of it.
With transactional delivery the finals wait for the checkpoint and are part of that transaction.
"""

from __future__ import annotations

import asyncio
import copy
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
from aiokafka import TopicPartition

from agents.metrics import Metrics
from agents.recovery import APP_HEADER, Recovered
from agents.side_outputs import SideRecords
from app.errors import StateError
from app.kafka.batches import Outgoing
from app.kafka.fetcher import APPEND_TIME, Head
from app.kafka.producers import NO_HEADERS, BatchProducer, Sent, TransactionalProducer, acknowledged
from app.kafka.slices import GapError, Slice, from_offset
from app.settings import Settings
from tables.checkpoint_plan import CheckpointPlan
from tables.emission import Closed, take_records
from tables.engine import Engine, EngineConfig, SideRecord
from tables.state import POSITION_KEY, Position, encode_position
from tables.ticks import Record

SIDE_BATCH = 20_000  # late and rejected records that wait for a checkpoint before one is made early
FEW_FINALS = 2_000  # bars that wait for the rest of a fetch: a request each time would cost a quarter of everything
YIELD_EVERY = 2_000  # states between two looks at the event loop
FINALS_BATCH = 200_000  # bars that wait for a transaction, likewise


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
    """The engine of one partition, what it owes the topics, and how far it is."""

    def __init__(  # noqa: PLR0913  # what it works with
        self,
        settings: Settings,
        number: int,
        found: Recovered,
        producer: TransactionalProducer,
        finals: BatchProducer | None,
        *,
        append_time: bool,
        max_record: int,
        metrics: Metrics | None = None,
    ) -> None:
        """`finals`: what sends bars at once, None where they wait for the checkpoint; `producer`: what makes the checkpoints.

        `append_time`: whether `ticks` has LogAppendTime; `max_record`: the largest, in bytes, that the side topics
        take.
        """
        self.number = number
        self.engine = Engine(engine_config(settings), found.position.next_offset)
        position = found.position
        self.engine.restore(position.counters, position.arrival, position.scopes, found.states, found.tail)
        self.consumed_to = position.next_offset  # offsets below have been fed, or hold nothing
        self.needs_first_checkpoint = found.needs_first_checkpoint
        self._settings = settings
        self._metrics = metrics or Metrics(settings.grace)
        self._producer = producer
        self._finals_producer = finals
        self._append_time = append_time
        self._position = position
        self._changelog = CheckpointPlan(self.engine, position.changelog_start, found.changelog_end)
        self._closed: list[Closed] = []  # not sent yet
        self._unsent_bars = 0  # bars in there
        self._finals: list[Sent] = []
        self._finals_end = found.finals_end  # no checkpoint is made before the tail has been passed
        self._side: list[SideRecord] = []
        self.checkpointed = time.monotonic()  # when the last checkpoint began, also one that found nothing to do
        self._poisoned = False  # something failed half way: what it had taken up to publish is nowhere else
        self._engine_lock = asyncio.Lock()  # the engine is fed, asked or copied by one at a time
        self._checkpoint_lock = asyncio.Lock()
        self._fed_ms = 0
        self._last_arrival = position.arrival
        self._headers = [(APP_HEADER, settings.app_id.encode())]
        self._side_records = SideRecords(settings.ticks_topic, number, max_size=max_record, headers=self._headers)

    @property
    def checkpointed_to(self) -> int:
        """The next offset after a crash."""
        return self._position.next_offset

    def accounting(self) -> dict[str, Any]:
        """What became of its records, and where it is."""
        engine = self.engine
        return {
            **msgspec.structs.asdict(engine.counters),
            "next_offset": engine.next_offset,
            "open_windows": engine.open_windows,
            "arrival_clock_violations": engine.arrival_violations,
            "stream_times": {scope or "*": time for scope, (time, _) in sorted(engine.stream_times().items())},
        }

    def unseen(self, offset: int) -> bool:
        """Whether bars have closed that a reader of the finals does not know which has read them up to this offset."""
        in_hand = self._engine_lock.locked() or self._checkpoint_lock.locked()  # bars that are being sent
        unsent = in_hand or self._closed or self.engine.finals_waiting
        return bool(unsent) or self._finals_end > offset or any(sent.end is None or sent.end > offset for sent in self._finals)

    @contextmanager
    def _poison_on_error(self) -> Iterator[None]:
        """All of it or no checkpoint ever after: neither an error nor a cancellation may pass over bars that were not sent."""
        try:
            yield
        except BaseException:
            self._poisoned = True
            raise

    # ---- in

    async def feed(self, part: Slice) -> None:
        """Process a slice and send what it closed; raises `GapError` where it does not follow on the last one."""
        async with self._engine_lock:
            with self._poison_on_error():
                await self._feed(part)
        if len(self._side) > SIDE_BATCH or self._unsent_bars > FINALS_BATCH:
            await self.checkpoint()

    async def _feed(self, part: Slice) -> None:
        cap = None if self._append_time else part.fetched_ms
        for batch in part.batches:
            if batch.next_offset <= self.consumed_to:
                continue
            if batch.base_offset > self.consumed_to:
                raise GapError(f"offset {batch.base_offset} comes after {self.consumed_to - 1}")
            records: Iterator[Record] = iter(batch)
            if batch.base_offset < self.consumed_to:
                records = from_offset(records, self.consumed_to)
            if self._append_time and batch.timestamp_type == APPEND_TIME:
                self.engine.feed_same_arrival(records, batch.max_timestamp)
            else:
                self.engine.feed(records, cap)
            self.consumed_to = batch.next_offset
        self._last_arrival = self.engine.arrival
        self._fed_ms = part.fetched_ms
        if part.last or self.engine.finals_waiting >= FEW_FINALS:
            await self._publish()

    async def tick(self, head: Head, now_ms: int) -> None:
        """The wheel's task: close what is due, if the log ended where this partition is."""
        if head.offset != self.consumed_to or self.engine.replaying:
            return
        async with self._engine_lock:
            if head.offset != self.consumed_to:
                return
            t = min(now_ms, head.sent_ms) - self._settings.idle_margin
            if not self._append_time:
                t += self._last_arrival - self._fed_ms  # the producers' clock goes on at the pace of ours
            with self._poison_on_error():
                self.engine.advance_arrival(t)
                await self._publish()

    # ---- out

    async def _publish(self) -> None:
        self._side += self._metrics.took_side(self.engine.take_side())
        self._unsent_bars += self.engine.finals_waiting
        self._closed += self.engine.take_closed()
        if self._closed and self._finals_producer is not None:
            self._finals += await self._send_finals(self._finals_producer, self._take_closed())
            self._forget_acknowledged()

    def _take_closed(self) -> list[Closed]:
        closed, self._closed, self._unsent_bars = self._closed, [], 0
        return closed

    async def _send_finals(self, producer: BatchProducer, closed: list[Closed]) -> list[Sent]:
        sent = await producer.send(self._settings.finals_topic, self.number, take_records(closed, self._headers))
        self._metrics.sent(closed, sent[-1].acknowledged)
        return sent

    def _forget_acknowledged(self) -> None:
        """Let go of the batches that are done and well; a failed one stays for the checkpoint to raise."""
        while self._finals:
            end = self._finals[0].end
            if end is None:
                return
            self._finals_end = self._grown(self._finals[0].topic, self._finals_end, end)
            del self._finals[0]

    def _grown(self, topic: str, known: int, end: int) -> int:
        """The new end; raises `StateError` where a log that only grows did not: what it held is gone."""
        if end <= known:
            raise StateError(
                f"{topic}[{self.number}] took a record before offset {known}, where it ended: it was deleted and made anew "
                "under this worker, which stops with what it knows"
            )
        return end

    def _take_side(self) -> list[SideRecord]:
        side, self._side = self._side, []
        return side

    async def _send_side(self, side: list[SideRecord]) -> None:
        for topic, kind in ((self._settings.late_topic, "late"), (self._settings.rejected_topic, "rejected")):
            records = (self._side_records.outgoing(record) for record in side if record.kind == kind)
            await acknowledged(await self._producer.send(topic, self.number, records))

    # ---- checkpoint

    async def checkpoint(self) -> int | None:
        """Make everything so far durable; the position's next offset, or None where there is nothing to do (yet)."""
        async with self._checkpoint_lock:
            if self._poisoned:
                return None
            self.checkpointed = began = time.monotonic()
            with self._poison_on_error():
                made = await self._make_checkpoint()
            if made is not None:
                self._metrics.checkpoint.add(time.monotonic() - began)
            return made

    async def _make_checkpoint(self) -> int | None:
        engine, producer = self.engine, self._producer
        if engine.replaying:
            return None
        async with self._engine_lock:
            await self._publish()
            nothing = not self._side and not self._closed and not self._finals and not self._changelog.overdue
            known = self._position
            if (
                nothing
                and not self.needs_first_checkpoint
                and (engine.next_offset, self._finals_end) == (known.next_offset, known.finals_end)
            ):
                return None
            closed = self._take_closed()
            finals, self._finals = self._finals, []
            finals_end = self._finals_end  # as of now: what is sent while we wait must stay in the next owner's tail
            side = self._take_side()
            position = Position(
                next_offset=engine.next_offset,
                arrival=engine.arrival,
                scopes=engine.stream_times(),
                counters=copy.copy(engine.counters),
                finals_end=-1,
                changelog_start=-1,
                fingerprint=self._position.fingerprint,
            )
            states = await self._states()
        end = await acknowledged(finals)  # never the position before them
        await producer.begin()
        if closed:
            end = await acknowledged(await self._send_finals(producer, closed))
        position.finals_end = finals_end if end is None else self._grown(self._settings.finals_topic, finals_end, end)
        self._finals_end = max(self._finals_end, position.finals_end)
        await self._send_side(side)
        await self._write_states(states)
        position.changelog_start = self._changelog.live_from
        record: Outgoing = POSITION_KEY, encode_position(position), None, self._headers
        self._changelog.end = await self._written([record])
        await producer.commit(TopicPartition(self._settings.ticks_topic, self.number), position.next_offset)
        self._position = position
        self.needs_first_checkpoint = False
        return position.next_offset

    async def _states(self) -> list[Outgoing]:
        """Copy the states that this checkpoint writes."""
        states: list[Outgoing] = []
        for key, state in self._changelog.round():
            states.append((key, state, None, NO_HEADERS))
            if not len(states) % YIELD_EVERY:
                await asyncio.sleep(0)
        return states

    async def _write_states(self, states: list[Outgoing]) -> None:
        self._changelog.end = await self._written(states)

    async def _written(self, records: list[Outgoing]) -> int:
        """Send to the changelog; its end once that is acknowledged."""
        end = await acknowledged(await self._producer.send(self._settings.changelog_topic, self.number, records))
        known = self._changelog.end
        return known if end is None else self._grown(self._settings.changelog_topic, known, end)


def now_ms() -> int:
    """The clock, in epoch ms."""
    return int(time.time() * 1_000)
