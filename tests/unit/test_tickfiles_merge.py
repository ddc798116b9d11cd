"""Merging streams by time, and putting the rows of one in order: any rows, cut anyhow."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import pairwise
from operator import itemgetter

from hypothesis import given
from hypothesis import strategies as st

from app.tickfiles.merge import merged, reordered

Numbered = tuple[int, int]  # time, and the place in the files

TIMES = st.lists(st.integers(0, 20), max_size=30)


@given(st.lists(TIMES, max_size=6))
def test_any_files_give_their_rows_in_order_of_time_and_equal_times_keep_the_order_of_files(
    files: list[list[int]],
) -> None:
    count = iter(range(1_000))
    rows = [[(at, next(count)) for at in sorted(times)] for times in files]
    parts = [(each[0][0], each.__iter__) for each in rows if each]
    assert list(merged(parts, itemgetter(0))) == sorted(row for each in rows for row in each)


@given(TIMES, st.sets(st.integers(0, 30)))
def test_however_one_file_is_cut_into_several_the_rows_are_the_same(times: list[int], cuts: set[int]) -> None:
    rows = [(at, number) for number, at in enumerate(sorted(times))]
    bounds = [0, *sorted(cut for cut in cuts if cut < len(rows)), len(rows)]
    pieces = [rows[a:b] for a, b in pairwise(bounds) if a < b]
    assert list(merged([(piece[0][0], piece.__iter__) for piece in pieces], itemgetter(0))) == rows


@given(st.lists(TIMES, max_size=4))
def test_rows_that_are_not_in_order_are_all_there(files: list[list[int]]) -> None:
    rows = [[(at, number) for number, at in enumerate(times)] for times in files]
    parts = [(each[0][0], each.__iter__) for each in rows if each]
    assert sorted(merged(parts, itemgetter(0))) == sorted(row for each in rows for row in each)


def test_a_file_is_opened_when_it_is_due() -> None:
    opened: list[int] = []

    def days(day: int) -> Iterator[Numbered]:
        opened.append(day)
        yield from ((day * 10 + number, day) for number in range(5))

    found = merged([(day * 10, partial(days, day)) for day in (2, 0, 1)], itemgetter(0))
    seen = [(next(found), len(opened)) for _ in range(15)]
    assert [at for (at, _), _ in seen] == [0, 1, 2, 3, 4, 10, 11, 12, 13, 14, 20, 21, 22, 23, 24]
    assert [count for _, count in seen] == [1] * 5 + [2] * 5 + [3] * 5


@given(st.lists(st.tuples(st.integers(0, 200), st.integers(0, 10)), max_size=50))
def test_rows_within_the_window_come_out_in_order_and_equal_times_keep_theirs(jitter: list[tuple[int, int]]) -> None:
    ordered = sorted(jitter, key=lambda pair: pair[0])
    arrived = sorted(ordered, key=lambda pair: pair[0] + pair[1])  # none is more than 10 behind
    numbered = [(at, number) for number, (at, _) in enumerate(arrived)]
    assert list(reordered(numbered, itemgetter(0), 10)) == sorted(numbered)


def test_no_more_than_the_window_is_held() -> None:
    taken: list[int] = []

    def rows() -> Iterator[int]:
        for at in range(100):
            taken.append(at)
            yield at

    found = reordered(rows(), lambda at: at, 5)
    for at in range(90):
        assert next(found) == at
        assert len(taken) <= at + 7


def test_what_has_no_time_is_passed_on_at_once() -> None:
    assert list(reordered([5, -1, 4], lambda at: None if at < 0 else at, 10)) == [-1, 4, 5]
