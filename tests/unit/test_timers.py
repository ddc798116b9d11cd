"""Arrival time where the broker does not give it: restarts, clocks of producers, and records without a timestamp."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from decimal import Decimal

import pytest

from agents import task as task_module
from agents.recovery import Recovered
from agents.task import PartitionTask
from agents.timers import TimerClock
from app.kafka.cluster import Cluster
from app.kafka.fetcher import APPEND_TIME, Head
from app.kafka.producers import TransactionalProducer
from app.kafka.slices import Slice
from app.settings import Settings
from tables.state import Counters, Position, SymbolState
from tables.window import new_window
from tests.unit.test_task import Row, Ticks

T0 = 1_700_000_040_000
MINUTE = 60_000
CREATE_TIME = 0


@asynccontextmanager
async def partition_at(
    monkeypatch: pytest.MonkeyPatch, started: int, found: Recovered, *, append_time: bool
) -> AsyncIterator[PartitionTask]:
    """A task that starts at this time (epoch ms) with what a recovery found; its bars wait for a checkpoint."""
    monkeypatch.setattr(task_module, "now_ms", lambda: started)
    settings = Settings.load(broker="kafka://127.0.0.1:1", delivery="transactional")
    producer = TransactionalProducer(Cluster("127.0.0.1:1"), max_request=1 << 20, transactional_id="x", group="x")
    yield PartitionTask(settings, 0, found, producer, None, append_time=append_time, max_record=1 << 20)
    await producer.stop()


def position(next_offset: int = 0, arrival: int = 0, **scopes: tuple[int, int]) -> Position:
    counters = Counters(read=next_offset, binned=next_offset)
    return Position(
        next_offset=next_offset,
        arrival=arrival,
        scopes=scopes,
        counters=counters,
        finals_end=0,
        changelog_start=0,
        fingerprint={},
    )


def part(task: PartitionTask, kind: int, times: Iterable[tuple[int, int]], fetched: int) -> Slice:
    """One batch of (timestamp, event time), behind what was read before."""
    first = task.consumed_to
    rows = [Row(first + n, at, b"A|x", b'{"ts":%d,"bid":1.5}' % ts) for n, (at, ts) in enumerate(times)]
    return Slice(0, task, [Ticks(first, first + len(rows), rows, kind, max(row.timestamp for row in rows))], fetched)


def one_open(last: int) -> Recovered:
    """A partition that was caught up, with one window open, whose last tick came at `last`."""
    window = new_window(last - last % MINUTE + MINUTE, last, Decimal("1.5"), last, 0, 41)
    return Recovered(position(42, last, A=(last, last)), states={b"A|x": SymbolState([window])})


@pytest.mark.parametrize("away", [1_000, 3_600_000], ids=["for a second", "for an hour"])
async def test_a_restart_on_create_time_closes_no_window_and_goes_on_from_the_last_arrival(
    monkeypatch: pytest.MonkeyPatch, away: int
) -> None:
    last = T0 + 59_000
    started = last + away
    async with partition_at(monkeypatch, started, one_open(last), append_time=False) as task:
        for passed in (0, 1_000, 6_400):
            await task.tick(Head(42, started + passed), started + passed)
            assert task.engine.open_windows == 1
            assert task.engine.arrival <= last + passed
        await task.feed(part(task, CREATE_TIME, [(last + 100, last + 100)], started + 6_400))
        assert (task.engine.counters.binned, task.engine.counters.late) == (43, 0)
        await task.tick(Head(43, started + 14_000), started + 14_000)  # six seconds and the margin after the last record
        assert task.engine.open_windows == 0


async def test_an_empty_answer_from_before_the_start_passes_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    last = T0 + 59_000
    async with partition_at(monkeypatch, last + MINUTE, one_open(last), append_time=False) as task:
        await task.tick(Head(42, last), last + 10 * MINUTE)
        assert (task.engine.open_windows, task.engine.arrival) == (1, last)


@pytest.mark.parametrize("now_has", ["CreateTime", "LogAppendTime"])
async def test_a_producers_timestamp_counts_no_further_than_the_fetch_whatever_the_topic_has_now(
    monkeypatch: pytest.MonkeyPatch, now_has: str
) -> None:
    append_time = now_has == "LogAppendTime"
    async with partition_at(monkeypatch, T0, Recovered(position()), append_time=append_time) as task:
        await task.feed(part(task, CREATE_TIME, [(T0 * 1_000, T0)], T0))  # microseconds
        assert task.engine.arrival == T0
        kind = APPEND_TIME if append_time else CREATE_TIME
        await task.feed(part(task, kind, [(T0 + 2 * MINUTE, T0 + 2 * MINUTE)], T0 + 2 * MINUTE))
        assert (task.engine.bars_waiting, task.engine.open_windows) == (0, 1)
        later = T0 + 4 * MINUTE
        await task.tick(Head(2, later), later)
        assert (task.engine.open_windows, task.engine.counters.rejected) == (0, 0)


async def test_a_record_without_a_timestamp_arrived_when_it_was_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    async with partition_at(monkeypatch, T0, Recovered(position()), append_time=False) as task:
        await task.feed(part(task, CREATE_TIME, [(-1, T0), (-1, T0 + 1)], T0 + 500))
        assert (task.engine.counters.binned, task.engine.counters.rejected, task.engine.arrival) == (2, 0, T0 + 500)


def test_at_the_head_of_a_log_with_create_time_arrival_goes_on_at_the_pace_of_our_clock() -> None:
    clock = TimerClock(500, T0, T0 + MINUTE, append_time=False)
    assert clock.passed(Head(0, T0 + MINUTE + 700), T0 + MINUTE + 900) == T0 + 200
    clock.fed(T0 + 5_000, T0 + 2 * MINUTE)
    assert clock.passed(Head(0, T0 + 2 * MINUTE + 2_000), T0 + 9 * MINUTE) == T0 + 6_500
