"""Event times of other people's topics: numbers with a fraction, numbers in text, dates with and without an offset.

Each becomes a whole number of `time_unit`. What is finer than that is cut off, towards the past, as for every text.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, tzinfo
from decimal import Context, Decimal, DecimalException, Inexact, InvalidOperation, Overflow, Subnormal
from typing import TypeVar
from zoneinfo import ZoneInfo

from tables.ticks import EXACT, PER_SECOND, RejectedError, shown

_SECOND = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d", re.ASCII)
_REST = re.compile(r"(?:\.(\d{1,9}))?([Zz]|[+-](?:[01]\d|2[0-3]):[0-5]\d)?", re.ASCII)
_SECONDS = 19  # characters of a date and time to the second
_MOST_DIGITS = 40  # before the point of a number: later than any time of a tick
_MOST_KNOWN = 10_000  # texts that are remembered


# Exact, or it raises: for the numbers that times are.
_USUAL = Context(prec=40, Emax=_MOST_DIGITS, Emin=-_MOST_DIGITS, traps=[Inexact, InvalidOperation, Overflow, Subnormal])
_ZERO = Decimal(0)
Known = TypeVar("Known")


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
        # What is known of texts: the times of their seconds in UTC, and in the zone; and by what follows the second, which of
        # the two it needs, and the fraction less the offset.
        self._seconds: dict[str, int] = {}
        self._local: dict[str, int] = {}
        self._rests: dict[str, tuple[dict[str, int], int]] = {}

    def of(self, time: int | Decimal | str | None) -> int:
        """The time in `time_unit`. Raises `RejectedError`."""
        if time is None:
            raise RejectedError("missing", f"{self._field}: the field is missing")
        return self.of_text(time) if isinstance(time, str) else self.of_number(time)

    def of_number(self, number: int | Decimal) -> int:
        """The time of a number, in `time_unit`. Raises `RejectedError`."""
        if isinstance(number, int):
            return number * self._per_second // self._per_number
        try:
            scaled = _USUAL.multiply(number, self._factor)
            return int(scaled) if scaled >= _ZERO else self._of_any_number(number)
        except (DecimalException, ValueError, OverflowError):  # not a number, infinite, or with more digits than usual
            return self._of_any_number(number)

    def _of_any_number(self, number: Decimal) -> int:
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
        found = self._rests.get(rest)
        if found is not None:
            seconds, more = found
            known = seconds.get(begin)
            if known is not None:
                return known + more
        return self._of_new_text(text, begin, rest)

    def _of_new_text(self, text: str, begin: str, rest: str) -> int:
        match = _REST.fullmatch(rest)
        is_known = begin in self._seconds or begin in self._local
        if match is None or not (is_known or _SECOND.fullmatch(begin)):
            try:
                return self.of_number(Decimal(text))
            except DecimalException:
                raise self._not_a_time(text) from None
        fraction, offset = match.groups()
        if offset is None and self._zone is None:
            raise self._not_a_time(text)
        more = 0 if fraction is None else int(fraction) * self._per_second // 10 ** len(fraction)
        seconds = self._local
        if offset is not None:
            seconds = self._seconds
            more -= _seconds_of(offset) * self._per_second
        _remember(self._rests, rest, (seconds, more))
        known = seconds.get(begin)
        if known is None:
            known = self._second(text, self._zone if offset is None else UTC)
            _remember(seconds, begin, known)
        return known + more

    def _second(self, text: str, zone: tzinfo | None) -> int:
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


def _remember(known: dict[str, Known], text: str, value: Known) -> None:
    if len(known) >= _MOST_KNOWN:
        known.clear()
    known[text] = value


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
