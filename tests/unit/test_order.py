"""What follows on what was handed on before, and what leaves a gap."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from app.kafka.continuity import Continuity
from app.kafka.fetcher import Batch, Skipped
from tables.records import Record


class Part:
    """A batch by its offsets alone."""

    def __init__(self, base_offset: int, next_offset: int) -> None:
        self.base_offset, self.next_offset = base_offset, next_offset
        self.timestamp_type, self.max_timestamp = 0, -1

    def __iter__(self) -> Iterator[Record]:
        return iter(())


def test_batches_that_follow_on_are_taken_and_move_the_order_on() -> None:
    continuity = Continuity(10)
    parts: list[Batch] = [Part(10, 20), Part(20, 25)]
    assert continuity.take(parts) == (parts, None)
    assert continuity.next_offset == 25


@pytest.mark.parametrize(("base", "end"), [(0, 10), (5, 10), (9, 10)])
def test_what_was_handed_on_before_is_left_out(base: int, end: int) -> None:
    continuity = Continuity(10)
    assert continuity.take([Part(base, end)]) == ([], None)
    assert continuity.next_offset == 10


def test_a_batch_that_begins_earlier_and_ends_later_is_taken() -> None:
    continuity, part = Continuity(10), Part(7, 12)
    assert continuity.take([part]) == ([part], None)
    assert continuity.next_offset == 12


def test_nothing_after_a_hole_is_taken_and_the_hole_is_named() -> None:
    continuity, part = Continuity(10), Part(10, 12)
    assert continuity.take([part, Part(15, 20), Part(20, 30)]) == ([part], (12, 15))
    assert continuity.next_offset == 12
    assert continuity.take([Part(15, 20)]) == ([], (12, 15)), "a gap stays one until it is filled or passed over"
    filled: list[Batch] = [Part(12, 15), Part(15, 20)]
    assert continuity.take(filled) == (filled, None)


def test_a_hole_that_is_passed_over_leaves_a_mark_in_its_place() -> None:
    continuity = Continuity(10)
    assert continuity.skip((10, 15)) == Skipped(10, 15)
    part = Part(15, 20)
    assert continuity.take([part]) == ([part], None)
