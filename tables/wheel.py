"""A hashed timing wheel over arrival time: insert in O(1), an empty slot costs a comparison.

Scheme 6 of G. Varghese and T. Lauck, "Hashed and Hierarchical Timing Wheels" (SOSP 1987): an entry hashes into slot
`due // tick % slots` and stays there, with its absolute due time, until a turn of the wheel finds it due. Entries are never
moved or canceled. The caller ignores an entry that it no longer wants when it fires.

    wheel = Wheel(tick_ms=200)
    wheel.add("EURUSD", 1_005)
    wheel.advance(1_005)   # []: due at 1,005 is not before 1,005
    wheel.advance(1_006)   # [(1005, "EURUSD")]
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, TypeVar

SLOTS = 512  # x 200 ms cover a minute and its grace
T = TypeVar("T")


class Wheel(Generic[T]):
    """Entries `(due ms, item)`; time only goes forward."""

    __slots__ = ("_cursor", "_mask", "_slots", "_tick", "_turned", "size")

    def __init__(self, tick_ms: int, slots: int = SLOTS) -> None:
        """`tick_ms` is the width of a slot; `slots` must be a power of two."""
        if slots & (slots - 1):
            raise ValueError(f"slots={slots}: must be a power of two")
        self._tick = tick_ms
        self._mask = slots - 1
        self._slots: list[list[tuple[int, T]]] = [[] for _ in range(slots)]
        self._cursor: int | None = None  # number of the slot at which the next advance begins
        self._turned = False
        self.size = 0

    def add(self, item: T, due_ms: int) -> None:
        """Add an entry. One that is already due fires at the next `advance`."""
        number = due_ms // self._tick
        if self._cursor is None or (number < self._cursor and not self._turned):
            self._cursor = number
        elif number < self._cursor:
            number = self._cursor
        self._slots[number & self._mask].append((due_ms, item))
        self.size += 1

    def advance(self, before_ms: int) -> list[tuple[int, T]]:
        """Remove every entry that is due before this time (ms), and return them in no order."""
        last = (before_ms - 1) // self._tick
        cursor = self._cursor
        if cursor is None or last < cursor:
            return []
        self._cursor, self._turned = last, True
        if not self.size:
            return []
        fired: list[tuple[int, T]] = []
        mask = self._mask
        for number in range(cursor, min(last, cursor + mask) + 1):  # a long jump visits each slot once
            slot = self._slots[number & mask]
            if slot:
                due = [entry for entry in slot if entry[0] < before_ms]
                if due:
                    fired += due
                    self._slots[number & mask] = (
                        [entry for entry in slot if entry[0] >= before_ms] if len(due) < len(slot) else []
                    )
        self.size -= len(fired)
        return fired

    def due(self, before_ms: int) -> Iterator[tuple[int, T]]:
        """The entries that are due before this time (ms); they stay, and time does not go forward."""
        cursor = self._cursor
        if cursor is not None and self.size:
            for number in range(cursor, min((before_ms - 1) // self._tick, cursor + self._mask) + 1):
                yield from (entry for entry in self._slots[number & self._mask] if entry[0] < before_ms)

    def slots(self) -> list[list[tuple[int, T]]]:
        """The entries of each slot; read only."""
        return self._slots
