"""Resolutions as UDF names them: `5` is five minutes, `10S` ten seconds, `1D` a day."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from app.settings import Settings
from tables.calendar import frame_of

SECOND_MS, MINUTE_MS, DAY_MS = 1_000, 60_000, 86_400_000
_JOINED = ("1D", "1W", "1M")
_HALF_DAY = timedelta(hours=12)
_ALIASES = {"D": "1D", "W": "1W", "M": "1M"}  # clients leave out the 1


class Served(NamedTuple):
    """The resolutions that are served, by kind: the fields of a symbol that say which bars need not be built of others."""

    all: tuple[str, ...]
    seconds: tuple[str, ...]
    minutes: tuple[str, ...]
    daily: bool
    weekly_and_monthly: bool


def resolution_of(size: int) -> str | None:
    """The resolution of windows of this size (ms); None if UDF has none, because its times are whole seconds."""
    if size == DAY_MS:
        return "1D"
    if not size % MINUTE_MS:
        return str(size // MINUTE_MS)
    return None if size % SECOND_MS else f"{size // SECOND_MS}S"


def canonical(text: str) -> str:
    """A resolution as a client sends it, in the form in which it is listed."""
    return _ALIASES.get(text, text)


def served(resolutions: Iterable[str]) -> Served:
    """Sort resolutions into their kinds."""
    every = tuple(resolutions)
    return Served(
        all=every,
        seconds=tuple(name.removesuffix("S") for name in every if name.endswith("S")),
        minutes=tuple(name for name in every if name.isdecimal()),
        daily="1D" in every,
        weekly_and_monthly="1W" in every or "1M" in every,
    )


def resolutions(settings: Settings) -> Mapping[str, str]:
    """The frames of which there are bars, shortest first, by resolution; the empty one is that of the base windows."""
    found = {resolution_of(settings.window_size): ""}
    for name in settings.frame_names:
        frame = frame_of(name)
        found.setdefault(_JOINED[frame.rank - 1] if frame.rank else resolution_of(frame.size), name)
    return {name: frame for name, frame in found.items() if name is not None}


def trading_day(start: int, zone: ZoneInfo) -> int:
    """The time that UDF gives to bars of days, weeks and months: midnight (UTC, epoch s) of the day on which they trade.

    A day that begins in the evening, as that of FX does, trades on the next date.
    """
    date = (datetime.fromtimestamp(start // SECOND_MS, UTC).astimezone(zone).replace(tzinfo=None) + _HALF_DAY).date()
    return int(datetime(date.year, date.month, date.day, tzinfo=UTC).timestamp())


def is_daily(resolution: str) -> bool:
    """Whether bars of this resolution have the time of a trading day."""
    return resolution in _JOINED
