"""Which records are ticks, and how they count, by one small example for each rule: clocks that are ahead, units, accounting."""

from __future__ import annotations

import pytest

from tables.config import EngineConfig
from tables.engine import Engine
from tests.unit.market import DAY, HOUR, MINUTE, Market, ohlc
from tests.unit.model import Wire, take_finals

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
