"""Arrival time where the broker does not give it: restarts, clocks of producers, and records without a timestamp."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from decimal import Decimal

import pytest

from agents.recovery import Recovered
from agents.task import PartitionTask
from agents.timers import AHEAD_MS
from app.kafka.clock import BrokerClock, now_ms
from app.kafka.cluster import Cluster
from app.kafka.fetcher import Head
from app.kafka.producers import TransactionalProducer
from app.kafka.records import APPEND_TIME
from app.kafka.slices import Slice
from app.settings import Settings
from tables.state import Counters, Position, SymbolState
from tables.window import new_window
from tests.simulation.topics import Part, Row

T0 = 1_700_000_040_000
MINUTE = 60_000
CREATE_TIME = 0


class Steady:
    """A steady clock that a test moves."""

    def __init__(self, now: int) -> None:
        self.now = now

    def __call__(self) -> int:
        return self.now


@asynccontextmanager
async def partition_at(
    steady: Steady, found: Recovered, *, append_time: bool, idle_close: str = "on"
) -> AsyncIterator[PartitionTask]:
    """A task that starts now with what a recovery found; its bars wait for a checkpoint."""
    settings = Settings.load(broker="kafka://127.0.0.1:1", delivery="transactional", idle_close=idle_close)
    producer = TransactionalProducer(Cluster("127.0.0.1:1"), max_request=1 << 20, transactional_id="x", group="x")
    clock = BrokerClock(steady)
    yield PartitionTask(settings, 0, found, producer, None, append_time=append_time, max_record=1 << 20, clock=clock)
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
    return Slice(0, task, [Part(first, first + len(rows), rows, kind, max(row.timestamp for row in rows))], fetched)


def one_open(last: int) -> Recovered:
    """A partition that was caught up, with one window open, whose last tick came at `last`."""
    window = new_window(last - last % MINUTE + MINUTE, last, Decimal("1.5"), last, 0, 41)
    return Recovered(position(42, last, A=(last, last)), states={b"A|x": SymbolState([window])})


def broker_says(task: PartitionTask, epoch: int, steady: Steady) -> None:
    """The acknowledgment of a checkpoint said that the broker's clock shows this time."""
    assert task._idle.clock.broker.steady is steady
    task._idle.clock.broker.acknowledged(epoch)


@pytest.mark.parametrize("away", [1_000, 3_600_000], ids=["for a second", "for an hour"])
async def test_a_restart_on_create_time_closes_no_window_and_goes_on_from_the_last_arrival(away: int) -> None:
    last = T0 + 59_000
    steady = Steady(7_000)
    async with partition_at(steady, one_open(last), append_time=False) as task:
        broker_says(task, last + away, steady)
        for passed in (0, 1_000, 6_400):
            await task.tick(Head(42, 7_000 + passed))
            assert task.engine.open_windows == 1
            assert task.engine.arrival <= last + passed
        await task.feed(part(task, CREATE_TIME, [(last + 100, last + 100)], 7_000 + 6_400))
        assert (task.engine.counters.binned, task.engine.counters.late) == (43, 0)
        await task.tick(Head(43, 7_000 + 14_000))  # six seconds and the margin after the last record
        assert task.engine.open_windows == 0


async def test_an_empty_answer_from_before_the_start_passes_no_time() -> None:
    last = T0 + 59_000
    async with partition_at(Steady(MINUTE), one_open(last), append_time=False) as task:
        await task.tick(Head(42, 0))
        assert (task.engine.open_windows, task.engine.arrival) == (1, last)


@pytest.mark.parametrize("now_has", ["CreateTime", "LogAppendTime"])
async def test_a_producers_timestamp_counts_no_further_than_the_fetch_whatever_the_topic_has_now(now_has: str) -> None:
    append_time = now_has == "LogAppendTime"
    steady = Steady(0)
    async with partition_at(steady, Recovered(position()), append_time=append_time) as task:
        broker_says(task, T0, steady)
        await task.feed(part(task, CREATE_TIME, [(T0 * 1_000, T0)], 0))  # microseconds
        assert task.engine.arrival == T0
        kind = APPEND_TIME if append_time else CREATE_TIME
        await task.feed(part(task, kind, [(T0 + 2 * MINUTE, T0 + 2 * MINUTE)], 2 * MINUTE))
        assert (task.engine.bars_waiting, task.engine.open_windows) == (0, 1)
        await task.tick(Head(2, 4 * MINUTE))
        assert (task.engine.open_windows, task.engine.counters.rejected) == (0, 0)


async def test_a_record_without_a_timestamp_arrived_when_it_was_fetched() -> None:
    steady = Steady(0)
    async with partition_at(steady, Recovered(position()), append_time=False) as task:
        broker_says(task, T0, steady)
        await task.feed(part(task, CREATE_TIME, [(-1, T0), (-1, T0 + 1)], 500))
        assert (task.engine.counters.binned, task.engine.counters.rejected, task.engine.arrival) == (2, 0, T0 + 500)


async def test_at_the_head_of_a_log_with_create_time_arrival_goes_on_at_the_pace_of_a_steady_clock() -> None:
    async with partition_at(Steady(MINUTE), Recovered(position(0, T0)), append_time=False) as task:
        clock = task._idle.clock
        assert clock.passed(Head(0, MINUTE + 700)) == T0 + 200
        clock.fed(T0 + 5_000, part(task, CREATE_TIME, [(T0 + 5_000, T0)], 2 * MINUTE))
        assert clock.passed(Head(0, 2 * MINUTE + 2_000)) == T0 + 6_500


END = T0 + MINUTE  # of the window that is open
DUE = END + 5_000  # by its ticks, which come without delay


async def test_after_a_fetch_records_may_gather_until_the_next_bar_is_due() -> None:
    steady = Steady(0)
    async with partition_at(steady, Recovered(position()), append_time=True) as task:
        assert task.no_bar_before == 0
        await task.feed(part(task, APPEND_TIME, [(T0 + 1_000, T0 + 1_000)], 7_000))
        assert task.no_bar_before == 7_000 + AHEAD_MS
        await task.feed(part(task, APPEND_TIME, [(DUE - 200, DUE - 200)], 80_000))
        assert task.no_bar_before == 80_000 + 200
        broker_says(task, DUE - 50, steady)  # so records may have been fetched late
        await task.feed(part(task, APPEND_TIME, [(DUE - 150, DUE - 150)], 0))
        assert task.no_bar_before == 50
        await task.feed(part(task, APPEND_TIME, [(DUE - 100, DUE - 100)], 0)._replace(full=True))
        assert task.no_bar_before == 0, "a worker that catches up does not look ahead"


async def test_in_silence_records_of_other_partitions_may_gather_until_the_timer_closes_a_window() -> None:
    steady = Steady(0)
    async with partition_at(steady, one_open(END - 1_000), append_time=True) as task:
        broker_says(task, DUE - 300, steady)
        await task.tick(Head(42, 0))
        assert task.no_bar_before == AHEAD_MS
        await task.tick(Head(42, 400))
        assert task.no_bar_before == 300 + 500  # the margin
        await task.tick(Head(42, 801))
        assert task.engine.open_windows == 0


async def test_without_idle_close_no_bar_can_be_foreseen() -> None:
    async with partition_at(Steady(0), Recovered(position()), append_time=True, idle_close="off") as task:
        await task.feed(part(task, APPEND_TIME, [(T0 + 1_000, T0 + 1_000)], 7_000))
        assert task.no_bar_before == 0


YEAR = 365 * 86_400_000


async def test_the_timer_waits_until_a_broker_has_given_a_time(caplog: pytest.LogCaptureFixture) -> None:
    last = T0 + 59_000
    steady = Steady(0)
    async with partition_at(steady, one_open(last), append_time=True) as task:
        await task.tick(Head(42, 10 * MINUTE))
        assert (task.engine.open_windows, task.engine.arrival) == (1, last)
        broker_says(task, last + 1_000, steady)
        await task.tick(Head(42, 5_000))
        assert (task.engine.open_windows, task.engine.arrival) == (1, last + 1_000 + 5_000 - 500)
        await task.tick(Head(42, 6_501))  # six seconds after the last tick, and the margin
        assert task.engine.open_windows == 0
    assert "clock" not in caplog.text


@pytest.mark.parametrize("kind", [True, False], ids=["LogAppendTime", "CreateTime"])
async def test_a_clock_that_was_a_year_ahead_before_the_start_is_left_behind_in_silence(
    caplog: pytest.LogCaptureFixture,
    kind: bool,  # noqa: FBT001  # a parameter of the test
) -> None:
    last = T0 + 59_000
    found = one_open(last + YEAR)
    found.states[b"A|x"].windows[0].end = T0 + MINUTE
    found.position.scopes = {"A": (last, last + YEAR)}
    steady = Steady(0)
    async with partition_at(steady, found, append_time=kind) as task:
        broker_says(task, last + 1_000, steady)
        await task.tick(Head(42, 0))
        assert (task.engine.clock_steps, task.engine.arrival) == (1, last + 1_000)
        await task.tick(Head(42, 6_000))
        assert task.engine.open_windows == 1
        await task.tick(Head(42, 6_501))  # six seconds after the step, and the margin
        assert task.engine.open_windows == 0
    assert caplog.text.count("a clock was more than a minute ahead") == 1


def test_an_acknowledgment_replaces_what_an_earlier_one_said() -> None:
    steady = Steady(0)
    clock = BrokerClock(steady)
    assert clock.at(0) is None
    clock.acknowledged(T0 + YEAR)
    assert clock.at(10) == T0 + YEAR + 10
    clock.acknowledged(T0)
    assert clock.at(10) == T0 + 10


def test_old_records_do_not_take_the_time_of_an_acknowledgment_back() -> None:
    clock = BrokerClock(Steady(0))
    clock.acknowledged(T0)
    clock.read(T0 - YEAR, 1_000)
    assert clock.at(1_000) == T0 + 1_000


@pytest.mark.parametrize("ahead", [YEAR, -YEAR])
def test_records_decide_where_another_brokers_clock_differs(ahead: int) -> None:
    clock = BrokerClock(Steady(0))
    clock.acknowledged(T0 + ahead)
    clock.read(T0 + 1_000, 1_020, not_before=900)  # appended after the fetch of 900 had found nothing
    known = clock.at(2_000)
    assert known is not None
    assert T0 + 1_000 + 980 <= known <= T0 + 1_000 + 1_100


def test_the_bound_of_a_record_goes_where_the_clock_has_gone_forward() -> None:
    clock = BrokerClock(Steady(0))
    clock.read(T0, 100, not_before=50)
    clock.read(T0 + YEAR, 200)
    assert clock.at(300) == T0 + YEAR + 100


async def test_without_a_time_in_acknowledgments_this_machines_clock_gives_it_and_steps_nothing_back() -> None:
    last = now_ms() + YEAR
    steady = Steady(0)
    async with partition_at(steady, one_open(last), append_time=True) as task:
        task._idle.clock.broker.acknowledged(None)
        await task.tick(Head(42, 1_000))
        assert (task.engine.clock_steps, task.engine.arrival) == (0, last)
        known = task._idle.clock.broker.at(1_000)
        assert known is not None
        assert abs(known - 1_000 - now_ms()) < MINUTE


def test_a_record_counts_as_arrived_no_later_than_the_brokers_clock_can_have_shown() -> None:
    steady = Steady(100)
    clock = BrokerClock(steady)
    assert clock.latest(0) is None
    clock.acknowledged(T0, sent=40)
    assert (clock.at(100), clock.latest(100)) == (T0, T0 + 60)
    clock.forget()
    assert clock.latest(100) is None


def test_the_time_is_asked_for_again_after_a_while() -> None:
    steady = Steady(0)
    clock = BrokerClock(steady)
    assert clock.stale(10_000)
    clock.acknowledged(T0)
    steady.now = 10_000
    assert not clock.stale(10_000)
    steady.now = 10_001
    assert clock.stale(10_000)
