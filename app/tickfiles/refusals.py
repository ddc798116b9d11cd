"""Which rows every worker with these settings would reject: asked of the worker's own functions, before anything is sent."""

from __future__ import annotations

import time
from collections.abc import Callable

from app.settings import Settings
from app.settings.types import Prices
from app.tickfiles.reading import Judge, Row
from tables.bar_formats.numbers import BarNumbers
from tables.ticks import RejectedError, decoder, event_time, name_of, price_of, quantity_of, read

CLOCK_EVERY = 10_000  # rows between two looks at the clock


def judge(settings: Settings, now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000) -> Judge:
    """A function that gives reason and detail where a worker would reject a row, as its record would say; else None."""
    decode, unit, price = decoder(settings.price.value), settings.time_unit.value, settings.price.value
    positive, scale = settings.prices is Prices.positive, settings.bar_scale
    numbers = None if scale is None else BarNumbers(scale)
    names: set[bytes] = set()
    latest, rows = now_ms() + settings.max_future, 0

    def check(row: Row) -> None:
        nonlocal latest, rows
        tick = read(decode, row.value)
        if row.key not in names:
            name_of(row.key)
            names.add(row.key)
        ms = event_time(tick.ts, unit)[1]
        if not tick.heartbeat:
            number, qty = price_of(tick, price, positive=positive), quantity_of(tick)
            if numbers is not None:
                numbers.check(number, qty, price, "qty")
        rows += 1
        if ms > latest or rows % CLOCK_EVERY == 0:
            latest = now_ms() + settings.max_future
        if ms < settings.min_ts:
            raise RejectedError("ts", f"ts: {tick.ts} is before min_ts={settings.text_of('min_ts')}")
        if ms > latest:
            raise RejectedError("future", f"ts: {tick.ts} is more than max_future={settings.text_of('max_future')} ahead")

    def why(row: Row) -> tuple[str, str] | None:
        try:
            check(row)
        except RejectedError as error:
            return error.reason, error.detail
        return None

    return why


def remedy(reason: str, settings: Settings) -> str:
    """What to do about rows that are rejected for this reason; empty where the detail says it."""
    unit, price = settings.time_unit.value, settings.price.value
    return {
        "ts": f"check --origin, and --unit, the unit of the file: it is taken for time_unit={unit}",
        "future": f"check --origin, and --unit, the unit of the file: it is taken for time_unit={unit}",
        "missing": f"bars are made of {price} (BARWHEEL_PRICE={price}): name its column in --columns, or set price",
    }.get(reason, "")
