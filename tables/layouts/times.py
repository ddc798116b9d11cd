"""Event times of other people's topics: numbers with a fraction, numbers in text, dates with and without an offset.

Each becomes a whole number of `time_unit`. What is finer than that is cut off, towards the past, as for every text.

Most times share their second with others, so a text is read in two parts that are remembered: all to the second, and the rest.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, tzinfo
from decimal import Context, Decimal, DecimalException, Inexact, InvalidOperation, Overflow, Subnormal
from functools import partial
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from tables.ticks import EXACT, PER_SECOND, RejectedError, shown

_SECOND = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d", re.ASCII)
_REST = re.compile(r"(?:\.(\d{1,9}))?([Zz]|[+-](?:[01]\d|2[0-3]):[0-5]\d)?", re.ASCII)
_WHOLE = re.compile(r"[1-9]\d+\.?", re.ASCII)
_FRACTION = re.compile(r"\d{0,18}", re.ASCII)
_SECONDS = 19  # characters of a date and time to the second
_WHOLE_DIGITS = {1: 10, 1_000: 13, 1_000_000: 16, 1_000_000_000: 19}  # of a time between 2001 and 2286, by units a second
_MOST_DIGITS = 40  # before the point of a number: later than any time of a tick
_MOST_KNOWN = 10_000  # parts of times that are remembered


# Exact, or it raises: for the numbers that times are.
_USUAL = Context(prec=40, Emax=_MOST_DIGITS, Emin=-_MOST_DIGITS, traps=[Inexact, InvalidOperation, Overflow, Subnormal])
_ZERO = Decimal(0)


class Remembered(dict[Any, int]):
    """What a function gives for a part of a time, which is called once for each. It raises `ValueError` or `OverflowError`."""

    def __init__(self, function: Callable[[Any], int]) -> None:
        super().__init__()
        self._function = function

    def __missing__(self, part: Any) -> int:
        found = self._function(part)
        if len(self) >= _MOST_KNOWN:
            self.clear()
        self[part] = found
        return found


class TimeForm(NamedTuple):
    """How times of one form are read: `heads[text[:cut]] + tails[text[cut:]]`, which may raise `NOT_OF_FORM`."""

    cut: int
    heads: Remembered
    tails: Remembered


NOT_OF_FORM = (ValueError, OverflowError)


class DateAndTime(NamedTuple):
    """What follows the second in a text. Empty: nothing does."""

    fraction: str
    offset: str


def date_and_time(text: str) -> DateAndTime | None:
    """What a text says behind its second; None where it is no date and time."""
    rest = _REST.fullmatch(text[_SECONDS:])
    if rest is None or not _SECOND.fullmatch(text[:_SECONDS]):
        return None
    return DateAndTime(rest[1] or "", rest[2] or "")


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
        rest = partial(_rest, per_second=self._per_second)
        second = partial(_second, per_second=self._per_second)
        self._local = TimeForm(_SECONDS, Remembered(partial(second, zone=zone)), Remembered(partial(rest, with_offset=False)))
        self._offset = TimeForm(_SECONDS, Remembered(partial(second, zone=UTC)), Remembered(partial(rest, with_offset=True)))
        whole = partial(_whole, per_number=self._per_number, per_second=self._per_second)
        fraction = partial(_fraction, per_number=self._per_number, per_second=self._per_second)
        cut = _WHOLE_DIGITS[self._per_number] + 1  # the point is in the first part
        self._number = TimeForm(cut, Remembered(whole), Remembered(fraction))
        self.number_bytes = TimeForm(cut, Remembered(_of_bytes(whole)), Remembered(_of_bytes(fraction)))
        self._last = self._offset  # the form of the last text

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
        cut, heads, tails = self._last
        try:
            return heads[text[:cut]] + tails[text[cut:]]
        except NOT_OF_FORM:
            return self._of_new_text(text)

    def form_of(self, text: str) -> TimeForm:
        """The form in which this text is the usual one."""
        found = date_and_time(text)
        if found is None:
            return self._number
        return self._offset if found.offset else self._local

    def _of_new_text(self, text: str) -> int:
        form = self.form_of(text)
        if form is self._local and self._zone is None:
            raise self._not_a_time(text)
        cut, heads, tails = form
        try:
            found = heads[text[:cut]] + tails[text[cut:]]
        except NOT_OF_FORM as error:
            if form is not self._number:
                raise RejectedError("ts", f"{self._field}: {shown(text)}: {error}") from None
        else:
            self._last = form
            return found
        try:
            return self.of_number(Decimal(text))
        except DecimalException:
            raise self._not_a_time(text) from None

    def _not_a_time(self, text: str) -> RejectedError:
        if self._zone is None:
            form = "RFC 3339 with an offset, such as 2014-05-05T00:00:00.123Z (ticks_zone is for text without one)"
        else:
            form = "a date and time, such as 2014-05-05T00:00:00.123 or 2014-05-05 00:00:00.123+02:00"
        return RejectedError("ts", f"{self._field}: {shown(text)} is not {form}, nor a number")


# ---- parts of a text, each as a part of the time; they raise `NOT_OF_FORM`


def _second(text: str, zone: tzinfo | None, per_second: int) -> int:
    """The time of the whole second. Of a local time that happens twice or never, it has the offset before the change."""
    if not _SECOND.fullmatch(text):
        raise ValueError("it is no date and time")
    if zone is None:
        raise ValueError("there is no time zone")
    time = datetime.fromisoformat(f"{text[:10]}T{text[11:]}").replace(tzinfo=zone)  # fold=0
    return round((time - _EPOCH).total_seconds()) * per_second


def _rest(text: str, per_second: int, *, with_offset: bool) -> int:
    """What follows the second: the fraction, less the offset."""
    match = _REST.fullmatch(text)
    if match is None or bool(match[2]) is not with_offset:
        raise ValueError("what follows the second is something else")
    fraction, offset = match.groups()
    more: int = 0 if fraction is None else int(fraction) * per_second // 10 ** len(fraction)
    return more - _seconds_of(offset or "Z") * per_second


def _whole(text: str, per_number: int, per_second: int) -> int:
    """Of a number: all before the point, with the point if there is one."""
    if not _WHOLE.fullmatch(text) or (len(text) > _WHOLE_DIGITS[per_number] and not text.endswith(".")):
        raise ValueError("it is no usual number")
    return int(text.removesuffix(".")) * per_second // per_number


def _fraction(text: str, per_number: int, per_second: int) -> int:
    """Of a number: all behind the point."""
    if not _FRACTION.fullmatch(text):
        raise ValueError("it is no usual number")
    found: int = int(text or "0") * per_second // (per_number * 10 ** len(text))
    return found


def _seconds_of(offset: str) -> int:
    if offset in "Zz":
        return 0
    seconds = int(offset[1:3]) * 3_600 + int(offset[4:6]) * 60
    return seconds if offset[0] == "+" else -seconds


def _of_bytes(function: Callable[[str], int]) -> Callable[[bytes], int]:
    return lambda text: function(text.decode())


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
