"""Metrics: durations in buckets, bars counted when they are acknowledged."""

from __future__ import annotations

import asyncio
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from agents.metrics import SHORT, Histogram, Metrics
from tables.emission import Closed
from tables.scopes import Scope, Symbol
from tables.window import new_window


@given(st.lists(st.tuples(st.floats(-1, 100), st.integers(1, 5))))
def test_buckets_count_what_is_not_longer_and_the_last_counts_all(given: list[tuple[float, int]]) -> None:
    histogram = Histogram(SHORT)
    for seconds, times in given:
        histogram.add(seconds, times)
    for bound, count in histogram.buckets()[:-1]:
        assert count == sum(times for seconds, times in given if max(0.0, seconds) <= float(bound))
    assert histogram.buckets()[-1] == ("+Inf", sum(times for _, times in given))


async def test_bars_are_counted_once_they_are_acknowledged_and_not_where_the_send_failed() -> None:
    metrics = Metrics(grace=5_000, clock=lambda: 100.0)
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    metrics.sent([closed(99_900, windows=2), closed(90_000, "idle")], future)
    assert not metrics.bars
    future.set_result(None)
    failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    metrics.sent([closed(99_900)], failed)
    failed.set_exception(OSError())
    await asyncio.sleep(0)
    assert dict(metrics.bars) == {"watermark": 2, "idle": 1}
    assert metrics.arrival_to_bar.buckets()[6] == ("0.1", 2)
    assert metrics.due_to_bar.buckets()[-1] == ("+Inf", 3)


def closed(at: int, reason: str = "watermark", windows: int = 1) -> Closed:
    symbol = Symbol(b"fx|EURUSD", ("fx", "EURUSD"), Scope("fx"))
    window = new_window(60_000, at, Decimal(1), 1_000, 0, 0)
    return Closed([symbol] * windows, [window] * windows, 60_000, 60_000, 1_000, reason, at, 60_000, 1)
