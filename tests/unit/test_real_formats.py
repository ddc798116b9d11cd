"""One trading day of real quotes gives the same bars in every format, byte for byte."""

from __future__ import annotations

import functools

import pytest

from tables.bars import encode_bar
from tables.config import EngineConfig
from tables.engine import Engine
from tables.layouts.layout import TickLayout
from tables.layouts.make import make_layout
from tables.layouts.schema_book import SchemaBook
from tables.layouts.schema_layout import SchemaLayout
from tests.support.real_formats import Quote, RealFormat, real_formats, without_zeros
from tests.support.vendor import DAYS, missing
from tests.unit.model import Wire, take_finals

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing() or "the test data is there")

OANDA = next(day for day in DAYS if day.broker == "oanda")
SLICE = 2_000


@functools.cache
def quotes() -> list[Quote]:
    return [Quote(ts, without_zeros(bid), without_zeros(ask)) for ts, bid, ask in OANDA.quotes()]


def layout_of(form: RealFormat) -> TickLayout:
    if form.schema is None:
        return make_layout(form.config)
    book = SchemaBook(form.config.parsed())
    assert book.add(*form.schema) == ""
    return SchemaLayout(form.config.parsed(), book)


def bars_of(form: RealFormat) -> list[bytes]:
    """The bars of the whole day: each record arrives a moment after its event."""
    engine, bars = Engine(EngineConfig(), 0, layout_of(form)), []
    records = [Wire(number, quote.ts + 7, *form.record(quote)) for number, quote in enumerate(quotes())]
    for begin in range(0, len(records), SLICE):
        engine.feed(records[begin : begin + SLICE])
        bars += take_finals(engine)
    engine.advance_arrival(quotes()[-1].ts + 10 * 60_000)
    bars += take_finals(engine)
    assert engine.counters.binned == engine.counters.read == len(quotes())
    return [encode_bar(bar) for bar in bars]


@functools.cache
def default_bars() -> list[bytes]:
    return bars_of(real_formats()[0])


QUICK = {"Avro with decimals"}
MARKED = [pytest.param(one, id=one.name, marks=[] if one.name in QUICK else pytest.mark.slow) for one in real_formats()[1:]]


@pytest.mark.parametrize("form", MARKED)
def test_the_bars_are_those_of_the_default_layout(form: RealFormat) -> None:
    assert len(default_bars()) == len(OANDA.counts())
    assert bars_of(form) == default_bars()
