"""How long the read model rests between two chunks."""

from __future__ import annotations

import time

from app.readmodel.work import MAX_REST_SECONDS, REST_FACTOR, Work


def compute(seconds: float) -> None:
    """Take CPU time."""
    until = time.thread_time() + seconds
    while time.thread_time() < until:
        pass


def test_the_rest_is_several_times_the_cpu_that_a_chunk_took() -> None:
    work = Work()
    compute(0.01)
    assert 0.01 * REST_FACTOR <= work.rest() <= MAX_REST_SECONDS


def test_no_rest_is_longer_than_the_limit() -> None:
    work = Work()
    compute(2 * MAX_REST_SECONDS / REST_FACTOR)
    assert work.rest() == MAX_REST_SECONDS


def test_nothing_is_rested_for_twice() -> None:
    work = Work()
    compute(0.05)
    work.rest()
    assert work.rest() < 0.05


def test_waiting_for_the_disk_or_for_another_thread_is_not_rested_for() -> None:
    work = Work()
    time.sleep(0.1)  # what the thread waits for is not what it takes
    assert work.rest() < 0.1
