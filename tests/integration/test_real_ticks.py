"""One day of real quotes through a running worker: its bars equal the vendor's own minute bars, every row."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.integration.conftest import NewWorker
from tests.support.preloaded import Command
from tests.support.ticks import Seen, of, read, windows
from tests.support.vendor import DAYS, Day, missing, rows_of
from tests.support.worker import Worker

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing() or "the test data is there")
OANDA, FXCM = DAYS
days = pytest.mark.parametrize("day", DAYS, ids=lambda day: day.broker)


def replay_args(day: Day, speed: str) -> tuple[str, ...]:
    """The command line of a replay."""
    return (
        "replay",
        "--yes",
        str(day.file),
        "--broker-name",
        day.broker,
        "--symbol",
        "EURUSD",
        "--origin",
        day.origin,
        "--speed",
        speed,
    )


@dataclass
class Run:
    """Workers that read one topic with both days in it, and one that reads a slow replay of the shorter day."""

    bid: Worker
    ask: Worker
    again: Worker
    slow: Worker
    throttled: Command
    records: int

    def finals(self, worker: Worker) -> list[Seen]:
        """The finals of a worker that has read everything."""
        return read(worker.bootstrap, worker.finals_topic)


@pytest.fixture(scope="module")
def run(module_worker: NewWorker) -> Iterator[Run]:
    """Replays everything; the throttled replay goes on beside the tests."""
    slow = module_worker(topic_partitions="1").start()
    throttled = slow.popen(*replay_args(OANDA, "5000"))
    bid = module_worker(price="bid").start()
    records = 0
    for day in DAYS:
        done = bid.run(*replay_args(day, "max"), "--json")
        assert done.returncode == 0, done.stderr
        report = json.loads(done.stdout)
        assert (report["rows"], report["heartbeats"]) == (len(day.quotes()), 1)
        records += report["rows"] + report["heartbeats"]
    bid.wait_closed(records)
    shared = {"ticks_topic": bid.ticks_topic}
    ask = module_worker(price="ask", **shared).start()
    again = module_worker(price="bid", wheel_tick="100ms", checkpoint_interval="200ms", **shared).start()
    for worker in (ask, again):
        worker.wait_closed(records)
    for worker in (bid, ask, again):
        worker.stop()
    yield Run(bid, ask, again, slow, throttled, records)
    if throttled.poll() is None:
        throttled.kill()
    throttled.communicate()


@days
@pytest.mark.parametrize("price", ["bid", "ask"])
def test_every_bar_equals_the_vendors_and_there_are_no_others(run: Run, day: Day, price: str) -> None:
    finals = run.finals({"bid": run.bid, "ask": run.ask}[price])
    assert rows_of(of(finals, day.broker, "EURUSD")) == day.minutes(price)
    assert {(bar.bucket_start, bar.ticks) for bar in of(finals, day.broker)} == set(day.counts().items())


def test_nothing_but_the_two_days_was_published_and_nothing_was_late_or_rejected(run: Run) -> None:
    for worker in (run.bid, run.ask, run.again):
        finals = run.finals(worker)
        assert len(set(windows(finals))) == len(finals) == sum(len(day.counts()) for day in DAYS)
        assert read(worker.bootstrap, worker.late_topic) == []
        assert read(worker.bootstrap, worker.rejected_topic) == []


def test_another_app_that_reads_the_same_topic_publishes_the_same_bytes(run: Run) -> None:
    assert [seen.content for seen in run.finals(run.again)] == [seen.content for seen in run.finals(run.bid)]


def test_a_throttled_replay_gives_the_same_prices_counts_and_times(run: Run) -> None:
    output, _ = run.throttled.communicate(timeout=300)
    assert run.throttled.returncode == 0, output
    run.slow.wait_closed(len(OANDA.quotes()) + 1)
    run.slow.stop()
    evidence = {"close_reason", "closed_at", "watermark", "first_offset", "last_offset", "closed_at_offset"}

    def told(worker: Worker) -> list[list[object]]:
        bars = of(run.finals(worker), OANDA.broker)
        return [[getattr(bar, name) for name in bar.__struct_fields__ if name not in evidence] for bar in bars]

    assert told(run.slow) == told(run.bid)
    assert rows_of(of(run.finals(run.slow), OANDA.broker)) == OANDA.minutes("bid")
