"""When a window closes, by one small example for each rule: by event time, and by idling."""

from __future__ import annotations

import pytest

from tables.config import EngineConfig
from tests.unit.market import DAY, HOUR, MINUTE, Market, ohlc

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
