"""Longer windows on a local clock: days, what divides them (5m, 1h, 4h), and what joins them (weeks, months).

A day begins when the clock of its zone shows `day_start`, so it has 23 or 25 hours where that clock changes. Frames shorter
than a day count from the day's beginning; the last one is cut at the next day's. A week begins with the day that begins on
`week_start`, a month with the day that begins on the first. `zoneinfo` knows the clocks.

    calendar = Calendar("America/New_York", day_start=17 * 3_600_000, week_start=6)
    calendar.window(frame_of("4h"), start_ms)   # (start, end) of the window that holds this moment, epoch ms
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo

DAY_MS = 86_400_000
BASE = "base"  # how settings call the base window among frames
LONGEST_PART_MS = 12 * 3_600_000  # of a day; two of them fit into a day of 23 hours, the second one cut
LAST_CHECKED_YEAR = 2060
MOST_FRAMES = 15  # `tables.kept` has four bits for one
WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_PART = re.compile(r"([1-9]\d{0,6})(s|m|h)")
_UNIT_MS = {"s": 1_000, "m": 60_000, "h": 3_600_000}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MS = timedelta(milliseconds=1)
_MOST_KNOWN = 10_000  # beginnings of days that are remembered


class Frame(NamedTuple):
    """A length of bars above the base window. They sort by length."""

    rank: int  # 0: a part of a day, 1: a day, 2: a week, 3: a month
    size: int  # ms; 0 where the calendar decides
    name: str

    def is_union_of(self, other: Frame) -> bool:
        """Whether each window of this frame consists of whole windows of a shorter one."""
        if other.rank:
            return other.rank == 1 < self.rank
        return self.rank > 0 or (other.size < self.size and not self.size % other.size)


_JOINED = {"1d": Frame(1, 0, "1d"), "1w": Frame(2, 0, "1w"), "1M": Frame(3, 0, "1M")}


def frame_of(text: str) -> Frame:
    """Read `5m`, `4h`, `1d`, `1w` or `1M`. Raises `ValueError`."""
    if text in _JOINED:
        return _JOINED[text]
    match = _PART.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not a frame: write 5m, 1h or the like, 1d, 1w or 1M")
    size = int(match[1]) * _UNIT_MS[match[2]]
    if size > LONGEST_PART_MS:
        raise ValueError(f"{text!r} is longer than 12h: above that there are 1d, 1w and 1M")
    return Frame(0, size, text)


class Calendar:
    """The windows of all frames on one local clock. Times are epoch ms."""

    def __init__(self, zone: str = "UTC", day_start: int = 0, week_start: int = 0) -> None:
        """`zone`: IANA name. `day_start`: ms after midnight on its clock. `week_start`: 0 is Monday."""
        self._zone = ZoneInfo(zone)
        self._day_start = timedelta(milliseconds=day_start)
        self._week_start = week_start
        self._begins: dict[int, int] = {}  # by the ordinal of the date on which a day begins
        self._today = (0, 0, 0)  # the day that was asked for last: start, end, ordinal

    def window(self, frame: Frame, time: int) -> tuple[int, int]:
        """The start and the end of the window that holds this time."""
        start, end, day = self._today
        if not start <= time < end:
            start, end, day = self._today = self._find_day(time)
        if frame.rank == 0:
            start += (time - start) // frame.size * frame.size
            return start, min(start + frame.size, end)
        if frame.rank == 1:
            return start, end
        on = date.fromordinal(day)
        if frame.rank == 2:  # noqa: PLR2004  # a week
            first = day - (on.weekday() - self._week_start) % 7
            return self._begin(first), self._begin(first + 7)
        following = date(on.year + on.month // 12, on.month % 12 + 1, 1)
        return self._begin(on.replace(day=1).toordinal()), self._begin(following.toordinal())

    def first_misfit(self, base: int, first: int, last: int) -> date | None:
        """The first date whose day does not begin with a window of `base` ms, of those between two times; None: all do."""
        for day in range(self._find_day(first)[2], self._find_day(last)[2] + 1):
            if self._begin(day) % base:
                return date.fromordinal(day)
        return None

    def _find_day(self, time: int) -> tuple[int, int, int]:
        local = (_EPOCH + time * _MS).astimezone(self._zone).replace(tzinfo=None)
        day = (local - self._day_start).toordinal()
        while self._begin(day + 1) <= time:  # the clock was set back over that moment, or a zone has left out a date
            day += 1
        return self._begin(day), self._begin(day + 1), day

    def _begin(self, day: int) -> int:
        known = self._begins.get(day)
        if known is None:
            if len(self._begins) >= _MOST_KNOWN:
                self._begins.clear()
            known = self._begins[day] = self._first_moment(datetime.fromordinal(day) + self._day_start)
        return known

    def _first_moment(self, wall: datetime) -> int:
        """When the clock shows this time first, or passes over it."""
        aware = wall.replace(tzinfo=self._zone)
        passed = (aware - _EPOCH) // _MS
        shift = _offset(aware.replace(fold=1)) - _offset(aware)
        if shift <= timedelta(0):
            return passed
        # The clock was set forward past it, between these two moments.
        before = passed - shift // _MS
        while passed - before > 1:
            middle = (before + passed) // 2
            shown = (_EPOCH + middle * _MS).astimezone(self._zone).replace(tzinfo=None)
            before, passed = (before, middle) if shown >= wall else (middle, passed)
        return passed


def _offset(time: datetime) -> timedelta:
    offset = time.utcoffset()
    assert offset is not None  # noqa: S101  # it has a zone
    return offset


def sources(frames: Sequence[Frame]) -> list[int]:
    """For each of the frames, shortest first: the longest shorter one that it is a union of, by index; -1: the base windows.

    So a closed base window goes into few frames, and what they gather into the longer ones.
    """
    return [
        max((index for index, shorter in enumerate(frames[:number]) if frame.is_union_of(shorter)), default=-1)
        for number, frame in enumerate(frames)
    ]


def check_frames(frames: Iterable[Frame], base: int) -> None:
    """Raise `ValueError` where a frame is no whole number of base windows (ms), or comes twice."""
    seen: set[Frame] = set()
    for frame in frames:
        if len(seen) == MOST_FRAMES:
            raise ValueError(f"there are more than {MOST_FRAMES} frames")
        if frame in seen or (frame.size and any(frame.size == other.size for other in seen)):
            raise ValueError(f"frame {frame.name} comes twice")
        seen.add(frame)
        if frame.rank == 0 and (frame.size % base or frame.size <= base):
            raise ValueError(f"frame {frame.name} is no multiple of the base window of {base} ms")


@lru_cache(maxsize=8)
def misfit(zone: str, day_start: int, base: int, first: int) -> date | None:
    """See `Calendar.first_misfit`: of all days from `first` (epoch ms) until long after today."""
    last = int(datetime(LAST_CHECKED_YEAR, 1, 1, tzinfo=UTC).timestamp() * 1_000)
    return Calendar(zone, day_start).first_misfit(base, first, last)
