"""Puts rows in order of time: within one stream that is a little out of order, and across many streams."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

T = TypeVar("T")
TimeOf = Callable[[T], int]


def merged(parts: Sequence[tuple[int, Callable[[], Iterator[T]]]], time_of: TimeOf[T]) -> Iterator[T]:
    """All rows in order of time; of rows with the same time, those of an earlier part come first.

    Each part is the time of its first row and a function that opens it. A part is opened when its first row is due, and one row
    of each open part is held: days that follow each other cost no more than one.
    """
    waiting = sorted(range(len(parts)), key=lambda index: (parts[index][0], index), reverse=True)
    heap: list[tuple[int, int, T, Iterator[T]]] = []
    while heap or waiting:
        while waiting and (not heap or parts[waiting[-1]][0] <= heap[0][0]):
            index = waiting.pop()
            rows = parts[index][1]()
            for row in rows:
                heapq.heappush(heap, (time_of(row), index, row, rows))
                break
        if not heap:
            continue
        _, index, row, rows = heap[0]
        yield row
        for following in rows:
            heapq.heapreplace(heap, (time_of(following), index, following, rows))
            break
        else:
            heapq.heappop(heap)


def reordered(rows: Iterable[T], time_of: Callable[[T], int | None], window: int) -> Iterator[T]:
    """The rows in order of time, if none comes more than `window` after a later one. Rows without a time are passed on at once.

    The rows of one window are held in memory.
    """
    held: list[tuple[int, int, T]] = []
    latest: int | None = None
    for number, row in enumerate(rows):
        at = time_of(row)
        if at is None:
            yield row
            continue
        heapq.heappush(held, (at, number, row))
        latest = at if latest is None else max(latest, at)
        while held[0][0] < latest - window:
            yield heapq.heappop(held)[2]
    while held:
        yield heapq.heappop(held)[2]
