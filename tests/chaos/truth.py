"""The expected bars: a plain dictionary fold that shares no code with the engine."""

from __future__ import annotations

import json
from collections.abc import Iterable
from decimal import Decimal
from typing import Any, NamedTuple

from tests.support.ticks import Seen

Window = tuple[int, str, str, int]  # partition, broker, symbol, start


class Shape(NamedTuple):
    """A bar without the fields that explain why it closed."""

    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal | None
    ticks: int
    first_ts: int
    last_ts: int


class Tick(NamedTuple):
    """A valid tick of the topic; the first three fields order it within its window."""

    ts: int
    seq: int
    offset: int
    price: Decimal
    qty: Decimal | None


def fold(ticks: Iterable[Seen], size_ms: int) -> dict[Window, Shape]:
    """The bars of these ticks by window; `size_ms` is the window size."""
    windows: dict[Window, list[Tick]] = {}
    for seen in ticks:
        assert seen.key is not None
        broker, symbol = seen.key.decode().split("|")
        tick = _tick(seen)
        windows.setdefault((seen.partition, broker, symbol, tick.ts // size_ms * size_ms), []).append(tick)
    return {window: _shape(sorted(inside)) for window, inside in windows.items()}


def published(seen: Seen) -> tuple[Window, Shape]:
    """A record of the finals topic as window and shape."""
    bar = _json(seen)
    window = seen.partition, bar["broker"], bar["symbol"], bar["bucket_start"]
    volume = None if bar["volume"] is None else Decimal(bar["volume"])
    return window, Shape(
        Decimal(bar["open"]),
        Decimal(bar["high"]),
        Decimal(bar["low"]),
        Decimal(bar["close"]),
        volume,
        bar["ticks"],
        bar["first_ts"],
        bar["last_ts"],
    )


def _tick(seen: Seen) -> Tick:
    read = _json(seen)
    qty = read.get("qty")
    return Tick(read["ts"], read.get("seq", 0), seen.offset, Decimal(read["bid"]), None if qty is None else Decimal(qty))


def _shape(ticks: list[Tick]) -> Shape:
    prices = [tick.price for tick in ticks]
    quantities = [tick.qty for tick in ticks if tick.qty is not None]
    volume = sum(quantities, Decimal(0)) if quantities else None
    return Shape(
        ticks[0].price,
        max(prices),
        min(prices),
        ticks[-1].price,
        volume,
        len(ticks),
        ticks[0].ts,
        ticks[-1].ts,
    )


def _json(seen: Seen) -> dict[str, Any]:
    assert seen.value is not None
    found: dict[str, Any] = json.loads(seen.value, parse_float=Decimal)
    return found
