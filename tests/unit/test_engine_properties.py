"""The engine against the reference model: any log, any slicing, any timer calls, every scope."""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal
from functools import reduce
from itertools import pairwise

from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from tables.config import EngineConfig
from tables.engine import Engine
from tables.scopes import UNKNOWN
from tables.state import CUT_AT_NEXT, Counters
from tests.support.examples import examples
from tests.support.reference import CLOCK_STEP, Entry
from tests.support.reference_records import parsed
from tests.unit.model import expected, shown, take_finals, wire

EXAMPLES = examples(check=50, full=120, thorough=20_000)
PROFILE = settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
)

T0 = 1_700_000_040_000  # a window's start for every size below
BROKERS = ("A", "AB", "B")
SYMBOLS = ("x", "y", "z-1")
PRICES = tuple(map(Decimal, ("1", "1.0", "1.00", "1.38691", "1.386910", "2.5", "0.00000001", "12345678.87654321")))
QUANTITIES = (None, *map(Decimal, ("0", "0.0", "1", "2.50", "3", "7", "0.00000003", "1234567890.12345678")))
REASONS = ("empty", "json", "missing", "price", "qty", "key", "ts", "type")


@dataclass(frozen=True)
class Step:
    """One tick at its source, and what happens to it on the way."""

    pause: int
    source: tuple[int, int]
    lag: int
    held: bool
    hops: int
    backwards: int
    skipped: int
    clock: int
    kind: str
    price: Decimal
    qty: Decimal | None
    seq: int


STEPS = st.builds(
    Step,
    pause=st.sampled_from((0, 0, 1, 40, 300, 700, 2_000, 4_500, 9_000, 70_000, 400_000)),
    source=st.tuples(st.integers(0, 2), st.integers(0, 2)),
    lag=st.sampled_from((0, 0, 0, 5, 800, 2_500, 4_000, 9_000, 90_000, -700, -59_000)),
    held=st.booleans() | st.just(False),
    hops=st.sampled_from((0, 0, 3)),
    backwards=st.sampled_from((0, 0, 0, 0, 700, 20_000)),
    skipped=st.sampled_from((0, 0, 0, 1, 500)),
    clock=st.sampled_from((0,) * 12 + (70_000, 86_400_000)),
    kind=st.sampled_from(("tick",) * 14 + ("heartbeat", "heartbeat", "future", "bad", "marker")),
    price=st.sampled_from(PRICES),
    qty=st.sampled_from(QUANTITIES),
    seq=st.sampled_from((0, 0, 0, 1, 2, -1)),
)


@st.composite
def logs(draw: st.DrawFn, *, clock_steps: bool = True) -> list[Entry]:
    """Random logs with jitter, disorder, silences, stalls that end in a burst, broken clocks and broken records.

    `clock_steps`: the clock that gives the arrivals may be ahead for a while, too.
    """
    skew = draw(st.tuples(st.just(0), st.sampled_from((0, -2_000, 30_000)), st.sampled_from((0, 45_000, -100_000))))
    stall = draw(st.integers(1, 12))
    grid = draw(st.sampled_from((1, 1, 500)))  # coarse times meet deadlines exactly
    sized = draw(st.booleans())  # ticks without quantities take a path of their own
    sources = draw(st.sampled_from(((1, 1), (2, 1), (2, 2), (3, 3))))
    log: list[Entry] = []
    held: list[tuple[Entry, Step]] = []
    ahead, clocks = 0, clock_steps and draw(st.booleans())
    now, offset = T0 + draw(st.integers(0, 120_000)), draw(st.sampled_from((0, 0, 1_000)))

    def deliver(entry: Entry, step: Step) -> None:
        nonlocal offset
        offset += 1 + step.skipped
        log.append(replace(entry, offset=offset - 1, arrival=now + ahead - step.backwards))

    for number, step in enumerate(draw(st.integers(1, 50).flatmap(lambda size: st.lists(STEPS, min_size=size, max_size=size)))):
        now += step.pause
        if clocks and step.clock:
            ahead = 0 if ahead else step.clock
        broker, symbol = step.source[0] % sources[0], step.source[1] % sources[1]
        tick = Entry(
            offset=0,
            arrival=0,
            broker=BROKERS[broker],
            symbol=SYMBOLS[symbol],
            ts=(now + skew[broker] - step.lag) // grid * grid + (3_600_000 if step.kind == "future" else 0),
            price=step.price,
            qty=step.qty if sized else None,
            seq=step.seq,
            heartbeat=step.kind == "heartbeat",
            marker=step.kind == "marker",
            bad=REASONS[number % len(REASONS)] if step.kind == "bad" else "",
        )
        if step.held:
            held.append((tick, step))
        else:
            deliver(tick, step)
        if len(held) >= stall:
            for one, of in held:
                now += of.hops
                deliver(one, of)
            held.clear()
    for one, of in held:
        now += of.hops
        deliver(one, of)
    if draw(st.sampled_from((False, False, True))):  # a replay: everything arrives at once
        log = [replace(entry, arrival=now + ahead) for entry in log]
    return log


def configs(size: int = 60_000) -> st.SearchStrategy[EngineConfig]:
    """The settings that change what closes and when; the width of a wheel's slot must not."""
    return st.builds(
        EngineConfig,
        window_size=st.sampled_from((size, size, 10_000, 1_000)),
        grace=st.sampled_from((5_000, 5_000, 0, 1, 17_000)),
        scope=st.sampled_from(("broker", "symbol", "partition")),
        idle_close=st.sampled_from((True, True, True, False)),
        max_future=st.sampled_from((60_000, 60_000, 60_000, 5_000, 10_000_000)),
        wheel_tick=st.sampled_from((200, 100, 500, 10, 10_000)),
    )


def next_arrival(now: int, arrival: int) -> int:
    """The arrival clock after a record, given what it was before."""
    return arrival if arrival < now - CLOCK_STEP else max(now, arrival)


def last_arrival(log: list[Entry]) -> int:
    """The arrival clock after the last record."""
    return reduce(next_arrival, (entry.arrival for entry in log))


def quiet_times(log: list[Entry]) -> list[tuple[int, int]]:
    """For each record: the arrival times which the timer may say have passed without any record, just before it comes."""
    out, now = [], log[0].arrival
    for entry in log:
        out.append((now - 1_000, max(now, entry.arrival) - 1))
        now = next_arrival(now, entry.arrival)
    return out


@PROFILE
@given(log=logs(), config=configs(), data=st.data())
def test_every_slicing_and_every_timer_call_gives_what_the_model_says(
    log: list[Entry], config: EngineConfig, data: st.DataObject
) -> None:
    cuts = sorted(data.draw(st.sets(st.integers(1, len(log))), label="slices end before") | {len(log)})
    look = data.draw(st.sampled_from(cuts), label="compared here as well")
    silence = data.draw(st.sampled_from((1, 4_999, 5_000, 65_000, 10**9)), label="silence at the end")
    cut = data.draw(st.booleans(), label="records before the first one were not read")
    engine, bars, side = Engine(config, log[0].offset), [], []
    if cut:
        engine.restore(Counters(), UNKNOWN, {}, {}, [], CUT_AT_NEXT)
    quiet = quiet_times(log)
    read = [parsed(wire(entry)) for entry in log]  # by the reference, from the same bytes as the engine's
    for begin, end in pairwise([0, *cuts]):
        for _ in range(data.draw(st.sampled_from((0, 0, 1, 3)), label="timer calls")):
            engine.advance_arrival(data.draw(st.integers(*quiet[begin]), label="nothing until"))
            bars += take_finals(engine)
        engine.feed([wire(entry) for entry in log[begin:end]])
        if data.draw(st.booleans(), label="taken"):
            bars += take_finals(engine)
            side += engine.take_side()
        if end == look:
            bars += take_finals(engine)
            so_far = expected(read[:end], config, cut=cut)
            assert [shown(bar) for bar in bars] == [shown(bar) for bar in so_far.bars]
            assert engine.open_windows == so_far.open_windows
            assert engine.next_offset == so_far.next_offset
    until = last_arrival(log) + silence
    engine.advance_arrival(until)
    bars += take_finals(engine)
    side += engine.take_side()
    answer = expected(read, config, until, cut=cut)
    assert [shown(bar) for bar in bars] == [shown(bar) for bar in answer.bars]
    assert [(s.offset, s.kind, s.reason if s.kind == "rejected" else "") for s in side] == answer.side
    counters = engine.counters
    counted = {name: getattr(counters, name) for name in ("read", "binned", "late", "rejected", "heartbeats")}
    assert counted == {name: answer.counts[name] for name in counted}
    assert counters.read == counters.binned + counters.late + counters.rejected + counters.heartbeats == len(log)
    assert (engine.open_windows, engine.next_offset) == (answer.open_windows, answer.next_offset)
    for bar in bars:
        event(f"closed by {bar.close_reason}, scope {config.scope}{', partial' if bar.partial else ''}")


@PROFILE
@given(log=logs(), config=configs())
def test_the_timer_shows_each_bar_at_its_due_time_and_not_a_millisecond_before(log: list[Entry], config: EngineConfig) -> None:
    engine = Engine(config)
    engine.feed([wire(entry) for entry in log])
    bars = take_finals(engine)
    last = last_arrival(log)
    answer, closed = expected(log, config, last + 10**9).bars, len(expected(log, config).bars)
    due = {bar.closed_at for bar in answer[closed:]}
    for until in sorted({time for at in due for time in (at - 1, at) if time > last}):
        engine.advance_arrival(until)
        engine.advance_arrival(until - 1)  # time that has passed already says nothing new
        bars += take_finals(engine)
        so_far = answer[:closed] + [bar for bar in answer[closed:] if bar.closed_at <= until]
        assert [shown(bar) for bar in bars] == [shown(bar) for bar in so_far]
    assert len(bars) == len(answer)


@PROFILE
@given(log=logs(), config=configs(), ahead=st.sampled_from((1, 600, 60_000, 10**9)))
def test_no_window_is_due_before_the_time_that_the_engine_names(log: list[Entry], config: EngineConfig, ahead: int) -> None:
    engine = Engine(config)
    engine.feed([wire(entry) for entry in log])
    take_finals(engine)
    horizon = engine.arrival + ahead
    named = engine.scheduler.nothing_due_before(horizon)
    if not config.idle_close:
        assert named == UNKNOWN
        return
    assert named <= horizon
    engine.advance_arrival(named - 1)
    assert take_finals(engine) == []
    if engine.open_windows and ahead == 10**9:
        assert named < horizon


@PROFILE
@given(log=logs(), config=configs())
def test_no_tick_is_lost_and_no_window_closes_twice(log: list[Entry], config: EngineConfig) -> None:
    engine = Engine(config)
    engine.feed([wire(entry) for entry in log])
    engine.advance_arrival(max(entry.arrival for entry in log) + 10**9)
    bars, side = take_finals(engine), engine.take_side()
    beats = sum(entry.heartbeat or entry.marker for entry in log) - sum(
        log_entry.heartbeat for log_entry in log if log_entry.offset in {s.offset for s in side}
    )
    held = engine.counters.binned - sum(bar.ticks for bar in bars)
    assert sum(bar.ticks for bar in bars) + held + len(side) + beats == len(log)
    windows = [(bar.broker, bar.symbol, bar.bucket_start) for bar in bars]
    assert len(windows) == len(set(windows))
    if config.idle_close:
        assert (engine.open_windows, held) == (0, 0)


@PROFILE
@given(log=logs(clock_steps=False), config=configs())
def test_no_window_closes_before_its_end_has_passed_on_the_arrival_clock(log: list[Entry], config: EngineConfig) -> None:
    """A tick from ahead of its arrival is part of its bar, but it does not cut off the ticks of others."""
    engine = Engine(config)
    engine.feed([wire(entry) for entry in log])
    engine.advance_arrival(max(entry.arrival for entry in log) + 10**9)
    for bar in take_finals(engine):
        assert bar.closed_at >= bar.bucket_end


@PROFILE
@given(log=logs(clock_steps=False), config=configs(), cap=st.integers(0, 500_000), slices=st.integers(1, 9))
def test_an_arrival_cap_holds_back_timestamps_from_the_future(
    log: list[Entry], config: EngineConfig, cap: int, slices: int
) -> None:
    limit = log[0].arrival + cap
    capped, uncapped = Engine(config), Engine(config)
    records = [wire(entry) for entry in log]
    for begin in range(0, len(log), slices):
        capped.feed(records[begin : begin + slices], arrival_cap=limit)
    uncapped.feed([wire(replace(entry, arrival=min(entry.arrival, limit))) for entry in log])
    assert [shown(bar) for bar in take_finals(capped)] == [shown(bar) for bar in take_finals(uncapped)]
    assert [(s.offset, s.kind, s.reason) for s in capped.take_side()] == [
        (s.offset, s.kind, s.reason) for s in uncapped.take_side()
    ]


@PROFILE
@given(log=logs(), config=configs())
def test_the_order_of_records_inside_the_grace_does_not_change_prices(log: list[Entry], config: EngineConfig) -> None:
    """Records of one window that arrive at one moment may come in any order, as long as seq says which is which."""
    burst = [
        replace(
            entry,
            offset=number,
            arrival=T0 + 60_000,
            ts=T0 + entry.ts % config.window_size // 2,
            seq=number,
            heartbeat=False,
            marker=False,
            bad="",
        )
        for number, entry in enumerate(log)
    ]
    prices = []
    for order in (burst, burst[::-1]):
        engine = Engine(replace(config, idle_close=True, max_future=60_000, grace=max(config.grace, config.window_size)))
        engine.feed([wire(replace(entry, offset=number)) for number, entry in enumerate(order)])
        engine.advance_arrival(T0 + 10**9)
        prices.append(
            [
                (
                    b.broker,
                    b.symbol,
                    b.bucket_start,
                    str(b.open),
                    str(b.high),
                    str(b.low),
                    str(b.close),
                    b.volume,
                    b.vwap,
                )
                for b in take_finals(engine)
            ]
        )
    assert prices[0] == prices[1]
    assert prices[0]
