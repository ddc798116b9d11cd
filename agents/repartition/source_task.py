"""Copies one partition of a source: reads, places, writes, each step as one Kafka transaction.

The transaction holds the copies, the partition's new position and the group's offset. A crash, or a new owner, aborts it.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from typing import cast

from aiokafka import TopicPartition
from msgspec.structs import replace

from agents.input_log import EndOfEpoch, InputLog
from agents.repartition.positions import position_key
from agents.repartition_progress import RepartitionProgress, SourceProgress
from app.kafka.batches import Header, Outgoing
from app.kafka.leaders import Place
from app.kafka.producers import Sent, TransactionalProducer, acknowledged
from app.kafka.records import Batch, LeaderEpoch, Record
from app.kafka.slices import GapError, from_offset
from app.settings import Settings
from tables.placing import Placing
from tables.records import CUT_HEADER, MARKER_HEADER
from tables.state import Position, encode_position

YIELD_EVERY = 2_000  # records that are placed before the engines get a turn
AT_ONCE = 20_000  # records of a transaction, about
Ready = Callable[[Sequence[Record]], Awaitable[bool]]  # waits for the schemas that records name


class SourceTask:
    """One partition of a source. `position`: the last one that was committed."""

    def __init__(  # noqa: PLR0913  # the parts that it is made of
        self,
        settings: Settings,
        place: Place,
        position: Position,
        producer: TransactionalProducer,
        *,
        placing: Placing,
        ready: Ready,
        ask: EndOfEpoch,
        progress: RepartitionProgress,
    ) -> None:
        """`ask`: for the end of a leader epoch. `ready` returns False where the partition was given away meanwhile."""
        self.place = place
        self.position = position
        self._settings = settings
        self._producer = producer
        self._placing = placing
        self._ready = ready
        self._log = InputLog(place[1], position.leader_epoch, ask)
        self._progress = progress
        self._source = SourceProgress(position.resume_at, lost=position.counters.lost)
        progress.sources[place] = self._source

    async def begin(self, partitions: int, *, cut: bool) -> None:
        """Write the position before anything is read. `cut`: tell all `partitions` that ticks before it are missing."""
        marker: Outgoing = (
            b"",
            None,
            None,
            [(MARKER_HEADER, self._settings.app_id.encode()), (CUT_HEADER, position_key(*self.place))],
        )
        await self._write({number: [marker] for number in range(partitions)} if cut else {}, self.position)

    async def feed(self, batches: Sequence[Batch], end: int | None) -> None:
        """Copy what these batches hold. `end`: the partition's end offset. Raises `GapError` if offsets are missing before."""
        part: list[Batch] = []
        size = 0
        for batch in batches:
            part.append(batch)
            size += batch.next_offset - batch.base_offset
            if size >= AT_ONCE:
                await self._copy(part)
                part, size = [], 0
        if part:
            await self._copy(part)
        self._source.reached(self.position.resume_at, end)

    async def _copy(self, batches: Sequence[Batch]) -> None:
        """One transaction."""
        topic, partition = self.place
        reached = self.position.resume_at
        records: list[Record] = []
        for batch in batches:
            if isinstance(batch, LeaderEpoch):
                await self._log.follow(batch.leader_epoch, reached)
                continue
            if batch.next_offset <= reached:
                continue
            if batch.base_offset > reached:
                raise GapError(f"{topic}[{partition}]: offsets {reached} to {batch.base_offset - 1} did not come")
            records += from_offset(iter(batch), reached)
            reached = batch.next_offset
        if reached == self.position.resume_at or not await self._ready(records):
            return
        outgoing: dict[int, list[Outgoing]] = defaultdict(list)
        unplaced = 0
        for at in range(0, len(records), YIELD_EVERY):
            for number, key, value, headers, placed in self._placing.copies(topic, partition, records[at : at + YIELD_EVERY]):
                outgoing[number].append((key, value, None, cast("list[Header]", headers)))
                unplaced += not placed
            await asyncio.sleep(0)
        await self._write(outgoing, self._next_position(reached, len(records)))
        self._progress.copied[topic] += len(records)
        self._progress.unplaced[topic] += unplaced
        self._source.next_offset = reached

    def _next_position(self, reached: int, count: int) -> Position:
        before = self.position
        return Position(
            next_offset=reached,
            arrival=0,
            counters=replace(before.counters, read=before.counters.read + count),
            finals_end=0,
            changelog_start=0,
            fingerprint={},
            identity=before.identity,
            leader_epoch=self._log.leader_epoch,
        )

    async def _write(self, outgoing: dict[int, list[Outgoing]], position: Position) -> None:
        """Write copies and a position as one transaction. Raises aiokafka's errors."""
        settings, producer = self._settings, self._producer
        await producer.begin()
        sent: list[Sent] = []
        for number, records in outgoing.items():
            sent += await producer.send(settings.repartition_topic, number, records)
        record: Outgoing = (position_key(*self.place), encode_position(position), None, [])
        sent += await producer.send(settings.repartition_positions_topic, 0, [record])
        await acknowledged(sent)
        await producer.commit(TopicPartition(*self.place), position.resume_at)
        self.position = position
