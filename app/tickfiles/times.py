"""Times of recorded ticks: epoch numbers in any unit, with or without a fraction, and text in any format and zone."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from app.errors import InputError
from app.tickfiles.reading import UNIT_BY_DIGITS, UNITS_PER_SECOND, to_ms
from tables.ticks import RejectedError, event_time

EPOCH = "epoch"
ISO = ("%Y-%m-%dT%H:%M:%S%f", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S%f%z")  # with --zone and without --time-format
_UNIT_OF_DIGITS = {9: "s", 10: "s", 12: "ms", 13: "ms", 15: "us", 16: "us", 18: "ns", 19: "ns"}
_INTEGER = re.compile(r"-?\d+", re.ASCII)
_DECIMAL = re.compile(r"(-?\d+)\.(\d+)", re.ASCII)
_OFFSET = re.compile(r"([+-])(\d\d):?(\d\d)", re.ASCII)
_FRACTION = r"(?:[.,]?(?P<f>\d{1,9}))?"  # %f: with or without its point
_DIRECTIVES = {
    "Y": r"(?P<Y>\d{4})",
    "y": r"(?P<y>\d\d)",
    "m": r"(?P<m>\d\d?)",
    "d": r"(?P<d>\d\d?)",
    "b": r"(?P<b>[A-Za-z]{3})",
    "H": r"(?P<H>\d\d?)",
    "I": r"(?P<I>\d\d?)",
    "p": r"(?P<p>[AaPp][Mm])",
    "M": r"(?P<M>\d\d)",
    "S": r"(?P<S>\d\d)",
    "f": _FRACTION,
    "z": r"(?P<z>[Zz]|[+-]\d\d:?\d\d)",
    "%": "%",
}
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_TWENTIETH = 69  # %y as in POSIX: 69 to 99 are 1969 to 1999
Time = tuple[str, int]  # the JSON value of `ts`, and epoch ms


def zone_of(text: str) -> tzinfo:
    """`UTC`, `+02:00`, or a name of the tz database; raises `InputError`."""
    offset = _OFFSET.fullmatch(text)
    if offset is not None:
        minutes = int(offset[2]) * 60 + int(offset[3])
        return timezone(timedelta(minutes=-minutes if offset[1] == "-" else minutes))
    try:
        return UTC if text.upper() in {"UTC", "GMT", "Z"} else ZoneInfo(text)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise InputError(f"--zone {text}: is neither an offset, such as +02:00, nor a zone, such as America/New_York") from None


def time_reader(  # the options that it is made of
    time_unit: str,
    *,
    origin_ms: int = 0,
    file_unit: str = "",
    formats: tuple[str, ...] = (),
    zone: str | None = None,
) -> Callable[[str], Time]:
    """A function that reads a time, and raises `ValueError` with what is wrong. Fractions of `time_unit` are floored."""
    if not formats and zone is None:
        epoch, shifted = _epoch(time_unit, origin_ms, file_unit), bool(origin_ms)
        return lambda text: epoch(text) or _not_plain(text.strip(), time_unit, epoch, shifted=shifted)
    where = zone_of(zone) if zone is not None else None
    names = formats or (EPOCH, *ISO)
    for name in names:
        if where is None and name != EPOCH and "%z" not in name:
            raise InputError(f"times as {name} have no offset: give their zone, --zone UTC or --zone Europe/Athens")
    readers = [_epoch(time_unit, origin_ms, file_unit) if name == EPOCH else _text(name, where, time_unit) for name in names]
    known = " or ".join(names)

    def read(text: str) -> Time:
        text = text.strip()
        for number, reader in enumerate(readers):
            found = reader(text)
            if found is not None:
                if number:  # the format of this file is tried first from now on
                    readers.insert(0, readers.pop(number))
                return found
        raise ValueError(f"ts={text[:40]!r}: is not a time as in {known}")

    return read


def _not_plain(text: str, unit: str, epoch: Callable[[str], Time | None], *, shifted: bool) -> Time:
    """A number with blanks around it, or RFC 3339."""
    found = epoch(text)
    if found is not None:
        return found
    if _DECIMAL.fullmatch(text):
        raise ValueError(f"ts={text[:40]!r}: has a fraction: give the unit of the file, --unit s, ms, us or ns")
    try:
        ms = event_time(text, unit)[1]  # the worker's decoder: a time that it would reject is refused here
    except RejectedError:
        raise ValueError(
            f"ts={text[:40]!r}: is neither a whole number nor an RFC 3339 time, which needs an offset (Z): "
            "--time-format and --zone read other times"
        ) from None
    if shifted:
        raise ValueError(f"ts={text!r}: a time as text cannot be combined with --origin")
    return f'"{text}"', ms


def _epoch(time_unit: str, origin_ms: int, file_unit: str) -> Callable[[str], Time | None]:
    """Reads whole numbers; and numbers with a fraction, if the unit of the file is given. None for any other text."""
    per_second = UNITS_PER_SECOND[time_unit]
    shift = origin_ms * per_second // 1000
    whole_ms = time_unit == "ms" and file_unit in {"", "ms"}

    def read(text: str) -> Time | None:
        if _INTEGER.fullmatch(text):
            if whole_ms:  # the common case
                ms = int(text) + shift
                return str(ms), ms
            whole, digits = int(text), ""
        elif file_unit and (parts := _DECIMAL.fullmatch(text)):
            whole, digits = int(parts[1]), parts[2]
            if text.startswith("-"):
                return None
        else:
            return None
        unit = file_unit or time_unit
        if unit == UNIT_BY_DIGITS:
            found = _UNIT_OF_DIGITS.get(len(str(abs(whole))))
            if found is None:
                raise ValueError(f"ts={text[:40]!r}: its unit cannot be told from its digits: give --unit s, ms, us or ns")
            unit = found
        scaled = int(f"{whole}{digits}") * per_second // (UNITS_PER_SECOND[unit] * 10 ** len(digits))
        return str(scaled + shift), to_ms(scaled + shift, time_unit)

    return read


def _text(pattern: str, zone: tzinfo | None, time_unit: str) -> Callable[[str], Time | None]:
    """Reads times in a format of strptime's directives. None where a text does not fit it."""
    compiled = _compiled(pattern)
    per_second = UNITS_PER_SECOND[time_unit]
    minutes: dict[tuple[str | None, ...], int] = {}  # the epoch second at which a minute begins

    def read(text: str) -> Time | None:
        match = compiled.fullmatch(text)
        if match is None:
            return None
        parts = match.groupdict()
        fraction, seconds = parts.pop("f", None) or "", int(parts.pop("S", None) or 0)
        minute = tuple(parts.values())
        begin = minutes.get(minute)
        if begin is None:
            if len(minutes) > 10_000:  # noqa: PLR2004  # a week of minutes
                minutes.clear()
            begin = minutes[minute] = _minute(parts, zone, text)
        if seconds > 59:  # noqa: PLR2004
            raise ValueError(f"ts={text[:40]!r}: a minute has 60 seconds")
        ts = (begin + seconds) * per_second + int(fraction.ljust(9, "0")) * per_second // 1_000_000_000
        return str(ts), to_ms(ts, time_unit)

    return read


def _compiled(pattern: str) -> re.Pattern[str]:
    parts, at, seen = [], 0, set()
    while at < len(pattern):
        char = pattern[at]
        if char != "%":
            parts.append("[T ]" if pattern in ISO and char == "T" else re.escape(char))
            at += 1
            continue
        name = pattern[at + 1 : at + 2]
        if name not in _DIRECTIVES or name in seen:
            known = " ".join(f"%{each}" for each in _DIRECTIVES)
            raise InputError(f"--time-format {pattern}: %{name} is unknown or comes twice; known are {EPOCH} and {known}")
        seen.add(name)
        parts.append(_DIRECTIVES[name])
        if name == "f" and parts[-2:-1] == [re.escape(".")]:
            parts[-2:] = [_FRACTION]  # "%S.%f": the fraction may be absent
        at += 2
    if not (seen & {"Y", "y"} and seen & {"m", "b"} and "d" in seen):
        raise InputError(f"--time-format {pattern}: it has no date, which is %Y, %m and %d")
    return re.compile("".join(parts), re.ASCII)


def _minute(parts: dict[str, str | None], zone: tzinfo | None, text: str) -> int:
    """The epoch second of a minute; raises `ValueError` where there is no such minute in the zone, or where there are two."""
    year = int(parts.get("Y") or 0)
    if not year:
        short = int(parts.get("y") or 0)
        year = short + (1900 if short >= _TWENTIETH else 2000)
    name = (parts.get("b") or "").lower()
    if name and name not in _MONTHS:
        raise ValueError(f"ts={text[:40]!r}: {name!r} is not a month")
    month = _MONTHS.index(name) + 1 if name else int(parts.get("m") or 0)
    hour = int(parts.get("H") or 0)
    if parts.get("I"):
        hour = int(parts["I"] or 0) % 12 + (12 if (parts.get("p") or "").lower() == "pm" else 0)
    offset = parts.get("z")
    where = zone_of(offset.upper()) if offset else zone  # one of them is there: `time_reader` has looked
    try:
        moment = datetime(year, month, int(parts.get("d") or 0), hour, int(parts.get("M") or 0), tzinfo=where)
    except ValueError as error:
        raise ValueError(f"ts={text[:40]!r}: {error}") from None
    first, second = moment.timestamp(), moment.replace(fold=1).timestamp()
    if first != second:
        many = "comes twice" if first < second else "is skipped"
        raise ValueError(
            f"ts={text[:40]!r}: {many} in {where}, where the clock is changed: only a time with an offset is clear"
        )
    return int(first)
