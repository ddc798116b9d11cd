"""One partition of the simulation: its worker, its successors, and what a schedule does to them."""

from __future__ import annotations

import asyncio
import contextlib
from functools import partial
from typing import Any

import pytest
from aiokafka.errors import ProducerFenced

from agents import timers
from agents.recovery import recover
from agents.task import PartitionTask
from app.kafka import clock
from app.kafka.clock import BrokerClock
from app.kafka.fetcher import Head
from app.kafka.records import Batch, LeaderEpoch
from app.kafka.slices import Slice
from app.settings import Settings
from app.settings.types import Delivery, ScopeKind
from tables.state import Identity
from tests.simulation.steps import Step
from tests.simulation.topics import (
    SILENCE,
    START,
    Checkpoints,
    Finals,
    ListReader,
    Row,
    Topics,
    Wire,
    append_time_batches,
)


class Simulation:
    """One partition, its worker, and what the schedule does to both."""

    def __init__(self, scope: ScopeKind, delivery: Delivery, deleted: int = 0, **others: str) -> None:
        """`deleted`: so many records of the input were deleted before the worker's first start."""
        self.settings = Settings.load(
            scope=scope, delivery=delivery, max_future="10000d", min_ts=0, idle_margin="0ms", on_gap="continue", **others
        )
        gone = [Row(offset, START, None, None) for offset in range(deleted)]
        self.topics = Topics({self.settings.ticks_topic: gone}, begins={self.settings.ticks_topic: deleted})
        self.first = deleted  # the first offset that a worker can read
        self.identity = Identity("cluster", "ticks-1", "finals-1")  # as the broker tells it
        self.now = START
        self.ahead = 0  # how far the broker's clock is ahead of that
        self.worker_ahead = 0  # how far the worker's wall clock is
        self.read_to = 0
        self.wire = Wire(self.topics, lambda: self.broker_time)
        self.partition: PartitionTask
        self.former: tuple[PartitionTask, Wire, int] | None = None  # an owner that was frozen, and up to where it had read

    @property
    def log(self) -> list[Row]:
        return self.topics.rows[self.settings.ticks_topic]

    @property
    def broker_time(self) -> int:
        """What the broker's clock shows."""
        return self.now + self.ahead

    @property
    def steady(self) -> int:
        """What the worker's steady clock shows: its zero is no date."""
        return self.now - START + 10_000

    async def restart(self) -> None:
        """A crash: what was not delivered is lost, an open transaction is aborted, and a new worker recovers."""
        for transaction in list(self.topics.open_transactions):
            self.topics.end(transaction, commit=False)
        self.wire = Wire(self.topics, lambda: self.broker_time)
        checkpoints: Any = Checkpoints(self.wire)
        finals: Any = Finals(self.wire) if self.settings.delivery is Delivery.idempotent else None
        reader: Any = ListReader(self.topics)
        found = await recover(reader, self.settings, 0, 1, self.identity)
        self.partition = PartitionTask(
            *(self.settings, 0, found, checkpoints, finals),
            append_time=True,
            max_record=1 << 20,
            clock=BrokerClock(lambda: self.steady),
            end_of_epoch=partial(reader.end_of_epoch, self.settings.ticks_topic),
        )
        self.read_to = self.partition.consumed_to
        beginning = asyncio.ensure_future(self.partition.begin())
        while not beginning.done():
            for _ in range(5):
                await asyncio.sleep(0)
            assert beginning.done() or self.wire.deliver(), "the start waits for something that was never sent"
        beginning.result()

    async def takeover(self) -> None:
        """The worker is frozen for so long that another one gets its partition."""
        self.former = self.partition, self.wire, self.read_to
        await self.restart()

    async def wake_up(self, count: int) -> None:
        """The former owner goes on for a while: what was on its way arrives, it reads, and it makes a checkpoint."""
        if self.former is None:
            return
        partition, wire, read_to = self.former
        rows = self.log[read_to : read_to + count]
        if rows:
            await partition.feed(Slice(partition.number, partition, append_time_batches(rows), self.steady))
        self.former = partition, wire, read_to + len(rows)
        await partition.tick(Head(len(self.log), self.steady - 1))
        task = asyncio.ensure_future(partition.checkpoint())
        while not task.done():
            for _ in range(5):
                await asyncio.sleep(0)
            assert wire.deliver() or task.done(), "the checkpoint waits for something that was never sent"
        with contextlib.suppress(ProducerFenced):
            assert task.result() is None, "a former owner made a checkpoint"

    def tick(self, wait: int, name: int, lag: int, kind: str) -> None:
        self.now += wait
        broker, symbol = ("A", "B")[name % 2], "xyz"[name // 2 % 3]
        ts = self.now + (3_000 if broker == "B" else 0) - lag
        value = {
            "tick": f'{{"ts":{ts},"bid":{1 + name}.5{self.more()}}}',
            "beat": f'{{"ts":{ts},"heartbeat":true}}',
            "bad": "nonsense",
        }[kind]
        self.log.append(Row(len(self.log), self.broker_time, f"{broker}|{symbol}".encode(), value.encode()))
        self.topics.appended(self.settings.ticks_topic)

    def more(self) -> str:
        """Further fields of a tick."""
        return ""

    def clock(self, ahead: int, name: int) -> None:
        """The broker's clock steps; a record shows it at once, as only records take arrival time back."""
        self.ahead = ahead
        self.tick(1, name, 0, "tick")

    def worker_clock(self, ahead: int) -> None:
        """The wall clock of the worker's machine steps, which nobody may notice."""
        self.worker_ahead = ahead

    def deliver(self, count: int) -> None:
        """So many records arrive."""
        for _ in range(count):
            self.wire.deliver()

    async def crash(self) -> None:
        """A crash, and a new worker."""
        await self.restart()

    async def read(self, count: int) -> None:
        rows = self.log[self.read_to : self.read_to + count]
        if rows:
            self.read_to += len(rows)
            parts: list[Batch] = []
            for batch in append_time_batches(rows):
                epoch = self.topics.epoch_of(self.settings.ticks_topic, batch.base_offset)
                parts += [LeaderEpoch(batch.base_offset, epoch), batch]
            await self.partition.feed(Slice(self.partition.number, self.partition, parts, self.steady))

    async def timer(self) -> None:
        await self.read(len(self.log))
        await self.partition.tick(Head(len(self.log), self.steady - 1))

    async def checkpoint(self, records: int | None, reading: int = 0) -> None:
        """A checkpoint, or the first so many records of one and then a crash; reading goes on meanwhile, record by record."""
        task = asyncio.ensure_future(self.partition.checkpoint())
        while True:
            for _ in range(5):
                await asyncio.sleep(0)
            if task.done():
                task.result()
                return
            if records == 0:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
                await self.restart()
                return
            assert self.wire.deliver(), "the checkpoint waits for something that was never sent"
            if reading:
                reading -= 1
                await self.read(1)
            records = None if records is None else records - 1

    async def finish(self) -> None:
        await self.read(len(self.log))
        self.now += SILENCE
        await self.timer()
        while self.wire.deliver():
            pass
        await self.checkpoint(None)


async def run(
    steps: list[Step],
    scope: ScopeKind,
    delivery: Delivery = Delivery.idempotent,
    deleted: int = 0,
    **others: str,
) -> Simulation:
    simulation = Simulation(scope, delivery, deleted, **others)
    await follow(simulation, steps)
    return simulation


async def follow(simulation: Simulation, steps: list[Step]) -> None:
    """Take these steps: each is the name of a method, and its arguments."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (clock, timers):
            patch.setattr(module, "now_ms", lambda: simulation.now + simulation.worker_ahead)
        await simulation.restart()
        for name, *arguments in steps:
            done = getattr(simulation, name)(*arguments)
            if done is not None:
                await done
        await simulation.finish()
