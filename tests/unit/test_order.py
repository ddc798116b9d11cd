"""What follows on what was handed on before, and what leaves a hole."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from app.kafka.continuity import Order
from app.kafka.fetcher import Batch, Skipped
from tables.ticks import Record


class Part:
    """A batch by its offsets alone."""

    def __init__(self, base_offset: int, next_offset: int) -> None:
        self.base_offset, self.next_offset = base_offset, next_offset
        self.timestamp_type, self.max_timestamp = 0, -1

    def __iter__(self) -> Iterator[Record]:
        return iter(())


def test_batches_that_follow_on_are_taken_and_move_the_order_on() -> None:
    order = Order(10)
    parts: list[Batch] = [Part(10, 20), Part(20, 25)]
    assert order.take(parts) == (parts, None)
    assert order.next_offset == 25


@pytest.mark.parametrize(("base", "end"), [(0, 10), (5, 10), (9, 10)])
def test_what_was_handed_on_before_is_left_out(base: int, end: int) -> None:
    order = Order(10)
    assert order.take([Part(base, end)]) == ([], None)
    assert order.next_offset == 10


def test_a_batch_that_begins_earlier_and_ends_later_is_taken() -> None:
    order, part = Order(10), Part(7, 12)
    assert order.take([part]) == ([part], None)
    assert order.next_offset == 12


def test_nothing_after_a_hole_is_taken_and_the_hole_is_named() -> None:
    order, part = Order(10), Part(10, 12)
    assert order.take([part, Part(15, 20), Part(20, 30)]) == ([part], (12, 15))
    assert order.next_offset == 12
    assert order.take([Part(15, 20)]) == ([], (12, 15)), "a hole stays one until it is filled or passed over"
    filled: list[Batch] = [Part(12, 15), Part(15, 20)]
    assert order.take(filled) == (filled, None)


def test_a_hole_that_is_passed_over_leaves_a_mark_in_its_place() -> None:
    order = Order(10)
    assert order.pass_over((10, 15)) == Skipped(10, 15)
    part = Part(15, 20)
    assert order.take([part]) == ([part], None)
