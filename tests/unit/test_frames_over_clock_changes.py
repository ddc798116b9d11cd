"""Weeks of EURUSD across the clock changes of 2014: number, bounds and prices of longer bars, by hand and by pandas.

The ticks are synthetic: one about every seven minutes, from Sunday 17:00 to Friday 17:00 in New York.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tables.bars import Bar
from tables.config import EngineConfig
from tables.engine import Engine
from tests.unit.model import Wire, take_beyond

MINUTE, HOUR = 60_000, 3_600_000
FRAMES = ("1h", "4h", "1d", "1w", "1M")
SPANS = {"March": ("2014-02-24", "2014-04-07"), "October": ("2014-10-13", "2014-11-10")}
CLOCKS = {  # zone, hour and minute at which a day begins, and the day with which a week begins (0 is Monday)
    "UTC": ("UTC", 0, 0, 0),
    "New York at 17:00": ("America/New_York", 17, 0, 6),
    "London": ("Europe/London", 0, 0, 0),
    "Sydney": ("Australia/Sydney", 0, 0, 0),
    "Kolkata": ("Asia/Kolkata", 0, 0, 0),
    "Lord Howe at 09:30": ("Australia/Lord_Howe", 9, 30, 0),
}
Prices = tuple[int, int, Decimal, Decimal, Decimal, Decimal, int]  # start, end, open, high, low, close, ticks


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def ms(time: datetime) -> int:
    return int(time.timestamp() * 1_000)


@lru_cache
def ticks(span: str) -> list[tuple[int, Decimal]]:
    """Time and price of each tick."""
    first, last = map(utc, SPANS[span])
    found, time, number = [], first, 0
    while time < last:
        local = time.astimezone(ZoneInfo("America/New_York"))
        week = (local.weekday() - 6) % 7 * 24 + local.hour  # hours since Sunday 00:00
        if 17 <= week < 5 * 24 + 17:
            found.append((ms(time), Decimal(13_700 + number * 7 % 101 - number % 13) / 10_000))
        number += 1
        time += timedelta(seconds=421)
    return found


@lru_cache
def published(clock: str, span: str) -> dict[str, list[Bar]]:
    """The bars of each frame that an engine publishes."""
    zone, hour, minute, week = CLOCKS[clock]
    starts = {"day_zone": zone, "day_start": (hour * 60 + minute) * MINUTE, "week_start": week}
    engine = Engine(EngineConfig(frames=FRAMES, wheel_tick=10_000, **starts))  # type: ignore[arg-type]  # each has its own type
    engine.feed(
        Wire(offset, ts, b"fxcm|EURUSD", f'{{"ts":{ts},"bid":{price}}}'.encode())
        for offset, (ts, price) in enumerate(ticks(span))
    )
    engine.advance_arrival(ticks(span)[-1][0] + 100 * 24 * HOUR)
    bars: dict[str, list[Bar]] = {frame: [] for frame in FRAMES}
    for frame, bar in take_beyond(engine)[0]:
        bars[frame].append(bar)
    return bars


def prices(bar: Bar) -> Prices:
    return bar.bucket_start, bar.bucket_end, bar.open, bar.high, bar.low, bar.close, bar.ticks


def bounds_by_hand(clock: str, span: str, frame: str) -> Iterator[int]:
    """The bounds of a frame around a span: `zoneinfo` says when a date begins, and all else is counted from there."""
    zone, hour, minute, week = CLOCKS[clock]
    first, last = (utc(text).date() for text in SPANS[span])
    day = first - timedelta(days=45)

    def begins(on: date) -> int:
        return ms(datetime(on.year, on.month, on.day, hour, minute, tzinfo=ZoneInfo(zone)))

    while day < last + timedelta(days=45):
        following = day + timedelta(days=1)
        if frame in ("1h", "4h"):
            yield from range(begins(day), begins(following), int(frame[0]) * HOUR)
        elif frame == "1d" or (frame == "1w" and day.weekday() == week) or (frame == "1M" and day.day == 1):
            yield begins(day)
        day = following


def folded(bounds: list[int], span: str) -> list[Prices]:
    """The bars between these bounds, from the ticks."""
    groups: dict[int, list[Decimal]] = {}
    for ts, price in ticks(span):
        groups.setdefault(bisect_right(bounds, ts) - 1, []).append(price)
    return [
        (bounds[place], bounds[place + 1], of[0], max(of), min(of), of[-1], len(of)) for place, of in sorted(groups.items())
    ]


@pytest.mark.parametrize("frame", FRAMES)
@pytest.mark.parametrize("span", SPANS)
@pytest.mark.parametrize("clock", CLOCKS)
def test_weeks_across_a_change_have_the_bars_that_are_counted_by_hand(clock: str, span: str, frame: str) -> None:
    wanted = folded(list(bounds_by_hand(clock, span, frame)), span)
    assert [prices(bar) for bar in published(clock, span)[frame]] == wanted


@pytest.mark.parametrize(
    ("clock", "span", "numbers"),
    [
        # Hours: a week without its first 2, five weeks of 120, and the first 3 of another one. New York changes its clock while
        # the market rests. In UTC a week of trading has six dates, and the last three hours are a Sunday's.
        ("UTC", "March", (118 + 5 * 120 + 3, 186, 5 + 5 * 6 + 1, 6, 3)),
        ("New York at 17:00", "March", (118 + 5 * 120 + 3, 181, 5 + 5 * 5 + 1, 7, 3)),
    ],
)
def test_how_many_bars_there_are(clock: str, span: str, numbers: tuple[int, ...]) -> None:
    assert tuple(len(published(clock, span)[frame]) for frame in FRAMES) == numbers


RULES = {"1h": "1h", "4h": "4h", "1d": "1D", "1w": "W-MON", "1M": "MS"}


@pytest.mark.parametrize(
    ("clock", "frames"),
    [
        ("UTC", FRAMES),
        # of local time pandas counts days, weeks and months as we do; its hours follow the clock of the first day
        ("London", ("1d", "1w", "1M")),
        ("Sydney", ("1d", "1w", "1M")),
        ("Kolkata", FRAMES),
    ],
)
@pytest.mark.parametrize("span", SPANS)
def test_pandas_resamples_the_ticks_to_the_same_bars(clock: str, frames: tuple[str, ...], span: str) -> None:
    pandas: Any = pytest.importorskip("pandas")
    times = pandas.to_datetime([ts for ts, _ in ticks(span)], unit="ms", utc=True).tz_convert(CLOCKS[clock][0])
    series = pandas.Series([float(price) for _, price in ticks(span)], index=times)
    for frame in frames:
        resampled = series.resample(RULES[frame], closed="left", label="left")
        table = resampled.ohlc().assign(ticks=resampled.count())
        rows = [(int(at.timestamp() * 1_000), *map(float, row[:4]), int(row[4])) for at, *row in table.itertuples() if row[4]]
        bars = published(clock, span)[frame]
        ours = [(bar.bucket_start, *map(float, (bar.open, bar.high, bar.low, bar.close)), bar.ticks) for bar in bars]
        assert ours == rows, frame
