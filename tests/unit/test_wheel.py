"""The timing wheel against a sorted list."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tables.wheel import Wheel

TICKS = st.sampled_from((1, 10, 100, 200, 500, 10_000))
START = 1_700_000_000_000


@settings(deadline=None)
@given(
    tick=TICKS,
    slots=st.sampled_from((1, 2, 8, 512)),
    actions=st.lists(st.tuples(st.integers(0, 300_000), st.integers(-5_000, 400_000))),
)
def test_the_wheel_gives_back_what_a_sorted_list_would(tick: int, slots: int, actions: list[tuple[int, int]]) -> None:
    wheel: Wheel[int] = Wheel(tick, slots)
    waiting: list[tuple[int, int]] = []
    now = START
    for number, (passed, ahead) in enumerate(actions):
        waiting.append((now + ahead, number))
        wheel.add(number, now + ahead)
        assert wheel.size == len(waiting)
        if number % 3:
            now += passed
            due = sorted(entry for entry in waiting if entry[0] < now)
            assert sorted(wheel.due(now)) == due, "asking takes nothing away"
            waiting = [entry for entry in waiting if entry[0] >= now]
            assert sorted(wheel.advance(now)) == due
    assert sorted(wheel.advance(START + 10**15)) == sorted(waiting)
    assert wheel.size == 0


def test_an_entry_fires_strictly_before_the_time_given() -> None:
    wheel: Wheel[str] = Wheel(200)
    wheel.add("EURUSD", 1_005)
    assert wheel.advance(1_005) == []
    assert wheel.advance(1_006) == [(1_005, "EURUSD")]
    assert wheel.advance(1_007) == []


def test_an_entry_that_is_overdue_when_it_comes_fires_at_the_next_advance() -> None:
    wheel: Wheel[str] = Wheel(200)
    wheel.add("first", 5_000)
    assert wheel.advance(10_000) == [(5_000, "first")]
    wheel.add("overdue", 400)
    assert wheel.advance(10_000) == [(400, "overdue")]


def test_the_first_entries_may_come_in_any_order() -> None:
    wheel: Wheel[str] = Wheel(200)
    wheel.add("later", 100_000)
    wheel.add("sooner", 1_000)
    assert wheel.advance(2_000) == [(1_000, "sooner")]
    assert wheel.advance(200_000) == [(100_000, "later")]


def test_entries_of_one_slot_and_different_turns_of_the_wheel_keep_their_own_times() -> None:
    wheel: Wheel[int] = Wheel(10, slots=4)
    for turn in (3, 0, 2, 1):
        wheel.add(turn, START + turn * 40)
    fired = [wheel.advance(START + turn * 40 + 1) for turn in range(4)]
    assert fired == [[(START + turn * 40, turn)] for turn in range(4)]


def test_a_jump_over_years_gives_every_entry_once() -> None:
    wheel: Wheel[int] = Wheel(200)
    for item in range(10_000):
        wheel.add(item, START + item * 37)
    jump = START + 10**14  # 5 * 10**11 slots: visited one by one, this would not end
    assert sorted(wheel.advance(jump)) == [(START + item * 37, item) for item in range(10_000)]
    wheel.add(1, jump + 1)
    assert wheel.advance(jump + 10**14) == [(jump + 1, 1)]


def test_the_number_of_slots_must_be_a_power_of_two() -> None:
    with pytest.raises(ValueError, match="slots=100"):
        Wheel(200, slots=100)
