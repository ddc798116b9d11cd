"""Each rule of the engine by one small example; times are ms after a fixed midnight; arrival is event time unless said."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from tables.config import EngineConfig
from tables.engine import Engine
from tests.unit.model import Wire, take_finals

if TYPE_CHECKING:
    from tables.bars import Bar

DAY = 1_399_248_000_000  # 2014-05-05T00:00:00Z
MINUTE = 60_000
HOUR = 60 * MINUTE


@dataclass
class Market:
    """An engine and the topic before it."""

    config: EngineConfig = field(default_factory=EngineConfig)
    offset: int = 0

    def __post_init__(self) -> None:
        self.engine = Engine(self.config, self.offset)

    def raw(self, value: str | bytes | None, *, arrival: int, key: bytes | None = b"A|x") -> None:
        """One record as it stands on the wire."""
        data = value.encode() if isinstance(value, str) else value
        self.engine.feed([Wire(self.offset, DAY + arrival, key, data)])
        self.offset += 1

    def tick(self, ts: int, bid: str = "1.5", *, at: int | None = None, name: str = "A|x", more: str = "") -> None:
        """One tick of an event time, arriving at that moment unless `at` is given."""
        self.raw(f'{{"ts": {DAY + ts}, "bid": {bid}{more}}}', arrival=ts if at is None else at, key=name.encode())

    def heartbeat(self, ts: int, *, at: int | None = None, name: str = "A|x") -> None:
        """A heartbeat of an event time."""
        self.raw(f'{{"ts": {DAY + ts}, "heartbeat": true}}', arrival=ts if at is None else at, key=name.encode())

    def marker(self, at: int) -> None:
        """A marker, as a worker writes it."""
        self.engine.feed([Wire(self.offset, DAY + at, b"", None, [("barwheel-marker", b"app")])])
        self.offset += 1

    def silence(self, until: int) -> None:
        """Nothing more arrives up to this time."""
        self.engine.advance_arrival(DAY + until)

    def bars(self) -> list[Bar]:
        """The bars since the last call."""
        return take_finals(self.engine)

    def bar(self) -> Bar:
        """The only bar since the last call."""
        (bar,) = self.bars()
        return bar

    def after_silence(self) -> Bar:
        """The only bar, once everything that was open has closed by idling."""
        self.silence(HOUR * 1_000)
        return self.bar()

    def side(self) -> list[tuple[int, str, str]]:
        """Offset, kind and reason of what was late or rejected since the last call."""
        return [(record.offset, record.kind, record.reason) for record in self.engine.take_side()]


def ohlc(bar: Bar) -> tuple[str, str, str, str]:
    """The four prices, digit for digit."""
    return str(bar.open), str(bar.high), str(bar.low), str(bar.close)


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


# ---- closing by event time


def test_a_window_closes_when_stream_time_reaches_its_end_plus_grace() -> None:
    market = Market()
    market.tick(1_000)
    market.tick(64_999)
    assert market.bars() == []
    market.tick(65_000)
    bar = market.bar()
    assert (bar.close_reason, bar.closed_at, bar.watermark) == ("watermark", DAY + 65_000, DAY + MINUTE)
    assert (bar.first_offset, bar.last_offset, bar.closed_at_offset) == (0, 0, 2)


def test_a_heartbeat_closes_windows_and_is_no_tick() -> None:
    market = Market()
    market.tick(1_000)
    market.heartbeat(65_000)
    assert (market.bar().ticks, market.engine.open_windows) == (1, 0)
    assert (market.engine.counters.heartbeats, market.engine.counters.binned) == (1, 1)


def test_a_heartbeat_that_is_behind_changes_nothing() -> None:
    market = Market()
    market.tick(30_000)
    market.heartbeat(1_000, at=30_000)
    market.silence(65_000)
    assert market.bar().closed_at == DAY + 65_000
    assert market.side() == []


def test_a_tick_of_a_closed_window_is_late_with_its_record_untouched() -> None:
    market = Market()
    market.tick(1_000)
    market.tick(65_000)
    market.tick(59_999, "7.7", at=65_000)
    (late,) = market.engine.take_side()
    assert (late.offset, late.kind, late.record.key) == (2, "late", b"A|x")
    assert late.record.value == f'{{"ts": {DAY + 59_999}, "bid": 7.7}}'.encode()
    assert "7.7" not in ohlc(market.bar())


def test_a_window_may_be_late_before_it_was_ever_opened() -> None:
    market = Market()
    market.tick(HOUR)
    market.tick(30 * MINUTE, at=HOUR)
    assert market.side() == [(1, "late", "late")]


def test_a_tick_of_the_latest_window_is_never_late_however_long_it_took() -> None:
    market = Market()
    market.tick(1_000, at=3 * HOUR)
    assert market.side() == []
    assert market.engine.open_windows == 1


def test_bars_of_one_step_come_by_end_then_broker_then_symbol() -> None:
    market = Market(EngineConfig(scope="partition", max_future=HOUR))
    for minute in (1, 0):
        for name in ("B|a", "AB|b", "A|z", "A|b"):
            market.tick(minute * MINUTE + 100, at=MINUTE, name=name)
    market.tick(10 * MINUTE, at=10 * MINUTE)
    assert [(bar.bucket_start - DAY, bar.broker, bar.symbol) for bar in market.bars()] == [
        (start, *name) for start in (0, MINUTE) for name in (("A", "b"), ("A", "z"), ("AB", "b"), ("B", "a"))
    ]


@pytest.mark.parametrize(
    ("scope", "closed"),
    [("symbol", {"A|x"}), ("broker", {"A|x", "A|y"}), ("partition", {"A|x", "A|y", "B|x"})],
)
def test_the_scope_says_whose_windows_a_tick_closes(scope: str, closed: set[str]) -> None:
    market = Market(EngineConfig(scope=scope))
    for name in ("A|x", "A|y", "B|x"):
        market.tick(1_000, at=65_000, name=name)
    market.tick(65_000)
    assert {f"{bar.broker}|{bar.symbol}" for bar in market.bars()} == closed


def test_a_broker_whose_clock_is_ahead_does_not_close_the_windows_of_another() -> None:
    market = Market()
    market.tick(30_000, name="right|x")
    market.tick(65_000, at=35_000, name="ahead|x")
    market.tick(59_000, name="right|x")
    assert market.bars() == []
    market.tick(65_000, name="right|x")
    assert (market.bar().ticks, market.side()) == (2, [])


def test_grace_0_closes_at_the_end() -> None:
    market = Market(EngineConfig(grace=0))
    market.tick(59_999)
    market.tick(60_000)
    assert market.bar().bucket_end == DAY + MINUTE


def test_a_grace_longer_than_the_window_keeps_several_open() -> None:
    market = Market(EngineConfig(grace=3 * MINUTE))
    for minute in range(4):
        market.tick(minute * MINUTE)
    assert (market.bars(), market.engine.open_windows) == ([], 4)
    market.tick(4 * MINUTE)
    assert market.bar().bucket_start == DAY


# ---- closing by idling


def test_the_last_window_of_a_silent_market_closes_grace_after_its_end() -> None:
    market = Market()
    market.tick(59_000)
    market.silence(64_999)
    assert market.bars() == []
    market.silence(65_000)
    bar = market.bar()
    assert (bar.close_reason, bar.closed_at, bar.watermark, bar.closed_at_offset) == (
        "idle",
        DAY + 65_000,
        DAY + MINUTE,
        1,
    )


def test_an_idle_close_shows_before_the_next_record_also_without_the_timer() -> None:
    market = Market()
    market.tick(59_000)
    market.tick(10 * MINUTE)
    assert (bar := market.bar()).close_reason == "idle"
    assert (bar.closed_at, bar.watermark, bar.closed_at_offset) == (DAY + 65_000, DAY + MINUTE, 1)


def test_a_record_that_arrives_at_the_due_time_itself_still_counts() -> None:
    market = Market()
    market.tick(59_000)
    market.tick(59_500, at=65_000)
    market.tick(59_600, at=65_001)
    market.silence(HOUR)
    assert market.bar().ticks == 3  # the second tick moved stream time, and with it the due time


def test_a_tick_after_an_idle_close_is_late() -> None:
    market = Market()
    market.tick(59_000)
    market.tick(59_500, at=65_001)
    assert market.bar().ticks == 1
    assert market.side() == [(1, "late", "late")]


def test_a_scope_behind_its_arrival_times_keeps_its_own_clock() -> None:
    market = Market()
    market.tick(30_000, at=50_000)  # 20 s behind
    market.silence(84_999)
    assert market.bars() == []
    market.silence(85_000)
    assert market.bar().closed_at == DAY + 85_000


def test_a_burst_after_a_stall_is_not_cut_off_after_its_first_tick() -> None:
    market = Market()
    market.heartbeat(110_000)
    for step in range(5):  # by arrival time this window would have been closed for a minute
        market.tick(70_000 + step, at=180_000 + step * 1_000)
    market.silence(HOUR)
    bar = market.bar()
    assert (bar.ticks, bar.closed_at - DAY, market.side()) == (5, 185_000, [])


def test_a_window_opened_late_stays_open_for_grace() -> None:
    market = Market()
    market.tick(62_000)
    market.tick(59_000, at=66_000)
    market.silence(70_999)
    assert market.bars() == []  # extended stream time passed 65 s long ago
    market.silence(71_000)
    assert market.bar().closed_at == DAY + 71_000


def test_another_symbol_that_opens_the_same_window_keeps_it_open_for_all() -> None:
    market = Market()
    market.tick(59_000, name="A|x")
    market.tick(58_000, at=64_000, name="A|y")
    market.tick(58_500, at=68_999, name="A|x")
    market.silence(HOUR)
    assert [(bar.symbol, bar.ticks) for bar in market.bars()] == [("x", 2), ("y", 1)]


def test_idle_closes_come_in_the_order_of_their_due_times_then_scope_then_end() -> None:
    market = Market(EngineConfig(scope="symbol"))
    market.tick(40_000, at=40_000, name="B|slow")
    market.tick(45_000, at=40_000, name="B|fast")
    market.tick(45_000, at=40_000, name="A|fast")
    market.silence(HOUR)
    closed = [(bar.broker, bar.symbol, bar.closed_at - DAY) for bar in market.bars()]
    assert closed == [("A", "fast", 60_000), ("B", "fast", 60_000), ("B", "slow", 65_000)]


def test_two_windows_of_one_scope_close_one_after_the_other() -> None:
    market = Market()
    market.tick(59_000)
    market.tick(61_000)
    market.silence(HOUR)
    assert [(bar.bucket_end - DAY, bar.closed_at - DAY) for bar in market.bars()] == [
        (60_000, 65_000),
        (120_000, 125_000),
    ]


def test_stream_time_after_an_idle_close_is_the_end_plus_grace_and_not_now() -> None:
    market = Market()
    market.tick(59_000)
    market.silence(HOUR)
    assert market.bar().watermark == DAY + MINUTE
    market.tick(65_001, at=HOUR + 1_000)
    assert (market.side(), market.engine.open_windows) == ([], 1)


def test_a_symbol_that_returns_after_hours_gets_bars_again() -> None:
    market = Market()
    market.tick(10_000, "1.1")
    market.silence(5 * HOUR)
    assert market.bar().bucket_start == DAY
    market.tick(6 * HOUR, "1.2")
    market.tick(6 * HOUR + 30_000, "1.3")
    bar = market.after_silence()
    assert (bar.bucket_start, ohlc(bar)) == (DAY + 6 * HOUR, ("1.2", "1.3", "1.2", "1.3"))
    assert market.side() == []


def test_with_idle_close_off_only_event_time_closes() -> None:
    market = Market(EngineConfig(idle_close=False))
    market.tick(59_000)
    market.silence(100 * HOUR)
    market.tick(59_500, at=100 * HOUR + 1)
    assert (market.bars(), market.engine.open_windows) == ([], 1)
    market.heartbeat(65_000, at=100 * HOUR + 2)
    assert (market.bar().ticks, market.side()) == (2, [])


@pytest.mark.parametrize("scope", ["broker", "symbol", "partition"])
@pytest.mark.parametrize("by", ["a record", "the timer"])
def test_a_clock_that_was_a_day_ahead_is_left_behind_by_the_next_record(scope: str, by: str) -> None:
    market, ahead = Market(EngineConfig(scope=scope)), 24 * HOUR
    if by == "a record":
        market.tick(1_000, at=1_000 + ahead)
    else:
        market.silence(ahead)
    market.tick(2_000)
    assert (market.engine.arrival, market.engine.clock_steps) == (DAY + 2_000, 1)
    market.tick(3_000)
    market.silence(64_999)
    assert market.bars() == []
    market.silence(66_000)
    assert market.bar().closed_at == DAY + 65_000
    assert (market.engine.clock_steps, market.engine.arrival_violations) == (1, 0)


def test_a_clock_that_is_a_minute_behind_is_taken_for_jitter_and_moves_nothing() -> None:
    market = Market()
    market.tick(0, at=2 * MINUTE)
    market.tick(1, at=MINUTE)
    assert (market.engine.arrival, market.engine.clock_steps) == (DAY + 2 * MINUTE, 0)


def test_arrival_time_never_goes_back() -> None:
    market = Market()
    market.tick(59_000, at=64_000)
    market.tick(59_001, at=58_000)  # taken as arriving at 64,000 too
    market.silence(69_998)
    market.silence(3_000)
    assert market.bars() == []
    market.silence(69_999)
    assert market.bar().closed_at == DAY + 69_999


# ---- the firewall against clocks that are ahead


def test_a_tick_just_inside_max_future_is_good_and_one_beyond_is_rejected() -> None:
    market = Market()
    market.tick(60_000, at=0)
    market.tick(60_001, at=0)
    assert market.side() == [(1, "rejected", "future")]
    assert market.engine.counters.binned == 1


def test_one_tick_an_hour_in_the_future_closes_nothing() -> None:
    market = Market()
    market.tick(1_000)
    market.tick(HOUR, at=2_000)
    market.tick(3_000)
    assert (market.bars(), market.side()) == ([], [(1, "rejected", "future")])
    assert market.after_silence().ticks == 2


def test_a_heartbeat_from_the_future_is_rejected_too() -> None:
    market = Market()
    market.tick(1_000)
    market.heartbeat(HOUR, at=2_000)
    assert (market.bars(), market.side()) == ([], [(1, "rejected", "future")])
    assert market.engine.counters.heartbeats == 0


def test_the_future_begins_after_the_records_own_arrival() -> None:
    market = Market()
    market.tick(10 * MINUTE)
    market.tick(5 * MINUTE, at=0)  # its own timestamp says it arrived at 0, though it came later
    assert market.side() == [(1, "rejected", "future")]


def test_a_rejected_record_moves_the_arrival_clock_and_nothing_else() -> None:
    market = Market()
    market.tick(59_000)
    market.raw("no tick", arrival=65_001)
    bar = market.bar()
    assert (bar.close_reason, bar.closed_at, bar.closed_at_offset) == ("idle", DAY + 65_000, 1)
    assert market.side() == [(1, "rejected", "json")]


def test_a_broker_that_is_ahead_by_less_than_max_future_gets_its_bars_that_much_later() -> None:
    market = Market()
    market.tick(31_000, at=1_000, name="ahead|x")
    market.tick(95_000, at=59_999, name="ahead|x")
    assert market.bars() == []
    market.tick(95_001, at=MINUTE, name="ahead|x")
    first = market.bar()
    assert (first.broker, first.ticks, first.close_reason) == ("ahead", 1, "watermark")
    assert (first.closed_at, first.watermark) == (DAY + MINUTE, DAY + MINUTE)
    assert market.side() == []


@pytest.mark.parametrize("kind", ["tick", "heartbeat"])
@pytest.mark.parametrize("scope", ["broker", "partition"])
def test_one_clock_that_is_ahead_cuts_off_nobodys_minute(scope: str, kind: str) -> None:
    market = Market(EngineConfig(scope=scope))
    market.tick(1_000, "1.1", name="A|y")
    market.tick(2_000, "1.2", name="A|y")
    (market.heartbeat if kind == "heartbeat" else market.tick)(65_000, at=6_000)
    for second in range(7, 60):
        market.tick(second * 1_000, "1.3", name="A|y")
    assert market.side() == []
    market.tick(65_000, name="A|y")
    bar = market.bar()
    assert (bar.symbol, bar.ticks, str(bar.close), bar.closed_at) == ("y", 55, "1.3", DAY + 65_000)


# ---- units of time


@pytest.mark.parametrize(
    ("unit", "ts", "ms"),
    [
        ("s", "1399248001", 1_000),
        ("ms", "1399248001234", 1_234),
        ("us", "1399248001234999", 1_234),
        ("ns", "1399248001234999999", 1_234),
        ("ms", '"2014-05-05T00:00:01.234Z"', 1_234),
        ("ms", '"2014-05-05T02:00:01.234+02:00"', 1_234),
        ("ms", '"2014-05-04T19:00:01-05:00"', 1_000),
        ("s", '"2014-05-05T00:00:01.900Z"', 1_000),
        ("us", '"2014-05-05T00:00:01.234999Z"', 1_234),
        ("ns", '"2014-05-05T00:00:01.234999999Z"', 1_234),
    ],
)
def test_event_times_are_read_in_their_unit_and_floored_to_ms(unit: str, ts: str, ms: int) -> None:
    market = Market(EngineConfig(time_unit=unit))
    market.raw(f'{{"ts": {ts}, "bid": 1}}', arrival=2_000)
    assert market.side() == []
    bar = market.after_silence()
    assert (bar.first_ts - DAY, bar.last_ts - DAY, bar.bucket_start) == (ms, ms, DAY)


@pytest.mark.parametrize(("unit", "per_ms"), [("us", 1_000), ("ns", 1_000_000)])
def test_microseconds_and_nanoseconds_decide_which_tick_comes_first(unit: str, per_ms: int) -> None:
    market = Market(EngineConfig(time_unit=unit))
    for bid, part in (("1.2", 2), ("1.1", 1), ("1.3", 3)):
        market.raw(f'{{"ts": {(DAY + 1_000) * per_ms + part}, "bid": {bid}}}', arrival=1_000)
    bar = market.after_silence()
    assert (ohlc(bar), bar.first_ts, bar.last_ts) == (("1.1", "1.3", "1.1", "1.3"), DAY + 1_000, DAY + 1_000)


def test_the_last_nanosecond_of_a_window_belongs_to_it() -> None:
    market = Market(EngineConfig(time_unit="ns"))
    market.raw(f'{{"ts": {(DAY + MINUTE) * 1_000_000 - 1}, "bid": 1}}', arrival=60_000)
    assert market.after_silence().bucket_start == DAY


# ---- accounting


def test_what_was_read_is_binned_late_rejected_or_a_heartbeat() -> None:
    market = Market()
    market.tick(1_000)
    market.tick(65_000)
    market.tick(2_000, at=65_000)
    market.raw(None, arrival=65_000)
    market.heartbeat(66_000)
    counters = market.engine.counters
    assert (counters.read, counters.binned, counters.late, counters.rejected, counters.heartbeats) == (
        5,
        2,
        1,
        1,
        1,
    )


def test_offsets_may_have_gaps() -> None:
    market = Market(offset=100)
    market.tick(1_000)
    market.offset = 5_000
    market.tick(2_000)
    bar = market.after_silence()
    assert (bar.first_offset, bar.last_offset, bar.closed_at_offset) == (100, 5_000, 5_001)
    assert (market.engine.next_offset, market.engine.counters.read, market.engine.counters.lost) == (
        5_001,
        2,
        0,
    )


def test_an_engine_without_records_has_nothing_to_say() -> None:
    market = Market(offset=7)
    market.silence(HOUR)
    market.engine.feed([])
    assert (market.bars(), market.side(), market.engine.next_offset, market.engine.open_windows) == (
        [],
        [],
        7,
        0,
    )


def test_a_marker_lets_time_pass_and_counts_as_a_heartbeat() -> None:
    market = Market()
    market.tick(0)
    due = MINUTE + 5_000
    market.marker(due)
    assert market.bars() == []
    assert not market.engine.any_due(DAY + due)
    assert market.engine.any_due(DAY + due + 1)
    market.marker(due + 1)
    bar = market.bar()
    assert (bar.close_reason, bar.closed_at, bar.closed_at_offset) == ("idle", DAY + due, 2)
    assert (market.engine.counters.heartbeats, market.engine.counters.rejected) == (2, 0)
    assert not market.engine.any_due(DAY + HOUR)


@pytest.mark.parametrize(
    ("key", "value", "headers"),
    [
        (b"", b"", []),
        (b"", None, [("other", b"")]),
        (None, b"x", [("barwheel-marker", b"")]),
        (b"A", None, [("barwheel-marker", b"")]),
    ],
)
def test_only_an_empty_record_with_the_header_is_a_marker(
    key: bytes | None, value: bytes | None, headers: list[tuple[str, bytes]]
) -> None:
    engine = Engine(EngineConfig())
    engine.feed([Wire(0, DAY, key, value, headers)])
    assert (engine.counters.heartbeats, engine.counters.rejected) == (0, 1)


def test_a_late_tick_without_a_price_is_rejected_where_prices_may_be_negative() -> None:
    engine = Engine(EngineConfig(positive=False))
    noon = 1_399_284_000_000
    engine.feed([Wire(0, noon, b"A|x", b'{"ts":%d,"bid":1}' % noon), Wire(1, noon, b"A|x", b'{"ts":%d,"bid":1}' % noon)])
    engine.feed([Wire(n, noon + 70_000, b"A|y", b'{"ts":%d,"bid":1}' % (noon + 70_000)) for n in (2, 3)])
    engine.feed([Wire(4, noon + 70_000, b"A|y", b'{"ts":%d}' % noon)])
    assert [side.reason for side in engine.take_side()] == ["missing"]


def test_ticks_before_1970_are_in_the_window_that_holds_them() -> None:
    market = Market(EngineConfig(min_ts=-(10**12)))
    ticks = [(f"A|{number}", ts) for number, ts in enumerate((-70_000, -69_000, -60_001, -60_000, -1, 0))]
    market.engine.feed(
        Wire(offset, 1_000, name.encode(), b'{"ts": %d, "bid": 1}' % ts) for offset, (name, ts) in enumerate(ticks)
    )
    market.engine.advance_arrival(10**9)
    starts = {bar.symbol: bar.bucket_start for bar in take_finals(market.engine)}
    assert starts == {name[2:]: ts // MINUTE * MINUTE for name, ts in ticks}
