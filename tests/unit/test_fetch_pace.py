"""When a node is asked for records again: after a pause near the end of the log, and at once where none came or many wait."""

from __future__ import annotations

import pytest

from app.kafka.fetch_pace import BEHIND, CLOSING_MS, LONG_MS, MOST_GATHERED, SHORT_MS, FetchPace

START = 1_000 * LONG_MS  # a moment at which nodes are asked
FEW = MOST_GATHERED // 10  # records, in one long pause


class Time:
    """A clock that sleeping moves."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> int:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += round(seconds * 1_000)


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def pace(time: Time) -> FetchPace:
    return FetchPace(time, time.sleep)


async def asked_again(pace: FetchPace, time: Time, node: int = 1) -> int:
    """How long after the start a node is asked."""
    await pace.wait(node)
    return time.now - START


@pytest.mark.parametrize("behind", [0, BEHIND, 10 * BEHIND])
async def test_after_an_empty_answer_or_far_from_the_end_of_the_log_a_node_is_asked_at_once(
    pace: FetchPace, time: Time, behind: int
) -> None:
    pace.no_bar_before = START + 10 * LONG_MS
    assert await asked_again(pace, time) == 0
    pace.answered(1, FEW)
    pace.answered(1, behind)
    assert await asked_again(pace, time) == 0


async def test_near_the_end_of_the_log_records_gather_and_all_nodes_are_asked_at_the_same_moments(
    pace: FetchPace, time: Time
) -> None:
    pace.answered(1, FEW)
    time.now += SHORT_MS // 2
    pace.answered(2, FEW)
    assert await asked_again(pace, time, 1) == SHORT_MS
    assert await asked_again(pace, time, 2) == SHORT_MS
    pace.answered(1, FEW)
    assert await asked_again(pace, time, 1) == 2 * SHORT_MS


async def test_an_answer_that_took_long_needs_no_further_pause_beyond_the_next_moment(pace: FetchPace, time: Time) -> None:
    pace.answered(1, FEW)
    time.now += 3 * SHORT_MS
    assert await asked_again(pace, time) == 3 * SHORT_MS


def steady(pace: FetchPace, time: Time, records: int) -> None:
    """So many records came since the last answer, a long pause ago."""
    time.now -= LONG_MS
    pace.answered(1, records)
    time.now += LONG_MS
    pace.answered(1, records)


async def test_while_no_bar_is_due_more_records_gather(pace: FetchPace, time: Time) -> None:
    pace.no_bar_before = START + 10 * LONG_MS
    steady(pace, time, FEW)
    assert await asked_again(pace, time) == LONG_MS


@pytest.mark.parametrize("due", [SHORT_MS, 70, 110])
async def test_a_bar_that_is_due_is_fetched_soon_after(pace: FetchPace, time: Time, due: int) -> None:
    pace.no_bar_before = START + due
    steady(pace, time, FEW)
    assert await asked_again(pace, time) == due + CLOSING_MS


@pytest.mark.parametrize("due", [-10 * LONG_MS, -1, 0, 10])
async def test_a_bar_that_was_due_or_is_about_to_be_makes_no_pause_shorter_than_the_usual_one(
    pace: FetchPace, time: Time, due: int
) -> None:
    pace.no_bar_before = START + due
    steady(pace, time, FEW)
    assert await asked_again(pace, time) == SHORT_MS


@pytest.mark.parametrize(("records", "pause"), [(2 * MOST_GATHERED, LONG_MS // 2), (8 * MOST_GATHERED, SHORT_MS)])
async def test_no_more_records_gather_than_one_fetch_should_bring(
    pace: FetchPace, time: Time, records: int, pause: int
) -> None:
    pace.no_bar_before = START + 10 * LONG_MS
    steady(pace, time, records)
    assert await asked_again(pace, time) == pause
