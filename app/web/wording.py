"""Times, durations and counts as sentences for people have them."""

from __future__ import annotations

from datetime import UTC, datetime

_SECOND, _MINUTE = 1_000, 60_000
_TIMES = {1: "once", 2: "twice"}


def moment(ms: int) -> str:
    """`2014-05-05 00:00:05.123 UTC`; `<number> ms` if it is outside the years 1 to 9999."""
    try:
        text = datetime.fromtimestamp(ms // 1_000, UTC).strftime("%Y-%m-%d %H:%M:%S")
    except (ValueError, OverflowError, OSError):
        return f"{ms} ms"
    return f"{text}.{ms % 1_000:03d} UTC" if ms % 1_000 else f"{text} UTC"


def span(ms: int) -> str:
    """`250 ms`, `5.2 s`, `3 min 20 s` or `2 h 1 min`."""
    if ms < _SECOND:
        return f"{ms} ms"
    if ms < _MINUTE:
        return f"{ms / 1_000:.1f} s"
    hours, rest = divmod(ms // 1_000, 3_600)
    return f"{hours} h {rest // 60} min" if hours else f"{rest // 60} min {rest % 60} s"


def counted(number: int, what: str) -> str:
    """`1 tick`, `2,000 ticks`."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def times(number: int) -> str:
    """`once`, `twice`, `3 times`."""
    return _TIMES.get(number, f"{number:,} times")
