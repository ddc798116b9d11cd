"""Topics in memory: what a partition's worker reads and writes in the simulation, with transactions and fencing."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

from aiokafka import TopicPartition
from aiokafka.errors import ProducerFenced

from app.kafka.batches import Outgoing, Run, flat
from app.kafka.leader_epochs import NOT_THERE, EpochEnd
from app.kafka.producers import Sent
from app.kafka.records import APPEND_TIME

START = 1_700_000_040_000
SILENCE = 10**8  # ms at the end
MARKER = -1  # the timestamp of a control record


class Row(NamedTuple):
    """A record of a topic in memory; `transaction` 0 for none. `MARKER` stands at the end of one."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes]] = []  # noqa: RUF012  # never changed
    transaction: int = 0


class Part(NamedTuple):
    """A batch: the offsets it covers, and those of its records that may be read."""

    base_offset: int
    next_offset: int
    rows: list[Row]
    timestamp_type: int = 0
    max_timestamp: int = -1

    def __iter__(self) -> Iterator[Row]:  # type: ignore[override]  # a batch, not a triple
        return iter(self.rows)


def append_time_batches(rows: list[Row]) -> list[Part]:
    """What a fetch of these rows of the input gives: each row is a batch with the broker's time."""
    return [Part(row.offset, row.offset + 1, [row], APPEND_TIME, row.timestamp) for row in rows]


class Metadata(NamedTuple):
    """What an acknowledgement says."""

    offset: int
    timestamp: int = -1
    timestamp_type: int = 0


@dataclass
class Topics:
    """All topics, one partition each."""

    rows: dict[str, list[Row]] = field(default_factory=dict)
    open_transactions: set[int] = field(default_factory=set)
    aborted: set[int] = field(default_factory=set)
    began: int = 0
    epoch: int = 0  # of the transactional producer that began last
    begins: dict[str, int] = field(default_factory=dict)  # the first offset that still exists, where it is not 0
    leaders: dict[str, list[tuple[int, int]]] = field(default_factory=dict)  # leader epochs, and where they begin
    longest: dict[str, int] = field(default_factory=dict)  # the end offsets of the latest leaders

    def elect(self, topic: str, left: int | None = None) -> None:
        """Another leader takes over. It lacks the rows from `left` on."""
        rows = self.rows[topic]
        del rows[len(rows) if left is None else left :]
        leaders = self.leaders.setdefault(topic, [(0, 0)])
        epoch = leaders[-1][0] + 1
        leaders[:] = [leader for leader in leaders if leader[1] < len(rows)] + [(epoch, len(rows))]
        self.longest[topic] = len(rows)

    def appended(self, topic: str) -> None:
        """Note that the input has a new row. If it was longer before, that was another leader's log."""
        end = len(self.rows[topic])
        if end <= self.longest.get(topic, 0):
            row = self.rows[topic].pop()
            self.elect(topic)
            self.rows[topic].append(row)
        self.longest[topic] = end

    def epoch_of(self, topic: str, offset: int) -> int:
        """The leader epoch in which a row was appended."""
        return max(epoch for epoch, start in self.leaders.get(topic, [(0, 0)]) if start <= offset)

    def end_of_epoch(self, topic: str, epoch: int) -> EpochEnd:
        """Where an epoch ends, as Kafka answers."""
        leaders = self.leaders.get(topic, [(0, 0)])
        if epoch > leaders[-1][0]:
            return EpochEnd(-1, NOT_THERE)
        end = next((start for begun, start in leaders if begun > epoch), len(self.rows.get(topic, [])))
        return EpochEnd(max((begun for begun, _ in leaders if begun <= epoch), default=epoch), end)

    def append(self, topic: str, record: Outgoing, transaction: int = 0) -> int:
        rows = self.rows.setdefault(topic, [])
        key, value, timestamp, headers = record
        rows.append(Row(len(rows), timestamp or 0, key, value, list(headers), transaction))
        return len(rows) - 1

    def end(self, transaction: int, *, commit: bool) -> None:
        """Write the markers that end a transaction; each takes an offset."""
        self.open_transactions.discard(transaction)
        if not commit:
            self.aborted.add(transaction)
        for rows in self.rows.values():
            if any(row.transaction == transaction for row in rows):
                rows.append(Row(len(rows), MARKER, None, None))

    def stable_end(self, topic: str) -> int:
        """Up to where a reader of committed records gets."""
        rows = self.rows.get(topic, [])
        return next((row.offset for row in rows if row.transaction in self.open_transactions), len(rows))

    def committed(self, topic: str, start: int = 0, end: int | None = None) -> list[Row]:
        """What such a reader sees."""
        rows = self.rows.get(topic, [])[start : self.stable_end(topic) if end is None else end]
        return [row for row in rows if row.timestamp != MARKER and row.transaction not in self.aborted]


Queue = deque[tuple[Callable[[], int], asyncio.Future[Metadata] | None, int]]


class Wire:
    """What a worker has sent; records arrive one by one, when the schedule says so, of its two producers in turn."""

    def __init__(self, topics: Topics, broker_time: Callable[[], int]) -> None:
        self.topics = topics
        self._broker_time = broker_time
        self._queues: tuple[Queue, Queue] = deque(), deque()  # of the checkpoints, of the finals
        self._next = 0  # whose turn it is

    def put(self, records: Iterable[Callable[[], int]], *, finals: bool = False) -> list[Sent]:
        every = list(records)
        if not every:
            return []
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        for number, arrive in enumerate(every, 1):
            self._queues[finals].append((arrive, future if number == len(every) else None, len(every)))
        return [Sent(future, len(every), "")]

    def deliver(self) -> bool:
        if not any(self._queues):
            return False
        queue = self._queues[self._next] or self._queues[1 - self._next]
        self._next = 1 - self._next
        arrive, future, count = queue.popleft()
        try:
            offset = arrive()
        except ProducerFenced as error:
            if future is not None and not future.done():
                future.set_exception(error)
                future.exception()  # the checkpoint that waits for it may have been given up
            return True
        if future is not None and not future.done():
            future.set_result(Metadata(offset - count + 1, self._broker_time(), APPEND_TIME))
        return True


class Finals:
    """An idempotent producer: what it sends can be read as soon as it arrives."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    async def send(self, topic: str, partition: int, records: Iterable[Outgoing | Run]) -> list[Sent]:
        assert partition == 0
        return self._wire.put((partial(self._wire.topics.append, topic, record) for record in flat(records)), finals=True)


class Checkpoints:
    """A transactional producer; the next one fences it."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._transaction = 0
        wire.topics.epoch += 1
        self._epoch = wire.topics.epoch

    def fenced(self) -> bool:
        return self._epoch < self._wire.topics.epoch

    async def begin(self) -> None:
        topics = self._wire.topics
        topics.began += 1
        self._transaction = topics.began
        if not self.fenced():
            topics.open_transactions.add(self._transaction)

    def _arrive(self, topic: str, record: Outgoing, transaction: int) -> int:
        if self.fenced():
            raise ProducerFenced
        assert transaction in self._wire.topics.open_transactions, "sent outside a transaction"
        return self._wire.topics.append(topic, record, transaction)

    def _end(self, transaction: int) -> int:
        if self.fenced():
            raise ProducerFenced
        self._wire.topics.end(transaction, commit=True)
        return 0

    async def commit(self, source: TopicPartition, next_offset: int) -> None:
        assert source == ("ticks", 0)
        assert next_offset >= 0
        (sent,) = self._wire.put([partial(self._end, self._transaction)])
        await sent.acknowledged

    async def send(self, topic: str, partition: int, records: Iterable[Outgoing | Run]) -> list[Sent]:
        assert partition == 0
        return self._wire.put(partial(self._arrive, topic, record, self._transaction) for record in flat(records))


class ListReader:
    """Reads what is committed of the topics in memory."""

    def __init__(self, topics: Topics) -> None:
        self._topics = topics

    async def bounds(self, topic: str, partition: int) -> tuple[int, int]:
        assert partition == 0
        begin = self._topics.begins.get(topic, 0)
        return begin, max(begin, self._topics.stable_end(topic))

    async def end_of_epoch(self, topic: str, partition: int, leader_epoch: int) -> EpochEnd | None:
        assert partition == 0
        return self._topics.end_of_epoch(topic, leader_epoch)

    async def read(self, topic: str, partition: int, start: int, end: int) -> AsyncIterator[Part]:
        assert partition == 0
        for at in range(start, end, 3):
            to = min(at + 3, end)
            yield Part(at, to, self._topics.committed(topic, at, to))
