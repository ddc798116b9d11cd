"""The checkpoint of one partition: a snapshot of one moment, written as one Kafka transaction.

The order within the transaction: bars that wait for it, longer bars and revisions, late and rejected records, changed states,
the position record, the group's offset. It begins only when the bars that were sent before it are acknowledged. If the worker
crashes in the middle, or is fenced by a new owner, the whole transaction is aborted. docs/delivery.md explains why.
"""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Mapping
from dataclasses import dataclass

from aiokafka import TopicPartition
from msgspec import UnsetType

from agents.beyond import BeyondOutputs
from agents.finals import FinalsPublisher, check_log_grew
from agents.side_outputs import SideOutputs
from app.kafka.batches import Header, Outgoing, Run
from app.kafka.clock import BrokerClock
from app.kafka.producers import NO_HEADERS, Sent, TransactionalProducer, acknowledged
from app.settings import Settings
from tables.checkpoint_plan import CheckpointPlan
from tables.corrections import Corrections
from tables.emission import Closed
from tables.engine import Engine
from tables.records import SideRecord
from tables.state import POSITION_KEY, Position, encode_position

YIELD_EVERY = 2_000  # states that are encoded before the event loop gets a turn


@dataclass
class Snapshot:
    """Everything that a checkpoint writes or waits for, copied at one moment."""

    position: Position  # finals_end and changelog_start are filled in while it is written
    states: list[Outgoing | Run]
    side: list[SideRecord]
    beyond: list[Closed]  # longer bars and revisions, part of the transaction
    horizon: Mapping[str, int] | None  # where the bars of the windows that can be corrected begin; None: there are none
    unsent: list[Closed]  # bars that are part of the transaction
    in_flight: list[Sent]  # bars that must be acknowledged before it
    finals_end: int  # bars sent later must stay in the next owner's tail


class Checkpoints:
    """Takes and writes the snapshots of one partition."""

    def __init__(  # noqa: PLR0913  # the parts of the partition that a checkpoint covers
        self,
        settings: Settings,
        partition: int,
        producer: TransactionalProducer,
        *,
        plan: CheckpointPlan,
        finals: FinalsPublisher,
        others: tuple[BeyondOutputs, SideOutputs],
        position: Position,
        required: bool,
        clock: BrokerClock,
        headers: list[Header],
    ) -> None:
        """`position`: the stored one. `required`: see the attribute. `clock` learns the broker's time by acknowledgments."""
        self.position = position
        self.required = required  # the next checkpoint is written even if nothing has changed
        self._corrections: Corrections | None = None
        self._clock = clock
        self.finals_epoch = position.finals_epoch  # see `Position`
        self._source = TopicPartition(settings.input_topic, partition)
        self._changelog_topic = settings.changelog_topic
        self._partition = partition
        self._producer = producer
        self._plan = plan
        self._finals = finals
        self._beyond, self._side = others
        self._beyond_topics = tuple(settings.beyond_topics) if settings.corrects else ()
        self._headers = headers

    async def snapshot(self, engine: Engine, consumed_to: int, leader_epoch: int) -> Snapshot | None:
        """Copy what a checkpoint of this moment writes; None where there is nothing to write. The engine must not be fed.

        `consumed_to`: offsets of the input below it have been processed, or hold no records. `leader_epoch`: of the last.
        """
        known, finals = self.position, self._finals
        moved = (consumed_to, finals.end, self.finals_epoch) != (known.resume_at, known.finals_end, known.finals_epoch)
        if not (moved or self.required or self._side or self._beyond or finals.pending or self._plan.overdue):
            return None
        unsent, in_flight, side = finals.take_unsent(), finals.take_in_flight(), self._side.take()
        finals_end = finals.end
        position = Position(
            next_offset=engine.next_offset,
            arrival=engine.arrival,
            counters=copy.copy(engine.counters),
            finals_end=-1,
            changelog_start=-1,
            fingerprint=known.fingerprint,
            consumed_to=consumed_to,
            identity=known.identity,
            cut=engine.cut,
            leader_epoch=leader_epoch,
            clock_steps=engine.clock_steps,
            finals_epoch=self.finals_epoch,
            ends=known.ends,
            tz=known.tz,
        )
        after = engine.windows.after
        self._corrections = None if after is None else after.corrections
        if self._corrections is not None:
            self._corrections.kept.settle(known.all_ends(self._finals.topic))
        horizon = None if self._corrections is None else self._corrections.kept.horizon_begins
        beyond = self._beyond.take()
        return Snapshot(position, await self._encode_states(), side, beyond, horizon, unsent, in_flight, finals_end)

    async def write(self, snapshot: Snapshot) -> int:
        """Write a snapshot as one transaction; return the offset to resume at. Raises aiokafka's errors and `StateError`."""
        position, producer, finals = snapshot.position, self._producer, self._finals
        sent = snapshot.in_flight
        await acknowledged(sent)  # the position must never be written before these bars
        await producer.begin()
        if snapshot.unsent:
            sent = await finals.send(producer, snapshot.unsent)
            await acknowledged(sent)
        position.finals_end = finals.advance(snapshot.finals_end, sent)
        finals.end = max(finals.end, position.finals_end)
        await self._send_beyond(snapshot)
        await self._side.send(producer, snapshot.side)
        await self._write(snapshot.states)
        position.changelog_start = self._plan.live_from
        await self._commit(position)
        self.position = position
        self.required = False
        if self._corrections is not None:
            self._corrections.kept.checkpointed(position.all_ends(self._finals.topic))
        return position.resume_at

    async def _send_beyond(self, snapshot: Snapshot) -> None:
        """Send the bars beside the base finals, and note in the position where recovery finds what can be corrected."""
        position = snapshot.position
        new = await self._beyond.send(self._producer, snapshot.beyond, self._finals.headers)
        if self._beyond_topics:
            known = {} if isinstance(position.ends, UnsetType) else position.ends
            position.ends = known | {topic: end for topic, end in new.items() if topic in self._beyond_topics}
            ends = position.all_ends(self._finals.topic)
            position.horizon = ends if snapshot.horizon is None else dict(snapshot.horizon)

    async def repeat(self) -> None:
        """Write the stored position once more, unchanged. The acknowledgment gives the broker's time."""
        await self._producer.begin()
        await self._commit(self.position)

    async def _commit(self, position: Position) -> None:
        await self._write([(POSITION_KEY, encode_position(position), None, self._headers)])
        await self._producer.commit(self._source, position.resume_at)

    async def _encode_states(self) -> list[Outgoing | Run]:
        states: list[Outgoing | Run] = []
        encoded = 0
        for some in self._plan.runs():
            if isinstance(some, tuple):
                states.append((*some, None, NO_HEADERS))
                encoded += 1
            else:
                states.append(some)
                encoded += len(some)
            if encoded >= YIELD_EVERY:
                encoded = 0
                await asyncio.sleep(0)
        return states

    async def _write(self, records: list[Outgoing | Run]) -> None:
        """Write to the changelog and wait for the acknowledgement."""
        began = self._clock.steady()
        sent = await self._producer.send(self._changelog_topic, self._partition, records)
        await acknowledged(sent)
        if sent:
            self._clock.acknowledged(sent[-1].append_time, began)
        self._plan.end = check_log_grew(self._changelog_topic, self._partition, self._plan.end, sent)
