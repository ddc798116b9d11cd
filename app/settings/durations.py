"""Durations: a number with a unit as text, whole milliseconds as a value."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator

_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)")
_UNIT_MS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
SLOT_RANGE_MS = (10, 10_000)  # of the timing wheel


def duration_ms(value: object) -> int:
    """Read `5s`, `200ms`, `1m`, `2h` or `1d` as whole milliseconds.

    An int is taken as milliseconds: it is a default, or comes from code. Raises `ValueError` for other texts, also for a
    number without a unit.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    match = _DURATION.fullmatch(str(value).strip())
    if match is None:
        raise ValueError("is not a duration: write a number and a unit, for example 5s, 200ms or 1m")
    exact = float(match[1]) * _UNIT_MS[match[2]]
    if exact != int(exact):
        raise ValueError("is not a whole number of milliseconds")
    return int(exact)


def optional_duration_ms(value: object) -> int | None:
    """The same; None for an empty text."""
    return None if value is None or value == "" else duration_ms(value)


def duration_text(ms: int) -> str:
    """The shortest text that `duration_ms` reads as this many milliseconds."""
    for unit in ("d", "h", "m", "s"):
        if ms and ms % _UNIT_MS[unit] == 0:
            return f"{ms // _UNIT_MS[unit]}{unit}"
    return f"{ms}ms"


def _positive(value: int) -> int:
    if value <= 0:
        raise ValueError("must be longer than 0")
    return value


def _slot_width(value: int) -> int:
    shortest, longest = SLOT_RANGE_MS
    if not shortest <= value <= longest:
        raise ValueError(f"must lie between {duration_text(shortest)} and {duration_text(longest)}")
    return value


Duration = Annotated[int, BeforeValidator(duration_ms)]
OptionalDuration = Annotated[int | None, BeforeValidator(optional_duration_ms)]
PositiveDuration = Annotated[Duration, AfterValidator(_positive)]
SlotWidth = Annotated[Duration, AfterValidator(_slot_width)]
