"""Event times of other people's topics: numbers with a fraction, numbers in text, dates with and without an offset.

Each becomes a whole number of `time_unit`. What is finer than that is cut off, towards the past, as for every text.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, tzinfo
from decimal import Decimal, DecimalException
from zoneinfo import ZoneInfo

from tables.ticks import EXACT, PER_SECOND, RejectedError, shown

_SECOND = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d", re.ASCII)
_REST = re.compile(r"(?:\.(\d{1,9}))?([Zz]|[+-](?:[01]\d|2[0-3]):[0-5]\d)?", re.ASCII)
_SECONDS = 19  # characters of a date and time to the second
_MOST_DIGITS = 40  # before the point of a number: later than any time of a tick
_MOST_KNOWN = 10_000  # texts that are remembered


class Times:
    """Converts the times of one topic."""

    def __init__(self, field: str, number_unit: str, time_unit: str, zone: ZoneInfo | None = None) -> None:
        """`field`: its name, for messages. `number_unit`: of numbers. `zone`: of text without an offset, if there may be."""
        self._field = field
        self._zone = zone
        self._per_second = PER_SECOND[time_unit]
        self._per_number = PER_SECOND[number_unit]
        self._factor = EXACT.divide(Decimal(self._per_second), Decimal(self._per_number))
        self.same_unit = number_unit == time_unit  # a whole number is the time already
        self._seconds: dict[str, int] = {}  # what is known of the first part of texts, as if it were UTC
        self._local: dict[str, int] = {}  # in the zone
        self._rests: dict[str, int] = {}  # and of what follows it: the fraction less the offset

    def of(self, time: int | Decimal | str | None) -> int:
        """The time in `time_unit`. Raises `RejectedError`."""
        if time is None:
            raise RejectedError("missing", f"{self._field}: the field is missing")
        return self.of_text(time) if isinstance(time, str) else self.of_number(time)

    def of_number(self, number: int | Decimal) -> int:
        """The time of a number, in `time_unit`. Raises `RejectedError`."""
        if isinstance(number, int):
            return number * self._per_second // self._per_number
        if not number.is_finite() or number.adjusted() >= _MOST_DIGITS:
            raise RejectedError("ts", f"{self._field}: {shown(number)} is no time")
        try:
            scaled = EXACT.multiply(number, self._factor)
        except DecimalException:
            raise RejectedError("ts", f"{self._field}: {shown(number)} has too many digits") from None
        cut = int(scaled)
        return cut - 1 if cut > scaled else cut

    def of_text(self, text: str) -> int:
        """The time of a date and time, or of a number in text, in `time_unit`. Raises `RejectedError`."""
        begin, rest = text[:_SECONDS], text[_SECONDS:]
        more = self._rests.get(rest)
        if more is not None:
            known = self._seconds.get(begin)
            if known is not None:
                return known + more
        match = _REST.fullmatch(rest)
        if match is None or _SECOND.fullmatch(begin) is None:
            try:
                return self.of_number(Decimal(text))
            except DecimalException:
                raise self._not_a_time(text) from None
        fraction, offset = match.groups()
        zone = self._zone if offset is None else UTC
        if zone is None:
            raise self._not_a_time(text)
        seconds = self._local if offset is None else self._seconds
        second = seconds.get(begin)
        if second is None:
            second = self._second(text, zone)
            _remember(seconds, begin, second)
        more = 0 if fraction is None else int(fraction) * self._per_second // 10 ** len(fraction)
        if offset is not None:
            more -= _seconds_of(offset) * self._per_second
            _remember(self._rests, rest, more)
        return second + more

    def _second(self, text: str, zone: tzinfo) -> int:
        """The time of the whole second. Of a local time that happens twice or never, it has the offset before the change."""
        try:
            time = datetime.fromisoformat(f"{text[:10]}T{text[11:_SECONDS]}").replace(tzinfo=zone)  # fold=0
            return round((time - _EPOCH).total_seconds()) * self._per_second
        except (ValueError, OverflowError) as error:
            raise RejectedError("ts", f"{self._field}: {shown(text)}: {error}") from None

    def _not_a_time(self, text: str) -> RejectedError:
        if self._zone is None:
            form = "RFC 3339 with an offset, such as 2014-05-05T00:00:00.123Z (ticks_zone is for text without one)"
        else:
            form = "a date and time, such as 2014-05-05T00:00:00.123 or 2014-05-05 00:00:00.123+02:00"
        return RejectedError("ts", f"{self._field}: {shown(text)} is not {form}, nor a number")


def _seconds_of(offset: str) -> int:
    if offset in "Zz":
        return 0
    seconds = int(offset[1:3]) * 3_600 + int(offset[4:6]) * 60
    return seconds if offset[0] == "+" else -seconds


def _remember(known: dict[str, int], text: str, value: int) -> None:
    if len(known) >= _MOST_KNOWN:
        known.clear()
    known[text] = value


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
