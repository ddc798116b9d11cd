"""Batches that follow each other are taken, and a gap between them is named."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from app.kafka.continuity import Continuity
from app.kafka.records import Batch, LeaderEpoch, Record, Skipped


class Part:
    """A batch by its offsets alone."""

    def __init__(self, base_offset: int, next_offset: int) -> None:
        self.base_offset, self.next_offset = base_offset, next_offset
        self.timestamp_type, self.max_timestamp = 0, -1

    def __iter__(self) -> Iterator[Record]:
        return iter(())


def test_batches_without_a_gap_are_taken_and_advance_the_next_offset() -> None:
    continuity = Continuity(10)
    parts: list[Batch] = [Part(10, 20), Part(20, 25)]
    assert continuity.take(parts) == (parts, None)
    assert continuity.next_offset == 25


@pytest.mark.parametrize(("base", "end"), [(0, 10), (5, 10), (9, 10)])
def test_a_batch_that_was_handed_on_before_is_left_out(base: int, end: int) -> None:
    continuity = Continuity(10)
    assert continuity.take([Part(base, end)]) == ([], None)
    assert continuity.next_offset == 10


def test_a_batch_that_begins_earlier_and_ends_later_is_taken() -> None:
    continuity, part = Continuity(10), Part(7, 12)
    assert continuity.take([part]) == ([part], None)
    assert continuity.next_offset == 12


def test_nothing_after_a_gap_is_taken_and_the_gap_is_named() -> None:
    continuity, part = Continuity(10), Part(10, 12)
    assert continuity.take([part, Part(15, 20), Part(20, 30)]) == ([part], (12, 15))
    assert continuity.next_offset == 12
    assert continuity.take([Part(15, 20)]) == ([], (12, 15)), "a gap stays one until it is filled"
    filled: list[Batch] = [Part(12, 15), Part(15, 20)]
    assert continuity.take(filled) == (filled, None)


def test_control_records_and_aborted_transactions_fill_their_offsets_without_records() -> None:
    continuity, skipped, part = Continuity(10), Skipped(10, 15), Part(15, 20)
    assert continuity.take([skipped, part]) == ([skipped, part], None)
    assert list(skipped) == []


def test_the_leader_epoch_is_handed_on_where_it_differs_from_that_of_the_batch_before() -> None:
    continuity = Continuity(0)
    first, second, third = Skipped(0, 5), Skipped(5, 8), Skipped(8, 9)
    fetches: list[tuple[list[Batch], list[Batch]]] = [
        ([LeaderEpoch(0, 3), first], [LeaderEpoch(0, 3), first]),
        ([LeaderEpoch(0, 3), first, LeaderEpoch(5, 3), second], [second]),  # the first one again
        ([LeaderEpoch(5, 3), second, LeaderEpoch(8, 4), third], [LeaderEpoch(8, 4), third]),
        ([LeaderEpoch(20, 5), Skipped(20, 21)], []),  # behind a gap
        ([LeaderEpoch(9, 4), Skipped(9, 20)], [Skipped(9, 20)]),
    ]
    for batches, taken in fetches:
        assert continuity.take(batches)[0] == taken
