"""One trading day of real quotes from two brokers: the bars equal the vendor's own minute bars, every row."""

from __future__ import annotations

import functools

import pytest

from tables.bars import Bar, encode_bar
from tables.config import EngineConfig
from tables.engine import Engine
from tests.support.vendor import DAYS, Day, missing, rows_of
from tests.unit.model import Wire, take_finals

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing() or "the test data is there")

PRICES = ("bid", "ask")
days = pytest.mark.parametrize("day", DAYS, ids=lambda day: day.broker)


@functools.cache
def records(day: Day, *, replayed: bool = False) -> list[Wire]:
    """The day's quotes as records: arriving a moment after their event time, or all of them years later in one burst."""
    key = f"{day.broker}|EURUSD".encode()
    return [
        Wire(
            offset=number,
            timestamp=1_700_000_000_000 + number // 100 if replayed else ts + 7,
            key=key,
            value=f'{{"ts": {ts}, "bid": {bid}, "ask": {ask}}}'.encode(),
        )
        for number, (ts, bid, ask) in enumerate(day.quotes())
    ]


def bars_of(log: list[Wire], price: str, slice_size: int = 2_000) -> list[Bar]:
    """Feed a log in slices; the last window closes by idling."""
    engine = Engine(EngineConfig(price=price))
    bars: list[Bar] = []
    for begin in range(0, len(log), slice_size):
        engine.feed(log[begin : begin + slice_size])
        bars += take_finals(engine)
    engine.advance_arrival(log[-1].timestamp + 10 * 60_000)
    bars += take_finals(engine)
    assert engine.counters.read == engine.counters.binned == len(log)
    assert engine.open_windows == 0
    return bars


@days
@pytest.mark.parametrize("price", PRICES)
@pytest.mark.parametrize("slice_size", [1, 2_000])
def test_every_bar_equals_the_vendors(day: Day, price: str, slice_size: int) -> None:
    assert rows_of(bars_of(records(day), price, slice_size)) == day.minutes(price)


@pytest.mark.slow
@days
@pytest.mark.parametrize("price", PRICES)
def test_every_bar_equals_the_vendors_when_the_day_is_replayed_years_later_in_a_burst(day: Day, price: str) -> None:
    assert rows_of(bars_of(records(day, replayed=True), price)) == day.minutes(price)


@pytest.mark.slow
@days
def test_every_bar_counts_the_quotes_of_its_minute(day: Day) -> None:
    assert {bar.bucket_start: bar.ticks for bar in bars_of(records(day), "bid")} == day.counts()


@pytest.mark.slow
@days
def test_slices_of_one_record_and_of_two_thousand_give_the_same_bytes(day: Day) -> None:
    log = records(day)
    assert [encode_bar(bar) for bar in bars_of(log, "bid", 1)] == [encode_bar(bar) for bar in bars_of(log, "bid", 2_000)]


@pytest.mark.slow
def test_two_brokers_in_one_partition_do_not_disturb_each_other() -> None:
    both = sorted((wire for day in DAYS for wire in records(day)), key=lambda wire: wire.timestamp)
    log = [Wire(number, wire.timestamp, wire.key, wire.value) for number, wire in enumerate(both)]
    bars = bars_of(log, "bid")
    for day in DAYS:
        assert rows_of([bar for bar in bars if bar.broker == day.broker]) == day.minutes("bid")
