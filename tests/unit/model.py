"""The rules of the engine as one obvious function over a whole log: no slices, no timers, no wheel.

A log is a list of `Entry`, and `until` is the arrival time that has passed when the answer is taken. The
function sorts, rescans and recomputes without shame: it is what the engine is compared with, and must be easy to
believe.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction

from msgspec import UNSET

from tables.bars import Bar
from tables.config import EngineConfig
from tables.emission import Closed
from tables.engine import Engine

ScopeKey = tuple[str, ...]
CLOCK_STEP = 60_000
Window = tuple[int, str, str]  # end, broker, symbol: their order is the order of the bars that close in one step


@dataclass(frozen=True)
class Entry:
    """One record as its sender meant it; `bad` holds the reason for which it is no tick."""

    offset: int
    arrival: int
    broker: str = "A"
    symbol: str = "x"
    ts: int = 0
    price: Decimal = Decimal(1)
    qty: Decimal | None = None
    seq: int = 0
    heartbeat: bool = False
    bad: str = ""

    @property
    def rank(self) -> tuple[int, int, int]:
        """What says which tick comes first."""
        return self.ts, self.seq, self.offset


@dataclass
class Clock:
    """The stream time of one scope, the arrival time that set it, and its open windows."""

    stream: int
    advanced_at: int
    windows: dict[Window, list[Entry]] = field(default_factory=dict)
    opened: dict[int, int] = field(default_factory=dict)  # end: arrival of the last tick that opened a window
    first: dict[Window, int] = field(default_factory=dict)  # arrival of the tick that opened each window


@dataclass
class Answer:
    """What a log comes to."""

    bars: list[Bar] = field(default_factory=list)
    side: list[tuple[int, str, str]] = field(default_factory=list)  # offset, "late" or "rejected", reason (rejected)
    counts: Counter[str] = field(default_factory=Counter)
    open_windows: int = 0
    next_offset: int = 0


def expected(  # noqa: C901, PLR0915  # one place for all the rules
    log: list[Entry], config: EngineConfig, until: int | None = None, *, cut: bool = False
) -> Answer:
    """Read the whole log, then let the arrival time `until` pass; None: stop right after the last record.

    `cut`: there were records before the first one, which nobody has read.
    """
    cut_at = log[0].arrival if cut else None
    answer, clocks, now, size, grace = Answer(), dict[ScopeKey, Clock](), 0, config.window_size, config.grace

    def close(clock: Clock, reason: str, at: int, offset: int) -> None:
        for window in sorted(w for w in clock.windows if w[0] + grace <= clock.stream):
            ticks = clock.windows.pop(window)
            bar = bar_of(window, ticks, size, (reason, at, clock.stream - grace, offset))
            ahead = min(config.max_future, max(0, bar.first_ts - clock.first.pop(window)))
            if cut_at is not None and bar.bucket_start - ahead <= cut_at:
                bar.partial = True
            answer.bars.append(bar)

    def idle(before: int) -> None:
        while config.idle_close:
            due = [
                (max(c.advanced_at + (end - (c.stream - grace)), c.opened[end] + grace), key, end)
                for key, c in clocks.items()
                for end, _, _ in c.windows
            ]
            if not due or min(due)[0] >= before:
                return
            at, key, end = min(due)
            clocks[key].stream, clocks[key].advanced_at = end + grace, at
            close(clocks[key], "idle", at, answer.next_offset)

    for entry in log:
        if entry.arrival < now - CLOCK_STEP:  # the clock was ahead, and has been put right: what it gave is left behind
            now = entry.arrival
            cut_at = None if cut_at is None else min(cut_at, now)
            for clock in clocks.values():
                clock.advanced_at = min(clock.advanced_at, now)
                clock.first = {window: min(at, now) for window, at in clock.first.items()}
                clock.opened = {end: min(at, now) for end, at in clock.opened.items()}
        now = max(now, entry.arrival)
        idle(now)
        answer.next_offset = entry.offset + 1
        answer.counts["read"] += 1
        bad = entry.bad or ("future" if entry.ts > entry.arrival + config.max_future else "")
        if bad:
            answer.counts["rejected"] += 1
            answer.side.append((entry.offset, "rejected", bad))
            continue
        key = {"symbol": (entry.broker, entry.symbol), "broker": (entry.broker,), "partition": ()}[config.scope]
        moves_to = min(entry.ts, entry.arrival + grace)  # a clock that runs ahead moves the watermark up to the arrival only
        clock = clocks.setdefault(key, Clock(moves_to, now))
        if moves_to > clock.stream:
            clock.stream, clock.advanced_at = moves_to, now
            close(clock, "watermark", now, entry.offset)
        end = entry.ts - entry.ts % size + size
        if entry.heartbeat:
            answer.counts["heartbeats"] += 1
        elif end <= clock.stream - grace:
            answer.counts["late"] += 1
            answer.side.append((entry.offset, "late", ""))
        else:
            answer.counts["binned"] += 1
            window = (end, entry.broker, entry.symbol)
            if window not in clock.windows:
                clock.opened[end] = clock.first[window] = now
            clock.windows.setdefault(window, []).append(entry)
    if until is not None:
        idle(until + 1)
    answer.open_windows = sum(len(clock.windows) for clock in clocks.values())
    return answer


def bar_of(window: Window, ticks: list[Entry], size: int, evidence: tuple[str, int, int, int]) -> Bar:
    """Make the bar of one window from all its ticks at once."""
    ticks = sorted(ticks, key=lambda tick: tick.rank)  # of equal prices min and max take the first
    end, broker, symbol = window
    sized = [(tick.price, tick.qty) for tick in ticks if tick.qty is not None]
    volume = sum((qty for _, qty in sized), Decimal(0))
    amount = sum(Fraction(price) * Fraction(qty) for price, qty in sized)
    vwap = Decimal(round(amount / Fraction(volume) * 10**8)).scaleb(-8) if volume else None  # round() is half-even
    reason, closed_at, watermark, closed_at_offset = evidence
    return Bar(
        broker=broker,
        symbol=symbol,
        bucket_start=end - size,
        bucket_end=end,
        open=ticks[0].price,
        high=max(ticks, key=lambda tick: tick.price).price,
        low=min(ticks, key=lambda tick: tick.price).price,
        close=ticks[-1].price,
        volume=volume if sized else None,
        vwap=vwap,
        ticks=len(ticks),
        first_ts=ticks[0].ts,
        last_ts=ticks[-1].ts,
        close_reason=reason,
        closed_at=closed_at,
        watermark=watermark,
        first_offset=min(tick.offset for tick in ticks),
        last_offset=max(tick.offset for tick in ticks),
        closed_at_offset=closed_at_offset,
    )


@dataclass(slots=True)
class Wire:
    """A Kafka record as far as the engine looks at one."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Iterable[tuple[str, bytes | None]] = ()


def wire(entry: Entry) -> Wire:
    """The record that a sender would make of an entry; of a bad one, something that is bad for its reason."""
    fields: dict[str, str] = {"ts": str(entry.ts)}
    if entry.heartbeat:
        fields["heartbeat"] = "true"
    else:
        fields["bid"] = str(entry.price) if entry.offset % 2 else f'"{entry.price}"'  # numbers and strings are both good
    if entry.qty is not None:
        fields["qty"] = str(entry.qty)
    if entry.seq:
        fields["seq"] = str(entry.seq)
    key, value = f"{entry.broker}|{entry.symbol}", text(fields)
    spoilt = {
        "json": value[:-1],
        "missing": value.replace('"bid"', '"bit"'),
        "price": text({**fields, "bid": "-1"}),
        "qty": text({**fields, "qty": "-1"}),
        "ts": text({**fields, "ts": "1399248000"}),
        "type": text({**fields, "bid": "[]"}),
    }
    value = spoilt.get(entry.bad, value)
    if entry.bad == "key":
        key = entry.symbol
    if entry.bad == "empty":
        return Wire(entry.offset, entry.arrival, key.encode(), None)
    return Wire(entry.offset, entry.arrival, key.encode(), value.encode())


def text(fields: dict[str, str]) -> str:
    """A JSON object of values that are JSON already, so that every digit stays as it was written."""
    return "{" + ", ".join(f"{json.dumps(name)}: {value}" for name, value in fields.items()) + "}"


def shown(bar: Bar) -> tuple[object, ...]:
    """Everything in a bar, the prices digit for digit: equal decimals may be written differently."""
    fields = [getattr(bar, name) for name in bar.__struct_fields__]
    return *fields, *(str(price) for price in (bar.open, bar.high, bar.low, bar.close))


def bars_of(closed: Closed) -> Iterator[Bar]:
    """The bars of one step as objects; `tables.emission.take_records` must give the same as bytes."""
    for symbol, window in zip(closed.symbols, closed.windows, strict=True):
        broker, name = symbol.name
        first_ts, last_ts = closed.times_of(window)
        # a line a group
        # fmt: off
        yield Bar(
            broker, name, closed.start, closed.end,
            window.open, window.high, window.low, window.close, window.volume, window.vwap(), window.ticks,
            first_ts, last_ts,
            closed.reason, closed.at, closed.watermark, window.first_offset, window.last_offset, closed.offset,
            partial=True if closed.is_partial(window) else UNSET,
        )
        # fmt: on


def take_finals(engine: Engine) -> list[Bar]:
    """The bars that closed since the last call, in order."""
    return [bar for closed in engine.take_closed() for bar in bars_of(closed)]
