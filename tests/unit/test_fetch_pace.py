"""When a node is asked for records again: after a pause near the end of the log, and at once where none came or many wait."""

from __future__ import annotations

import pytest

from app.kafka.fetch_pace import BEHIND, FetchPace

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


@pytest.mark.parametrize("behind", [0, BEHIND, 10 * BEHIND])
async def test_after_an_empty_answer_or_far_from_the_end_of_the_log_a_node_is_asked_at_once(behind: int) -> None:
    time = Time()
    pace = FetchPace(PACE, time, time.sleep)
    await pace.wait(1)
    assert time.now == START
    pace.answered(1, 10)
    pace.answered(1, behind)
    await pace.wait(1)
    assert time.now == START


async def test_near_the_end_of_the_log_records_gather_and_all_nodes_are_asked_at_the_same_moments() -> None:
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
