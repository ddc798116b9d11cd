"""When a node is asked for records again: after a pause where few came, and at once where none or many came."""

from __future__ import annotations

import pytest

from app.kafka.fetch_pace import LARGE_BYTES, FetchPace

PACE = 0.25
START = 100.0


class Time:
    """A clock that sleeping moves."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.mark.parametrize("size", [0, LARGE_BYTES, 10 * LARGE_BYTES])
async def test_after_an_empty_or_a_large_answer_a_node_is_asked_at_once(size: int) -> None:
    time = Time()
    pace = FetchPace(PACE, time, time.sleep)
    await pace.wait(1)
    assert time.now == START
    pace.answered(1, 10)
    pace.answered(1, size)
    await pace.wait(1)
    assert time.now == START


async def test_after_a_small_answer_records_gather_and_all_nodes_are_asked_at_the_same_moments() -> None:
    time = Time()
    pace = FetchPace(PACE, time, time.sleep)
    pace.answered(1, 10)
    time.now += 0.1
    pace.answered(2, 10)
    await pace.wait(1)
    assert time.now == START + PACE
    await pace.wait(2)
    assert time.now == START + PACE
    pace.answered(1, 10)
    await pace.wait(1)
    assert time.now == START + 2 * PACE


async def test_an_answer_that_took_long_needs_no_further_pause_beyond_the_next_moment() -> None:
    time = Time()
    pace = FetchPace(PACE, time, time.sleep)
    pace.answered(1, 10)
    time.now += 3 * PACE
    await pace.wait(1)
    assert time.now == START + 3 * PACE
