"""When a checkpoint is made: at once where something waits to be published, else when it takes little of the time."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest

from agents.checkpoint_pacing import (
    FULL_SECONDS,
    LARGEST_SHARE,
    OLD_MS,
    STATE_SECONDS,
    USUAL_SECONDS,
    USUAL_SHARE,
    CheckpointPacing,
)
from agents.recovery import Recovered
from agents.task import PartitionTask
from app.kafka.cluster import Cluster
from app.kafka.producers import TransactionalProducer
from app.kafka.records import Skipped
from app.kafka.slices import Slice
from app.settings import Settings
from tables.state import Counters, Position
from tests.simulation.topics import Part, Row
from tests.unit.model import Wire

T0 = 1_399_248_000_000
MINUTE, GRACE = 60_000, 5_000
SYMBOLS = 1_000
INTERVAL = 1.0
START = 100.0
PARTITIONS = 8


@dataclass
class Clock:
    """A clock that moves when it is told."""

    now: float = START

    def __call__(self) -> float:
        return self.now


@dataclass
class Partition:
    """What the pacing asks of a partition."""

    states_due: int = 0
    publication_waits: bool = False
    checkpoint_began: float = START
    publication_began: float = START


Asked = Callable[[CheckpointPacing, Partition], bool]
WAYS: list[Asked] = [lambda pacing, task: pacing.due(task, PARTITIONS), lambda pacing, task: pacing.due_early(task, PARTITIONS)]


def fetched(*, full: bool) -> Slice:
    return Slice(0, None, [Skipped(0, 1, max_timestamp=T0)], 0, full=full)


@pytest.mark.parametrize("asked", WAYS)
def test_what_waits_to_be_published_waits_for_one_interval_whatever_the_states_cost(asked: Asked) -> None:
    clock = Clock()
    pacing, task = CheckpointPacing(INTERVAL, clock), Partition(states_due=12_500)
    clock.now = START + INTERVAL
    assert not asked(pacing, task), "100,000 states every second would take most of the time"
    task.publication_waits = True
    assert asked(pacing, task)
    clock.now -= 0.001
    assert not asked(pacing, task), "the interval has not passed"


@pytest.mark.parametrize("asked", WAYS)
def test_a_checkpoint_that_published_nothing_does_not_hold_back_what_waits_now(asked: Asked) -> None:
    clock = Clock()
    pacing, task = CheckpointPacing(INTERVAL, clock), Partition(states_due=12_500, publication_waits=True)
    clock.now = task.checkpoint_began = START + INTERVAL
    assert asked(pacing, task)


@pytest.mark.parametrize("asked", WAYS)
@pytest.mark.parametrize(("age_ms", "full"), [(OLD_MS, True), (10 * OLD_MS, False)])
def test_much_at_once_or_an_old_record_alone_holds_nothing_back(asked: Asked, age_ms: int, *, full: bool) -> None:
    clock = Clock()
    pacing = CheckpointPacing(INTERVAL, clock, lambda: T0 + age_ms)
    task = Partition(states_due=12_500, publication_waits=True)
    clock.now = START + INTERVAL
    pacing.fetched(fetched(full=full))
    assert asked(pacing, task)


def test_while_old_records_are_read_what_waits_is_worth_no_more_than_the_states() -> None:
    clock = Clock()
    pacing = CheckpointPacing(INTERVAL, clock, lambda: T0 + OLD_MS + 1)
    task = Partition(states_due=12_500, publication_waits=True)
    clock.now = START + INTERVAL
    pacing.fetched(fetched(full=True))
    assert not pacing.due(task, PARTITIONS)
    assert not pacing.due_early(task, PARTITIONS)
    clock.now += FULL_SECONDS
    assert pacing.due(task, PARTITIONS)
    assert pacing.due_early(task, PARTITIONS)


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        (10, USUAL_SHARE * STATE_SECONDS * 10),
        (1_000, USUAL_SHARE * STATE_SECONDS * 1_000),
        (10_000, USUAL_SECONDS),
        (100_000, LARGEST_SHARE * STATE_SECONDS * 100_000),
    ],
)
def test_where_nothing_waits_a_checkpoint_takes_little_of_the_time(states: int, expected: float) -> None:
    clock = Clock()
    pacing, task = CheckpointPacing(INTERVAL, clock), Partition(states_due=states // PARTITIONS)
    expected = expected * (states // PARTITIONS * PARTITIONS) / states if expected != USUAL_SECONDS else expected
    clock.now = START + 0.99 * expected
    assert not pacing.due(task, PARTITIONS)
    clock.now = START + 1.01 * expected
    assert pacing.due(task, PARTITIONS)


def test_an_early_checkpoint_where_nothing_waits_needs_much_to_read_and_a_whole_interval() -> None:
    clock = Clock()
    pacing, task = CheckpointPacing(INTERVAL, clock, lambda: T0 + 10 * OLD_MS), Partition()
    clock.now = START + INTERVAL
    assert not pacing.due_early(task, PARTITIONS)
    pacing.fetched(fetched(full=True))
    assert pacing.due_early(task, PARTITIONS)
    clock.now = START + INTERVAL - 0.001
    assert not pacing.due_early(task, PARTITIONS)


# ---- a real partition


class Away(TransactionalProducer):
    """Never reaches its broker."""

    async def begin(self) -> None:
        raise OSError("away")


@asynccontextmanager
async def partition_of(settings: Settings, *, first: bool = False) -> AsyncIterator[PartitionTask]:
    cluster = Cluster("127.0.0.1:1")  # nothing is sent
    producer = Away(cluster, max_request=1 << 20, transactional_id="t", group="g")
    position = Position(
        next_offset=0, arrival=0, scopes={}, counters=Counters(), finals_end=0, changelog_start=0, fingerprint={}
    )
    found = Recovered(position, finals_end=0, changelog_end=0, needs_first_checkpoint=first)
    try:
        task = PartitionTask(settings, 0, found, producer, None, append_time=True, max_record=1 << 20)
        task._checkpoints.required = first
        yield task
    finally:
        await producer.stop()


def tick(partition: PartitionTask, ts: int, names: range) -> None:
    first = partition.engine.next_offset
    partition.engine.feed([Wire(first + n, ts, b"A|S%d" % name, b'{"ts":%d,"bid":1.5}' % ts) for n, name in enumerate(names)])


async def feed(partition: PartitionTask, ts: int, value: bytes) -> None:
    offset = partition.consumed_to
    rows = [Row(offset, ts, b"A|x", value)]
    await partition.feed(Slice(0, partition, [Part(offset, offset + 1, rows)], ts))


async def test_few_states_are_due_when_all_but_the_newest_window_have_closed() -> None:
    async with partition_of(Settings.load()) as partition:
        tick(partition, T0, range(SYMBOLS))
        assert partition.states_due == SYMBOLS
        tick(partition, T0 + MINUTE + GRACE, range(1))
        assert partition.states_due == 1


async def test_under_scope_symbol_every_changed_symbol_is_due_as_its_state_holds_its_clock() -> None:
    async with partition_of(Settings.load(scope="symbol")) as partition:
        tick(partition, T0, range(SYMBOLS))
        partition.engine.advance_arrival(T0 + 10 * MINUTE)
        assert partition.engine.open_windows == 0
        assert partition.states_due == SYMBOLS


async def test_a_first_position_waits() -> None:
    async with partition_of(Settings.load(), first=True) as partition:
        assert partition.publication_waits


@pytest.mark.parametrize(
    "value",
    [
        b'{"ts":%d,"bid":1.6}' % (T0 + 2 * MINUTE),  # closes a window: its bar is part of the transaction
        b'{"ts":%d,"bid":1.6}' % (T0 - 2 * MINUTE),  # late
        b"{}",  # rejected
    ],
)
async def test_bars_of_a_transaction_and_late_and_rejected_records_wait_and_a_tick_does_not(value: bytes) -> None:
    async with partition_of(Settings.load(delivery="transactional")) as partition:
        await feed(partition, T0 + MINUTE, b'{"ts":%d,"bid":1.5}' % T0)
        assert not partition.publication_waits
        await feed(partition, T0 + 2 * MINUTE, value)
        assert partition.publication_waits


async def test_a_checkpoint_with_nothing_to_publish_is_not_counted_as_a_publication() -> None:
    async with partition_of(Settings.load()) as partition:
        assert await partition.checkpoint() is None
        assert partition.publication_began < partition.checkpoint_began
        await feed(partition, T0, b"{}")
        with pytest.raises(OSError, match="away"):
            await partition.checkpoint()
        assert partition.publication_began == partition.checkpoint_began
