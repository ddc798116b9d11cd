"""The index of a partition's log: offsets, position in the file, size and latest timestamp of every batch."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Sequence
from itertools import accumulate


class BatchIndex:
    """One entry a batch, in offset order. Columns of integers, because an object for each batch takes too much memory."""

    def __init__(self) -> None:
        self.bases = array("q")  # first offsets
        self.lasts = array("q")  # last offsets
        self.positions = array("q")  # in the file
        self.sizes = array("q")  # bytes
        self.times = array("q")  # latest timestamp, epoch ms

    def __len__(self) -> int:
        return len(self.bases)

    def add(self, base: int, last: int, position: int, size: int, latest: int) -> None:
        """Add the entry of a batch after all others."""
        self.bases.append(base)
        self.lasts.append(last)
        self.positions.append(position)
        self.sizes.append(size)
        self.times.append(latest)

    def find(self, offset: int) -> int:
        """The number of the batch that holds an offset, or else of the next one."""
        return bisect_left(self.lasts, offset)

    def span(self, offset: int, max_bytes: int, end: int) -> tuple[int, int]:
        """Position and size of the part of the file to read from an offset on.

        It holds whole batches, from the one with the offset up to `end`, of `max_bytes` together; the first one however
        large. It ends where a batch was deleted by compaction. The size is 0 if there is nothing to read.
        """
        first = self.find(offset)
        number, size = first, 0
        while (
            number < len(self)
            and self.bases[number] < end
            and (number == first or size + self.sizes[number] <= max_bytes)
            and (number == first or self.positions[number] == self.positions[number - 1] + self.sizes[number - 1])
        ):
            size += self.sizes[number]
            number += 1
        return (self.positions[first], size) if size else (0, 0)

    def drop_first(self, count: int) -> None:
        """Remove the first entries."""
        for column in (self.bases, self.lasts, self.positions, self.sizes, self.times):
            del column[:count]

    def keep(self, numbers: Sequence[int]) -> int:
        """Remove all other entries, and place these one after the other in a new file; returns the size of that file."""
        self.bases, self.lasts, self.sizes, self.times = (
            array("q", (column[number] for number in numbers)) for column in (self.bases, self.lasts, self.sizes, self.times)
        )
        self.positions = array("q", accumulate(self.sizes, initial=0))
        return self.positions.pop()
