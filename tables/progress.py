"""How far the engine of one partition is: in offsets, in arrival time, and in its counters."""

from __future__ import annotations

from tables.scopes import UNKNOWN
from tables.state import Counters


class Progress:
    """One for each engine, shared by its parts. Times are epoch ms."""

    __slots__ = ("arrival", "arrival_violations", "counters", "next_offset", "timer")

    def __init__(self, next_offset: int) -> None:
        self.next_offset = next_offset  # one after the last record processed
        self.arrival = UNKNOWN  # running maximum of arrival times
        self.timer = UNKNOWN  # arrival time that the timer has declared passed
        self.arrival_violations = 0  # records that arrived at or before that time
        self.counters = Counters()
