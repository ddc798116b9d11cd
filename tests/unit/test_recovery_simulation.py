"""The engine inside its checkpoints and recovery, without sockets: a log in memory, and a crash after any record.

What runs is the worker's own code (`PartitionTask`, `recover`); only the topics are lists. The bars, their evidence and their
order, and the late ticks, must be those of an engine that never stopped. A former owner may wake up beside its successor.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

import msgspec
import pytest
from aiokafka import TopicPartition
from aiokafka.errors import ProducerFenced
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agents import checkpoints, timers
from agents.engines import engine_config
from agents.recovery import recover
from agents.side_outputs import SideOutputs
from agents.task import PartitionTask
from app.kafka import clock
from app.kafka.batches import Outgoing
from app.kafka.clock import BrokerClock
from app.kafka.fetcher import Head
from app.kafka.leader_epochs import NOT_THERE, EpochEnd
from app.kafka.producers import Sent
from app.kafka.records import APPEND_TIME, Batch, LeaderEpoch
from app.kafka.slices import Slice
from app.settings import Settings
from app.settings.types import Delivery, IdleClose, ScopeKind
from tables import checkpoint_plan, rules, snapshots
from tables.after_close import AfterClose
from tables.bar_formats.records import bar_of
from tables.bars import Bar, bar_key
from tables.engine import Engine
from tables.further import Settled
from tables.idle import IdleScheduler
from tables.open_windows import OpenWindows
from tables.records import SideRecord
from tables.replay import Replay
from tables.scopes import Scope, Symbol
from tables.silence import Silence
from tables.state import CUT_AT_NEXT, NO_CUT, Counters, Identity, SymbolState
from tables.window import Window
from tests.support.examples import examples
from tests.unit.model import take_beyond, take_finals

START = 1_700_000_040_000
SILENCE = 10**8  # ms at the end
MARKER = -1  # the timestamp of a control record
EXAMPLES = examples(check=25, full=75, thorough=5_000)


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

    async def send(self, topic: str, partition: int, records: Iterable[Outgoing]) -> list[Sent]:
        assert partition == 0
        return self._wire.put((partial(self._wire.topics.append, topic, record) for record in records), finals=True)


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

    async def send(self, topic: str, partition: int, records: Iterable[Outgoing]) -> list[Sent]:
        assert partition == 0
        return self._wire.put(partial(self._arrive, topic, record, self._transaction) for record in records)


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


Step = tuple[Any, ...]
STEPS = st.one_of(
    st.tuples(
        st.just("tick"),
        st.sampled_from([0, 1, 300, 4_999, 5_000, 5_001, 30_000, 66_000]),
        st.integers(0, 5),
        st.sampled_from([0, 0, 800, 9_000, 61_000, -50_000]),
        st.sampled_from(["tick", "tick", "tick", "tick", "beat", "bad"]),
    ),
    st.tuples(st.just("clock"), st.sampled_from([0, 0, 70_000, 86_400_000, 2 * 86_400_000]), st.integers(0, 5)),
    st.tuples(st.just("worker_clock"), st.sampled_from([0, 70_000, 86_400_000, -86_400_000])),
    st.tuples(st.just("read"), st.integers(1, 6)),
    st.tuples(st.just("timer")),
    st.tuples(st.just("deliver"), st.integers(1, 3)),
    st.tuples(st.just("checkpoint"), st.one_of(st.none(), st.integers(0, 8)), st.integers(0, 4)),
    st.tuples(st.just("crash")),
    st.tuples(st.just("takeover")),
    st.tuples(st.just("wake_up"), st.integers(0, 6)),
)


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


def judge(simulation: Simulation) -> None:
    """Compare what is in the topics with an engine that read the log in one go."""
    config = simulation.settings
    engine = Engine(engine_config(config), simulation.first)
    engine.windows.cut = CUT_AT_NEXT if simulation.first else NO_CUT
    engine.feed(simulation.log[simulation.first :])
    engine.advance_arrival(simulation.broker_time - 1)
    expected = take_finals(engine)
    rows = [row for row in simulation.topics.committed(config.finals_topic) if row.value]
    if simulation.former is not None and simulation.settings.delivery is Delivery.idempotent:
        first: dict[bytes | None, Row] = {}
        for row in rows:  # a former owner may repeat a bar, or be faster than its successor with it, but not change it
            before = first.setdefault(row.key, row)
            assert bar_of(before.value or b"", before.headers) == bar_of(row.value or b"", row.headers)
        places = {bar_key(bar.broker, bar.symbol, bar.bucket_start): place for place, bar in enumerate(expected)}
        rows = sorted(first.values(), key=lambda row: places.get(row.key or b"", -1))
    published: list[Bar] = [bar_of(row.value or b"", row.headers) for row in rows]
    assert published == expected
    if not engine.clock_steps:
        assert all(bar.closed_at >= bar.bucket_end for bar in published)
    judge_beyond(simulation, engine)
    side = engine.take_side()
    for topic, kind in ((config.late_topic, "late"), (config.rejected_topic, "rejected")):
        sent = {row.key for row in simulation.topics.committed(topic)}
        assert sent == {f"{config.ticks_topic}|0|{s.offset}".encode() for s in side if s.kind == kind}
    assert simulation.partition.engine.open_windows == engine.open_windows
    if config.idle_close is not IdleClose.off and config.window_size + config.grace < SILENCE // 10:
        assert not engine.open_windows, "silence does not close them"
    assert simulation.partition.engine.counters == engine.counters
    assert engine.counters.balanced()
    assert engine.counters.read == len(simulation.log) - simulation.first


def judge_beyond(simulation: Simulation, engine: Engine) -> None:
    """Compare the longer and the revised bars. Each is in its topic once, in order: they are part of transactions."""
    config = simulation.settings
    wanted: dict[str, list[Bar]] = {topic: [] for topic in config.beyond_topics}
    for topic_of, bars in zip((config.finals_topic_of, config.corrections_topic_of), take_beyond(engine), strict=True):
        for frame, bar in bars:
            wanted[topic_of(frame)].append(bar)
    for topic, bars_of_topic in wanted.items():
        assert [bar_of(row.value or b"", row.headers) for row in simulation.topics.committed(topic)] == bars_of_topic
    if engine.windows.after is not None:
        held, expected = simulation.partition.engine.windows.after, engine.windows.after
        assert held is not None
        assert stored_of(held) == stored_of(expected)


def stored_of(after: AfterClose) -> set[bytes]:
    """The keys of the records that must be in the changelog, apart from windows that only a checkpoint gives some."""
    return {key for key, item in after.further.items.items() if not isinstance(item, Settled) and after.record_of(item)}


@pytest.mark.parametrize("delivery", list(Delivery))
@pytest.mark.parametrize("scope", list(ScopeKind))
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    steps=st.lists(STEPS, max_size=60),
    spare=st.sampled_from([checkpoint_plan.SPARE, 0]),
    deleted=st.sampled_from([0, 0, 2]),
    windows=st.sampled_from([snapshots.WINDOWS_PER_RECORD, 1]),
)
def test_a_crash_after_any_record_leaves_the_same_bars_as_no_crash_at_all(
    scope: ScopeKind, delivery: Delivery, steps: list[Step], spare: int, deleted: int, windows: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checkpoint_plan, "SPARE", spare)  # 0: symbols are let go as soon as they can be
        patch.setattr(snapshots, "WINDOWS_PER_RECORD", windows)  # 1: every second window has a record of its own
        judge(asyncio.run(run(steps, scope, delivery, deleted)))


TICK: Step = ("tick", 0, 0, 0, "tick")
NEXT_WINDOW: Step = ("tick", 66_000, 0, 0, "tick")
STATES_LOST: list[Step] = [TICK, ("read", 1), ("checkpoint", None), ("crash",), NEXT_WINDOW]
TAIL_IGNORED: list[Step] = [
    TICK,
    ("read", 1),
    ("checkpoint", None),
    NEXT_WINDOW,
    ("read", 1),
    ("deliver", 1),
    ("crash",),
]
TORN: list[Step] = [TICK, ("read", 1), ("checkpoint", 1), NEXT_WINDOW]
OVERWRITTEN: list[Step] = [
    *(TICK, ("read", 1), ("takeover",)),
    *(TICK, ("read", 2), ("checkpoint", None), ("wake_up", 0), ("crash",), NEXT_WINDOW),
]


POSITION_FIRST: list[Step] = [  # of four bars the last one does not arrive
    *(TICK, ("tick", 0, 2, 0, "tick"), ("tick", 0, 4, 0, "tick"), ("tick", 62_000, 0, 0, "tick"), NEXT_WINDOW),
    *(("read", 5), ("checkpoint", 7), ("crash",)),
]
TOO_EARLY: list[Step] = [
    *(TICK, ("read", 1), ("checkpoint", None), TICK, NEXT_WINDOW, ("read", 2), ("deliver", 1), ("crash",)),
    *(("read", 1), ("checkpoint", None), ("crash",)),
]
LATE_ONCE: list[Step] = [  # a tick that was late, as silence had closed its window
    *(TICK, ("read", 1), ("checkpoint", None), ("tick", 66_000, 1, 0, "tick"), ("timer",), ("deliver", 3)),
    *(("tick", 0, 0, 66_000, "tick"), ("read", 1), ("crash",)),
]


async def write_nothing(self: checkpoints.Checkpoints) -> list[Outgoing]:
    """A checkpoint without its states."""
    list(self._plan.round())  # the plan goes on as if they had been written
    return []


def without_tail(
    self: Replay, tail: Sequence[Bar], windows: OpenWindows, scheduler: IdleScheduler, cuts: Sequence[int]
) -> None:
    """A recovery that does not look at what was published."""
    original_replay(self, (), windows, scheduler, cuts)


def not_atomic(self: Checkpoints, topic: str, record: Outgoing, transaction: int) -> int:
    """States without their position, where a worker crashes in between."""
    return self._wire.topics.append(topic, record)


def never_fenced(self: Checkpoints) -> bool:
    """A former owner may go on writing."""
    return False


async def without_waiting(sent: Iterable[Sent]) -> None:
    """The position is on its way before the finals have arrived."""


def not_raised(self: Replay, offset: int, _: Any = None) -> None:
    """Stream time is not raised where the published bars say."""
    while self._pending and self._pending[0].closed_at_offset <= offset:
        self._pending.popleft()


original_replay = Replay.__init__
AHEAD: list[Step] = [("tick", 0, 0, -50_000, "tick"), ("tick", 15_000, 0, -50_000, "tick"), ("read", 2)]
CLOCK_WRONG: list[Step] = [  # the clock is put right between two checkpoints
    *(("clock", 86_400_000, 0), ("tick", 0, 2, 0, "tick"), ("tick", 0, 4, 0, "tick"), ("read", 3), ("checkpoint", None)),
    *(("clock", 0, 0), ("read", 1), ("checkpoint", None), ("crash",)),
]
AHEAD_FOR_LONG: list[Step] = [("clock", 2 * 86_400_000, 0), ("read", 1), ("clock", 0, 2)]
SET_BACK: list[Step] = [  # the timer runs after the broker's clock was put right
    *(("clock", 86_400_000, 0), ("read", 1), ("checkpoint", None), ("clock", 0, 2), ("timer",), ("tick", 1, 2, 0, "tick")),
]


WORKER_AHEAD: list[Step] = [TICK, ("worker_clock", 86_400_000), ("timer",), TICK]


def of_the_worker(self: BrokerClock, steady: int) -> int:
    """The timer goes by the wall clock of the worker's machine."""
    return clock.now_ms() - self.steady() + steady


def not_forgotten(self: BrokerClock) -> None:
    """The timer goes on with the time that a wrong clock gave."""


def as_it_is(ms: int, _: int) -> int:
    """Stream time follows every clock."""
    return ms


def unwritten(self: OpenWindows, arrival: int) -> None:
    """The windows' stored states keep the times of the clock that was wrong."""
    original_step_back(self, arrival)
    self.changed.clear()


original_step_back = OpenWindows.step_back


@pytest.mark.parametrize(
    ("owner", "name", "broken", "steps"),
    [
        (checkpoints.Checkpoints, "_encode_states", write_nothing, STATES_LOST),
        (Replay, "__init__", without_tail, TAIL_IGNORED),
        (Checkpoints, "_arrive", not_atomic, TORN),
        (Checkpoints, "fenced", never_fenced, OVERWRITTEN),
        (checkpoints, "acknowledged", without_waiting, POSITION_FIRST),
        (Engine, "replaying", False, TOO_EARLY),
        (Replay, "advance_to", not_raised, LATE_ONCE),
        (rules, "min", as_it_is, AHEAD),
        (OpenWindows, "step_back", unwritten, CLOCK_WRONG),
        (BrokerClock, "forget", not_forgotten, SET_BACK),
        (Silence, "step_back", lambda *_: None, AHEAD_FOR_LONG),
        (BrokerClock, "at", of_the_worker, WORKER_AHEAD),
    ],
    ids=[
        "states are not written",
        "the tail is ignored",
        "checkpoints are not atomic",
        "former owners are not fenced",
        "finals are not waited for",
        "checkpoints are made within the tail",
        "the tail does not raise stream time",
        "stream time follows a clock that is ahead",
        "a clock that was wrong stays in the stored states",
        "the timer goes on with a clock that was wrong",
        "arrival time stays where a clock that was wrong took it",
        "the timer goes by the worker's clock",
    ],
)
def test_the_simulation_fails_when_a_rule_is_broken(
    monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, broken: Any, steps: list[Step]
) -> None:
    judge(asyncio.run(run(steps, ScopeKind.BROKER)))
    monkeypatch.setattr(owner, name, broken, raising=name != "min")  # a builtin
    with pytest.raises(AssertionError):
        judge(asyncio.run(run(steps, ScopeKind.BROKER)))


LATER: Step = ("tick", 66_000, 0, 0, "bad")  # idling has closed what was open, and nothing else happens
STALE: Step = ("tick", 66_000, 0, 61_000, "tick")  # late, as idling has closed its window
CHECKED: list[Step] = [TICK, ("read", 1), ("checkpoint", None)]
Found = dict[str, Any]  # what recovery gives the engine
original_restore = Engine.restore
original_checkpoint = PartitionTask._make_checkpoint


def restored(change: Callable[[Found], Found]) -> tuple[type, str, Callable[..., None]]:
    """A recovery that gives the engine something else than what was kept."""

    def restore(self: Engine, *kept: Any, **more: Any) -> None:
        found: Found = dict(zip(("counters", "arrival", "stream_times", "states", "tail", "cut", "cuts"), kept, strict=True))
        original_restore(self, **(found | change(found)), **more)

    return Engine, "restore", restore


def tail_with(**other: Callable[[Bar, Found], Any]) -> Callable[[Found], Found]:
    def change(found: Found) -> Found:
        tail = [msgspec.structs.replace(bar, **{name: of(bar, found) for name, of in other.items()}) for bar in found["tail"]]
        return {"tail": tail}

    return change


def set_with_the_position(found: Found) -> Found:
    for key, state in found["states"].items():
        if snapshots.is_scope(key):
            state.advanced_at = found["arrival"]
    return {}


def opened_at_no_time(found: Found) -> Found:
    for state in found["states"].values():
        for window in state.windows:
            window.opened_at = 0
    return {}


def without_clocks(found: Found) -> Found:
    return {"states": {key: SymbolState(state.windows) for key, state in found["states"].items()}}


async def too_early(self: PartitionTask) -> int | None:
    """A checkpoint before the tail has been passed."""
    replay, self.engine._replay = self.engine._replay, None
    made = await original_checkpoint(self)
    self.engine._replay = replay
    return made


def without_scopes(self: OpenWindows) -> tuple[list[Symbol], list[Scope]]:
    """A checkpoint without the clocks."""
    return original_take_changed(self)[0], []


def not_marked(self: OpenWindows, scope: Scope) -> None:
    """Only ticks move a stored clock."""


def forgotten(self: OpenWindows, symbol: Symbol) -> None:
    """A symbol without open windows leaves nothing behind."""
    del self.symbols[symbol.key]


def without_number(self: OpenWindows, symbol: Symbol) -> None:
    """It is not known where its clock was written."""
    original_let_go(self, symbol)
    self.resting[symbol.key].written = 0


def first_record_only(self: snapshots.Snapshots, key: bytes, state: SymbolState, _: list[Window]) -> None:
    """A state in several records is read as one in one."""
    original_restore_symbol(self, key, state, state.windows)


original_take_changed = OpenWindows.take_changed
original_let_go = OpenWindows.let_go
original_restore_symbol = snapshots.Snapshots._restore_symbol
LET_GO: list[Step] = [*CHECKED, LATER, LATER, LATER, ("read", 3), ("checkpoint", None)]
LONG_CLOSED: Step = ("tick", 0, 0, 3 * 66_000, "tick")
OTHERS_TRADE: list[Step] = [("tick", 0, 2, 0, "tick"), ("read", 1), ("checkpoint", None)] * 3
BOTH_SILENT: list[Step] = [
    *(TICK, ("tick", 0, 1, 0, "tick"), ("read", 2), ("checkpoint", None), LATER, ("read", 1)),
    *(("checkpoint", None), ("crash",)),  # it writes one clock again, whether that moved or not
]
TWO_OPEN: list[Step] = [TICK, ("tick", 62_000, 0, 0, "tick"), ("read", 2), ("checkpoint", None), ("crash",)]


async def send_nothing(self: SideOutputs, producer: Any, side: list[SideRecord]) -> None:
    """A checkpoint without the late and the rejected records."""


@pytest.mark.parametrize(
    ("scope", "broken", "steps"),
    [
        (ScopeKind.BROKER, restored(lambda _: {"counters": Counters()}), STATES_LOST),
        (
            ScopeKind.BROKER,
            restored(set_with_the_position),
            [TICK, ("tick", 4_999, 0, 0, "bad"), ("read", 2), ("checkpoint", None), ("crash",)],
        ),
        (
            ScopeKind.BROKER,
            restored(opened_at_no_time),
            [TICK, ("tick", 300, 2, 800, "tick"), ("read", 2), ("checkpoint", None), ("crash",)],
        ),
        (
            ScopeKind.BROKER,
            restored(tail_with(closed_at=lambda _, found: found["arrival"])),
            [*CHECKED, LATER, ("read", 1), ("deliver", 1), ("crash",), ("tick", 4_999, 0, 9_000, "tick")],
        ),
        (
            ScopeKind.BROKER,
            restored(tail_with(close_reason=lambda *_: "watermark")),
            [
                TICK,
                ("tick", 0, 2, 0, "tick"),
                ("read", 2),
                ("checkpoint", None),
                LATER,
                ("read", 1),
                ("deliver", 1),
                ("crash",),
            ],
        ),
        (
            ScopeKind.BROKER,
            restored(tail_with(closed_at_offset=lambda bar, _: bar.closed_at_offset + 1)),
            [*CHECKED, STALE, ("read", 1), ("deliver", 1), ("crash",)],
        ),
        (ScopeKind.SYMBOL, restored(without_clocks), [*CHECKED, ("crash",), STALE]),
        (
            ScopeKind.BROKER,
            (PartitionTask, "_make_checkpoint", too_early),
            [
                *(*CHECKED, ("tick", 0, 0, 0, "bad"), STALE, ("read", 2), ("deliver", 1)),
                *(("crash",), ("checkpoint", None), ("crash",)),
            ],
        ),
        (ScopeKind.BROKER, (SideOutputs, "send", send_nothing), [("tick", 0, 0, 0, "bad"), ("read", 1)]),
        (ScopeKind.BROKER, restored(lambda _: {"cut": NO_CUT}), CHECKED),
        (ScopeKind.BROKER, restored(lambda _: {"cut": CUT_AT_NEXT}), [*CHECKED, ("crash",), NEXT_WINDOW, NEXT_WINDOW]),
        (ScopeKind.BROKER, (checkpoint_plan.CheckpointPlan, "live_from", property(lambda self: self.end)), STATES_LOST),
        (ScopeKind.BROKER, (OpenWindows, "take_changed", without_scopes), STATES_LOST),
        (ScopeKind.BROKER, (OpenWindows, "mark_moved", not_marked), BOTH_SILENT),
        (ScopeKind.SYMBOL, (OpenWindows, "let_go", forgotten), [*LET_GO, LONG_CLOSED]),
        (ScopeKind.SYMBOL, (OpenWindows, "let_go", without_number), [*LET_GO, *OTHERS_TRADE, ("crash",), LONG_CLOSED]),
        (ScopeKind.BROKER, (snapshots.Snapshots, "_restore_symbol", first_record_only), TWO_OPEN),
    ],
    ids=[
        "counters are not kept",
        "stream times are kept without the arrivals that set them",
        "windows are kept without the arrival of the tick that opened them",
        "a bar of the tail raises stream time as of another moment than its own",
        "what a raise closes does not take the reason of the bar",
        "a bar of the tail raises stream time after the record",
        "a symbol's state is kept without its clock",
        "a checkpoint is made before the tail has been passed",
        "late and rejected records are not sent",
        "the cut is not kept",
        "each start cuts anew",
        "reading begins behind live states",
        "scopes are not written",
        "what silence closed does not move a stored clock",
        "a symbol that is let go loses its clock",
        "a symbol that is let go is not written again",
        "only the first record of a state is read",
    ],
)
def test_the_simulation_fails_when_recovery_takes_up_something_else(
    monkeypatch: pytest.MonkeyPatch, scope: ScopeKind, broken: tuple[type, str, Any], steps: list[Step]
) -> None:
    monkeypatch.setattr(checkpoint_plan, "SPARE", 0)
    monkeypatch.setattr(snapshots, "WINDOWS_PER_RECORD", 1)
    judge(asyncio.run(run(steps, scope, deleted=2)))
    monkeypatch.setattr(*broken)
    with pytest.raises(AssertionError):
        judge(asyncio.run(run(steps, scope, deleted=2)))
