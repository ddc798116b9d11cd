"""How far the engine of one partition is: in offsets, in arrival time, and in its counters."""

from __future__ import annotations

from tables.scopes import UNKNOWN
from tables.state import Counters

CLOCK_STEP = 60_000  # an arrival this much below the running maximum shows that the clock was wrong before


class Progress:
    """One for each engine, shared by its parts. Times are epoch ms."""

    __slots__ = ("arrival", "arrival_violations", "clock_steps", "counters", "next_offset", "timer")

    def __init__(self, next_offset: int) -> None:
        self.next_offset = next_offset  # one after the last record processed
        self.arrival = UNKNOWN  # running maximum of arrival times
        self.timer = UNKNOWN  # arrival time that the timer has declared passed
        self.arrival_violations = 0  # records that arrived at or before that time
        self.clock_steps = 0  # times that the running maximum was taken back, as the clock that gave it was wrong
        self.counters = Counters()
