"""`prices=any`: bars of prices that may be 0 or less, by the fast path and by the rules, against plain arithmetic."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tables.bars import Bar
from tables.config import EngineConfig
from tables.engine import Engine
from tests.support.examples import examples
from tests.unit.model import Wire, take_finals

PROFILE = settings(max_examples=examples(check=100, full=150, thorough=20_000), deadline=None)
T0 = 1_700_000_040_000
GOOD = ("0", "0.00", "-0.0", "-37.63", "-1", "1", "12.5", "-1E+33", "9E+33", "-0.00000001", "0E-34")
BAD = ('"NaN"', '"-Infinity"', '"Infinity"', '"sNaN"', "-1E+40", "0E-35", "0E+2", "-1." + "0" * 40, "1E+34", "-1E+34")
WINDOW = 60_000
ARRIVED = T0 + 10_000


def bars_of(prices: list[str], *, slow: bool, positive: bool = False, qty: bool = False) -> tuple[list[Bar], Engine]:
    engine = Engine(EngineConfig(positive=positive))
    more = ',"qty":2' if qty else ""
    records = [Wire(n, ARRIVED, b"A|x", f'{{"ts":{T0 + n},"bid":{price}{more}}}'.encode()) for n, price in enumerate(prices)]
    if slow:
        engine.feed(records, arrival_cap=ARRIVED)
    else:
        engine.feed_same_arrival(records, ARRIVED)
    engine.advance_arrival(T0 + 10 * WINDOW)
    return take_finals(engine), engine


@PROFILE
@given(st.lists(st.sampled_from((*GOOD, *GOOD, *BAD)), min_size=1, max_size=12), st.booleans(), st.booleans())
def test_a_bar_has_the_prices_that_plain_arithmetic_says(prices: list[str], slow: bool, qty: bool) -> None:  # noqa: FBT001  # drawn
    made, engine = bars_of(prices, slow=slow, qty=qty)
    good = [Decimal(price) for price in prices if price in GOOD]
    assert (engine.counters.binned, engine.counters.rejected) == (len(good), len(prices) - len(good))
    if not good:
        assert made == []
        return
    (bar,) = made
    wanted = (good[0], max(good), min(good), good[-1])
    assert (bar.open, bar.high, bar.low, bar.close) == wanted
    texts = [str(price) for price in good]
    assert [str(price) for price in (bar.open, bar.close)] == [texts[0], texts[-1]]
    assert str(bar.high) == texts[good.index(max(good))], "of equal prices, the first one"
    assert str(bar.low) == texts[good.index(min(good))]
    if qty and all(abs(price) < 10**20 for price in good):
        assert bar.vwap == (sum(good, Decimal(0)) / len(good)).quantize(Decimal("1e-8"))


@pytest.mark.parametrize("slow", [True, False])
def test_by_default_a_price_is_above_zero(slow: bool) -> None:  # noqa: FBT001  # both ways
    made, engine = bars_of(["0", "1", "-1", "-0.5", "2"], slow=slow, positive=True)
    assert (engine.counters.binned, engine.counters.rejected) == (2, 3)
    assert (made[0].low, made[0].high) == (Decimal(1), Decimal(2))
    assert all("is not above 0 and finite" in side.detail for side in engine.take_side())


def test_the_middle_of_prices_may_be_zero() -> None:
    engine = Engine(EngineConfig(price="mid", positive=False))
    engine.feed([Wire(0, T0, b"A|x", b'{"ts":%d,"bid":-1.5,"ask":1.5}' % T0)])
    engine.advance_arrival(T0 + 10 * WINDOW)
    assert take_finals(engine)[0].open == 0
