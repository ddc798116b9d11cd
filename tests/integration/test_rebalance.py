"""Partitions move between workers while their windows are open: every window once, none missing."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.integration.conftest import NewWorker
from tests.integration.test_restart import check, market
from tests.support.ticks import Tick, create_topic, produce
from tests.support.worker import Worker

PARTITIONS = 8
CYCLES = 4 if os.environ.get("CI") else 3  # each a worker that comes and goes: two rebalances
ASSIGNED = "generation id "


def beside(first: Worker, name: str, **settings: str) -> Worker:
    """A second worker of the same app."""
    unique = {"web_port", "data_dir"}
    same = {key: value for key, value in first.settings.items() if key not in unique}
    second = Worker(first.bootstrap, first.directory / name, **{**same, **settings})
    second.log_file = second.directory / f"{name}.log"
    return second


def assignments(worker: Worker) -> int:
    """How often it was given partitions."""
    return worker.log().count(ASSIGNED)


def held(worker: Worker) -> set[str]:
    """The partitions a worker says it is at work on."""
    found = worker.get("/api/v1/accounting")
    return set(found["partitions"]) if found else set()


def wait_held(worker: Worker, partitions: int) -> None:
    """Until it is at work on so many."""
    worker.wait(lambda: len(held(worker)) == partitions, f"it is at work on {partitions} partitions")


class Market:
    """Sends ticks from a thread of its own, until told to stop; then the heartbeats that close the last windows."""

    def __init__(self, worker: Worker, minutes: int) -> None:
        self.sent: list[Tick] = []
        self._worker = worker
        self._parts = [market(minutes=minutes, symbols=3, per_minute=4, partition=n) for n in range(PARTITIONS)]
        self._stop = threading.Event()

    def _send(self) -> None:
        size = 3 * 4 - 1  # never a whole minute: windows are open whenever a rebalance comes
        for at in range(0, len(self._parts[0]), size):
            last = self._stop.is_set()
            for number, part in enumerate(self._parts):
                chunk = part[at:] if last else part[at : at + size]
                produce(self._worker.bootstrap, self._worker.ticks_topic, chunk, number)
                self.sent += chunk
            if last:
                return

    @contextmanager
    def running(self) -> Iterator[None]:
        thread = threading.Thread(target=self._send)
        thread.start()
        try:
            yield
        finally:
            self._stop.set()
            thread.join()


@pytest.mark.parametrize(
    ("delivery", "timestamps"),
    [("idempotent", "LogAppendTime"), ("transactional", "LogAppendTime"), ("idempotent", "CreateTime")],
)
def test_windows_that_are_open_while_workers_come_and_go_are_published_exactly_once(
    new_worker: NewWorker, delivery: str, timestamps: str
) -> None:
    first = new_worker(topic_partitions=str(PARTITIONS), delivery=delivery, checkpoint_interval="500ms")
    create_topic(first.bootstrap, first.ticks_topic, PARTITIONS, message_timestamp_type=timestamps)
    first.start()
    feed = Market(first, minutes=400)
    with feed.running():
        for cycle in range(CYCLES):
            before = assignments(first)
            second = beside(first, f"second-{cycle}")
            try:
                second.start()
                wait_held(first, PARTITIONS // 2)
                wait_held(second, PARTITIONS // 2)
                second.stop()
            finally:
                second.end()
            wait_held(first, PARTITIONS)
            assert assignments(first) >= before + 2
    first.wait_closed(len(feed.sent))
    total = first.total()
    first.stop()
    check(first, feed.sent)
    assert total["read"] == len(feed.sent) == total["binned"] + total["heartbeats"]


def test_a_static_member_that_restarts_keeps_its_partitions_and_disturbs_nobody(new_worker: NewWorker) -> None:
    first = new_worker(topic_partitions="4", consumer_group_instance_id="one", session_timeout="30s").start()
    second = beside(first, "second", consumer_group_instance_id="two")
    try:
        second.start()
        wait_held(first, 2)
        wait_held(second, 2)
        mine, times = held(first), assignments(first)
        others = held(second)
        second.stop()
        second.start()
        second.wait(lambda: held(second) == others, "it has the same partitions again")
        assert held(first) == mine
        assert assignments(first) == times
    finally:
        second.end()
