"""What makes a bar, by one small example for each rule: its window, its prices, its volume."""

from __future__ import annotations

from decimal import Decimal

import pytest

from tables.config import EngineConfig
from tests.unit.market import DAY, HOUR, MINUTE, Market, ohlc

# ---- windows


def test_ticks_on_both_sides_of_a_boundary_make_two_bars() -> None:
    market = Market()
    market.tick(59_900, "1.1")
    market.tick(60_010, "1.2")
    assert market.bars() == []
    market.silence(HOUR)
    first, second = market.bars()
    assert (first.bucket_start, first.bucket_end, ohlc(first)) == (DAY, DAY + MINUTE, ("1.1",) * 4)
    assert (second.bucket_start, second.bucket_end, ohlc(second)) == (
        DAY + MINUTE,
        DAY + 2 * MINUTE,
        ("1.2",) * 4,
    )


def test_a_tick_on_the_boundary_belongs_to_the_window_that_starts_there() -> None:
    market = Market()
    market.tick(60_000)
    assert market.after_silence().bucket_start == DAY + MINUTE


def test_the_last_millisecond_before_the_boundary_belongs_to_the_window_that_ends_there() -> None:
    market = Market()
    market.tick(59_999)
    assert market.after_silence().bucket_end == DAY + MINUTE


def test_in_a_burst_a_tick_on_the_boundary_belongs_to_the_window_that_starts_there() -> None:
    market = Market()
    for ts in (58_000, 59_999, 60_000, 60_001):
        market.tick(ts, at=60_001)
    market.silence(HOUR)
    assert [(bar.bucket_start - DAY, bar.first_ts - DAY, bar.ticks) for bar in market.bars()] == [
        (0, 58_000, 2),
        (MINUTE, 60_000, 2),
    ]


def test_in_a_burst_the_tick_at_end_plus_grace_closes_first() -> None:
    market = Market()
    market.tick(58_000, at=65_000)
    for ts in (64_000, 64_999, 65_000):
        market.tick(ts, at=65_000, name="A|y")
    assert (bar := market.bar()).closed_at_offset == 3
    assert bar.symbol == "x"


def test_a_minute_without_ticks_has_no_bar() -> None:
    market = Market()
    market.tick(0)
    market.tick(5 * MINUTE)
    market.silence(HOUR)
    assert [bar.bucket_start - DAY for bar in market.bars()] == [0, 5 * MINUTE]


def test_windows_of_another_size_start_at_its_multiples() -> None:
    market = Market(EngineConfig(window_size=7_000))
    market.tick(0)
    bar = market.after_silence()
    assert bar.bucket_start == DAY - DAY % 7_000
    assert bar.bucket_end - bar.bucket_start == 7_000


# ---- open, high, low, close


def test_open_and_close_go_by_event_time_and_not_by_arrival() -> None:
    market = Market()
    market.tick(2_000, "1.2", at=3_000)
    market.tick(1_000, "1.1", at=3_001)
    market.tick(3_000, "1.3", at=3_002)
    market.tick(2_500, "1.25", at=3_003)
    bar = market.after_silence()
    assert ohlc(bar) == ("1.1", "1.3", "1.1", "1.3")
    assert (bar.first_ts - DAY, bar.last_ts - DAY, bar.ticks) == (1_000, 3_000, 4)


def test_a_tick_out_of_order_but_inside_the_grace_still_counts() -> None:
    market = Market()
    market.tick(59_000, "1.5")
    market.tick(64_999, "9.9")
    market.tick(30_000, "1.1", at=64_999)
    market.tick(59_500, "1.7", at=64_999)
    market.tick(65_000, "9.9")
    assert ohlc(market.bar()) == ("1.1", "1.7", "1.1", "1.7")
    assert market.side() == []


def test_of_equal_timestamps_seq_says_which_comes_first() -> None:
    market = Market()
    for bid, seq in (("1.2", 2), ("1.1", 1), ("1.3", 3)):
        market.tick(1_000, bid, more=f', "seq": {seq}')
    assert ohlc(market.after_silence()) == ("1.1", "1.3", "1.1", "1.3")


def test_of_equal_timestamps_and_seq_the_offset_says_which_comes_first() -> None:
    market = Market()
    for bid in ("1.2", "1.1", "1.3"):
        market.tick(1_000, bid)
    assert ohlc(market.after_silence()) == ("1.2", "1.3", "1.1", "1.3")


def test_a_tick_without_seq_has_seq_0() -> None:
    market = Market()
    market.tick(1_000, "1.2")
    market.tick(1_000, "1.1", more=', "seq": -1')
    assert ohlc(market.after_silence()) == ("1.1", "1.2", "1.1", "1.2")


@pytest.mark.parametrize(
    ("ticks", "text"),
    [
        pytest.param([(1_000, "1.50", 0), (2_000, "1.5", 0)], "1.50", id="earlier event time"),
        pytest.param([(2_000, "1.5", 0), (1_000, "1.50", 0)], "1.50", id="earlier event time, arriving later"),
        pytest.param([(1_000, "1.5", 2), (1_000, "1.50", 1)], "1.50", id="smaller seq"),
        pytest.param([(1_000, "1.50", 0), (1_000, "1.5", 0)], "1.50", id="smaller offset"),
    ],
)
def test_equal_prices_keep_the_text_of_the_earlier_tick(ticks: list[tuple[int, str, int]], text: str) -> None:
    market = Market()
    for ts, bid, seq in ticks:
        market.tick(ts, bid, at=3_000, more=f', "seq": {seq}')
    bar = market.after_silence()
    assert (str(bar.high), str(bar.low)) == (text, text)


def test_trailing_zeros_of_a_price_are_kept() -> None:
    market = Market()
    market.tick(1_000, "1.38700")
    assert ohlc(market.after_silence()) == ("1.38700",) * 4


def test_prices_given_as_strings_are_read_like_numbers() -> None:
    market = Market()
    market.tick(1_000, '"1.3870"')
    assert ohlc(market.after_silence()) == ("1.3870",) * 4


def test_a_price_is_exact_where_a_binary_float_is_not() -> None:
    digits = "1234567890123456789012345678.901234"  # 34 digits
    market = Market()
    market.tick(1_000, digits)
    market.tick(2_000, "0.1")
    market.tick(3_000, "0.3")
    assert ohlc(market.after_silence()) == (digits, digits, "0.1", "0.3")


@pytest.mark.parametrize(("price", "text"), [("bid", "1.38691"), ("ask", "1.38697"), ("last", "1.4"), ("mid", "1.38694")])
def test_the_price_setting_says_which_price_makes_the_bar(price: str, text: str) -> None:
    market = Market(EngineConfig(price=price))
    market.tick(1_000, "1.38691", more=', "ask": 1.38697, "last": 1.4')
    assert {Decimal(p) for p in ohlc(market.after_silence())} == {Decimal(text)}


def test_the_mid_of_prices_an_odd_step_apart_is_exact() -> None:
    market = Market(EngineConfig(price="mid"))
    market.tick(1_000, "1.38691", more=', "ask": "1.38692"')
    assert ohlc(market.after_silence()) == ("1.386915",) * 4


def test_a_crossed_quote_is_a_tick_like_any_other() -> None:
    market = Market(EngineConfig(price="mid"))
    market.tick(1_000, "1.5", more=', "ask": 1.3')
    assert market.after_silence().open == Decimal("1.4")


# ---- volume


def test_without_quantities_volume_and_vwap_are_null() -> None:
    market = Market()
    market.tick(1_000)
    bar = market.after_silence()
    assert (bar.volume, bar.vwap) == (None, None)


def test_a_tick_without_quantity_adds_nothing_to_volume_and_vwap() -> None:
    market = Market()
    market.tick(1_000, "1.0", more=', "qty": 2')
    market.tick(2_000, "9.0")
    market.tick(3_000, "2.0", more=', "qty": "2"')
    bar = market.after_silence()
    assert (bar.volume, bar.vwap, bar.ticks) == (Decimal(4), Decimal("1.5"), 3)


def test_quantities_that_sum_to_0_give_volume_0_and_no_vwap() -> None:
    market = Market()
    market.tick(1_000, more=', "qty": 0')
    market.tick(2_000, more=', "qty": 0.00')
    bar = market.after_silence()
    assert (bar.volume, bar.vwap) == (Decimal(0), None)


@pytest.mark.parametrize(
    ("bids", "vwap"),
    [
        pytest.param(("0.00000001", "0.00000002"), "0.00000002", id="1.5 steps to 2"),
        pytest.param(("0.00000002", "0.00000003"), "0.00000002", id="2.5 steps to 2"),
        pytest.param(("1", "1", "2"), "1.33333333", id="a third"),
        pytest.param(("0.00000002", "0.0000000300000000000000000000000001"), "0.00000003", id="a hair over a half"),
    ],
)
def test_vwap_is_rounded_half_even_to_8_decimals(bids: tuple[str, ...], vwap: str) -> None:
    market = Market()
    for bid in bids:
        market.tick(1_000, f'"{bid}"', more=', "qty": 1')
    assert market.after_silence().vwap == Decimal(vwap)


def test_volume_is_the_exact_sum() -> None:
    market = Market()
    for qty in ("0.1", "0.2", "1234567890123456789012345678.9"):
        market.tick(1_000, more=f', "qty": {qty}')
    assert market.after_silence().volume == Decimal("1234567890123456789012345679.2")
