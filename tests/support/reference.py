"""The rules of bars as an obvious reference: for the property tests, and for the judge of the crash test.

It reads a whole log record by record, and sorts and scans again wherever that is clearer: no slices, no timers, no wheel, lists
of ticks instead of running values. It must be easy to believe. It imports the standard library alone, so that no mistake of the
application can hide in it; `tests/unit/test_reference.py` holds that.

    answer([parsed(record) for record in records], Rules(), until=arrival_ms).bars  # tests.support.reference_records.parsed
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, fields, replace
from decimal import Decimal
from fractions import Fraction
from typing import Any, NamedTuple

ScopeKey = tuple[str, ...]
WindowKey = tuple[int, str, str]  # end, broker, symbol: their order is the order of the bars that close in one step

DAY = 86_400_000
CLOCK_STEP = 60_000  # an arrival this much below the running maximum shows that the clock was wrong before


@dataclass(frozen=True)
class Rules:
    """The settings that decide what closes and when. Durations and times are in ms."""

    window_size: int = 60_000
    grace: int = 5_000
    scope: str = "broker"  # or "symbol", "partition"
    idle_close: bool = True
    max_future: int = 60_000
    min_ts: int = 631_152_000_000
    horizon: int | None = None  # how long late ticks revise bars; None: they never do
    delay: int = 5_000  # how long they are gathered
    frames: tuple[tuple[str, int], ...] = ()  # longer bars: name and length; days in UTC begin at `day_start`
    day_start: int = 0
    flat: tuple[str, ...] = ()  # frames with flat bars; empty: the base

    def span(self, length: int, time: int) -> tuple[int, int]:
        """Start and end of the longer window that holds this time: they count from the day's beginning, and end with it."""
        day = time - (time - self.day_start) % DAY
        start = day + (time - day) // length * length
        return start, min(start + length, day + DAY)

    def windows(self, frame: str, time: int, until: int) -> Iterator[tuple[int, int]]:
        """The windows of a frame from the one that holds this time, as far as they end up to another one."""
        start, end = self.span(dict(self.frames).get(frame, self.window_size), time)
        while end <= until:
            yield start, end
            start, end = self.span(dict(self.frames).get(frame, self.window_size), end)

    def scope_of(self, broker: str, symbol: str) -> ScopeKey:
        """What shares one stream time."""
        return {"symbol": (broker, symbol), "broker": (broker,), "partition": ()}[self.scope]


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
    marker: bool = False  # it holds no tick, and moves the arrival clock only
    bad: str = ""

    @property
    def rank(self) -> tuple[int, int, int]:
        """What says which tick comes first."""
        return self.ts, self.seq, self.offset


@dataclass(frozen=True)
class Bar:
    """A final bar, its fields in the order of the wire."""

    broker: str
    symbol: str
    bucket_start: int
    bucket_end: int
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal | None
    vwap: Decimal | None
    ticks: int
    first_ts: int
    last_ts: int
    close_reason: str
    closed_at: int
    watermark: int
    first_offset: int
    last_offset: int
    closed_at_offset: int
    revision: int = 0
    partial: bool = False  # it may lack ticks
    corrected: int = 0  # late ticks that this revision adds

    def key(self) -> bytes:
        """The key of its record."""
        return f"{self.broker}|{self.symbol}|{self.bucket_start}".encode()

    def json(self) -> bytes:
        """The value of its record. Prices are numbers with all their digits."""
        names = [item.name for item in fields(self) if item.name not in ("partial", "corrected") or getattr(self, item.name)]
        return b"{%s}" % b",".join(f'"{name}":{_json(getattr(self, name))}'.encode() for name in names)


class IdleClose(NamedTuple):
    """A decision of a timer: a scope closed the windows up to `end` at arrival `at`, when `offset` was the next one to read."""

    offset: int
    at: int
    end: int
    scope: ScopeKey


@dataclass
class Answer:
    """What a log comes to."""

    bars: list[Bar] = field(default_factory=list)
    longer: list[tuple[str, Bar]] = field(default_factory=list)  # name of the frame, and its bar
    revised: list[tuple[str, Bar]] = field(default_factory=list)  # the name is empty for the base
    side: list[tuple[int, str, str]] = field(default_factory=list)  # offset, "late" or "rejected", reason (rejected)
    counts: Counter[str] = field(default_factory=Counter)
    open_windows: int = 0
    next_offset: int = 0
    objections: list[str] = field(default_factory=list)  # to the decisions that were followed


def answer(log: Iterable[Entry], rules: Rules, until: int | None = None, *, cut: bool = False) -> Answer:
    """The bars as a function of the log. Then the arrival time `until` passes; None: stop right after the last record.

    `cut`: there were records before the first one, which nobody has read. Bars that may lack ticks of them are partial.
    """
    reading = _Reading(rules, cut=cut)
    for entry in log:
        reading.arrive(entry)
        reading.idle(before=reading.now)
        reading.record(entry)
        if reading.overtaken:
            reading.idle(before=reading.now)
    if until is not None:
        reading.idle(before=until + 1)
    return reading.finished()


def followed(log: Iterable[Entry], rules: Rules, closes: Sequence[IdleClose]) -> Answer:
    """The bars as a function of the log and of these idle closes, in the order in which they were published.

    This is for a log that does not say how much arrival time passed after a record: one with its producers' timestamps, or one
    that was written while the broker's clock was wrong. `Answer.objections` says which closes no rule permits. Here `closed_at`
    of a bar that a record closed is the earliest that it can be.
    """
    reading, waiting = _Reading(rules), list(closes)[::-1]
    for entry in log:
        while waiting and waiting[-1].offset <= reading.answer.next_offset:
            reading.follow(waiting.pop())
        reading.arrive(entry)
        reading.record(entry)
    while waiting:
        reading.follow(waiting.pop())
    return reading.finished()


@dataclass
class _Held:
    """The ticks of a longer window, or of one that has closed, and the arrival of the one that opened it."""

    start: int
    ticks: list[Entry]
    first: int
    revision: int = 0
    added: int = 0  # late ticks that are in no revision yet
    due: int = 0  # when they will be


@dataclass
class _Clock:
    """The stream time of one scope, the arrival time that set it, and its open windows."""

    stream: int
    set_at: int
    passed: int  # the watermark of the last step
    windows: dict[WindowKey, list[Entry]] = field(default_factory=dict)
    opened: dict[int, int] = field(default_factory=dict)  # end: arrival of the last tick that opened a window
    first: dict[WindowKey, int] = field(default_factory=dict)  # arrival of the tick that opened each window
    closes: dict[tuple[str, str], list[tuple[Entry, int]]] = field(default_factory=dict)  # see `_flat_bars`
    longer: dict[tuple[str, WindowKey], _Held] = field(default_factory=dict)  # open longer windows, by frame
    closed: dict[tuple[str, WindowKey], _Held] = field(default_factory=dict)  # all that have closed, by frame

    def due(self, end: int, grace: int) -> int:
        """The arrival time at which silence closes the windows with this end."""
        return max(self.set_at + (end + grace - self.stream), self.opened[end] + grace)

    def longer_due(self, end: int, grace: int) -> int:
        """The same for longer windows: never before the windows inside them."""
        inside = [self.due(one, grace) for one in {one for one, _, _ in self.windows} if one <= end]
        return max([self.set_at + (end + grace - self.stream), *inside])


class _Reading:
    """Reads a log, record by record."""

    def __init__(self, rules: Rules, *, cut: bool = False) -> None:
        self.answer, self.now = Answer(), 0
        self._rules, self._clocks = rules, dict[ScopeKey, _Clock]()
        self.overtaken = False  # whether a late tick opened a longer window that may be due already
        self._cut, self._cut_at = cut, -1  # the arrival of the first record, where there were others before it

    def arrive(self, entry: Entry) -> None:
        """Move the arrival clock: the running maximum. A clock that was ahead, and has been put right, is left behind."""
        if self._cut and not self.answer.counts["read"]:
            self._cut_at = entry.arrival
        if entry.arrival < self.now - CLOCK_STEP:
            self.now = entry.arrival
            self._cut_at = min(self._cut_at, self.now)
            for clock in self._clocks.values():
                clock.set_at = min(clock.set_at, self.now)
                clock.opened = {end: min(at, self.now) for end, at in clock.opened.items()}
                clock.first = {window: min(at, self.now) for window, at in clock.first.items()}
                for held in [*clock.longer.values(), *(one for one in clock.closed.values() if one.added)]:
                    held.first = min(held.first, self.now)
                    held.due = min(held.due, self.now + self._rules.delay)
        self.now = max(self.now, entry.arrival)

    def idle(self, before: int) -> None:
        """Close what silence closes strictly before this arrival time, in the order of the due times.

        Revisions are published in between, when they are due.
        """
        self.overtaken = False
        while True:
            closes, revisions, grace = [], [], self._rules.grace
            for key, clock in self._clocks.items():
                if self._rules.idle_close:
                    closes += [(clock.due(end, grace), key, end) for end in {end for end, _, _ in clock.windows}]
                    closes += [(clock.longer_due(end, grace), key, end) for end in {end for _, (end, _, _) in clock.longer}]
                revisions += [(held.due, *name, key) for name, held in clock.closed.items() if held.added]
            if revisions and min(revisions)[0] < min([before, *(close[0] for close in closes)]):
                self._publish_revision(*min(revisions))
            elif closes and min(closes)[0] < before:
                at, key, end = min(closes)
                self._close_idle(key, end, at)
            else:
                return

    def _publish_revision(self, due: int, frame: str, window: WindowKey, key: ScopeKey) -> None:
        clock, rules = self._clocks[key], self._rules
        held = clock.closed[frame, window]
        held.revision += 1
        watermark, offset = clock.stream - rules.grace, self.answer.next_offset
        evidence: dict[str, Any] = {
            "close_reason": "correction",
            "closed_at": due,
            "watermark": watermark,
            "closed_at_offset": offset,
        }
        bar = self._marked(replace(bar_of(window, held.ticks, window[0] - held.start), **evidence), held.first)
        self.answer.revised.append((frame, replace(bar, revision=held.revision, corrected=held.added)))
        held.added = 0

    def follow(self, close: IdleClose) -> None:
        """Close what somebody decided to close, and object where the scope was not due."""
        clock = self._clocks.get(close.scope)
        if clock is None or close.end not in {end for end, _, _ in clock.windows}:
            self.answer.objections.append(f"{close} closes no window")
            return
        due = clock.due(close.end, self._rules.grace)
        if close.at < due or not self._rules.idle_close:
            self.answer.objections.append(f"{close} is not due before {due}")
        self._close_idle(close.scope, close.end, close.at)

    def _close_idle(self, key: ScopeKey, end: int, at: int) -> None:
        clock = self._clocks[key]
        clock.stream, clock.set_at = max(clock.stream, end + self._rules.grace), at
        self._close(clock, "idle", at, self.answer.next_offset)

    def record(self, entry: Entry) -> None:
        """Read a record that has arrived: it is rejected, a heartbeat, late, or part of a window."""
        rules, said, size = self._rules, self.answer, self._rules.window_size
        said.next_offset = entry.offset + 1
        said.counts["read"] += 1
        if entry.marker:
            said.counts["heartbeats"] += 1
            return
        bad = entry.bad
        if not bad and entry.ts < rules.min_ts:
            bad = "ts"
        if not bad and entry.ts > entry.arrival + rules.max_future:
            bad = "future"
        if bad:
            said.counts["rejected"] += 1
            said.side.append((entry.offset, "rejected", bad))
            return
        # a clock that runs ahead moves the watermark up to the arrival only: no tick closes a window before its end has passed
        moves_to = min(entry.ts, entry.arrival + rules.grace)
        clock = self._clocks.setdefault(
            rules.scope_of(entry.broker, entry.symbol), _Clock(moves_to, self.now, moves_to - rules.grace)
        )
        if moves_to > clock.stream:
            clock.stream, clock.set_at = moves_to, self.now
            self._close(clock, "watermark", self.now, entry.offset)
        end = entry.ts - entry.ts % size + size
        if entry.heartbeat:
            said.counts["heartbeats"] += 1
        elif (
            end <= clock.stream - rules.grace and rules.horizon is not None and end + rules.grace + rules.horizon > clock.stream
        ):
            said.counts["corrected"] += 1
            self._correct(clock, (end, entry.broker, entry.symbol), entry)
        elif end <= clock.stream - rules.grace:
            said.counts["late"] += 1
            said.side.append((entry.offset, "late", ""))
        else:
            said.counts["binned"] += 1
            window = (end, entry.broker, entry.symbol)
            if window not in clock.windows:
                clock.opened[end] = clock.first[window] = self.now
            clock.windows.setdefault(window, []).append(entry)

    def _correct(self, clock: _Clock, window: WindowKey, tick: Entry) -> None:
        """A late tick becomes part of its window, and of the longer ones around it; those that have closed are revised."""
        rules, (end, broker, symbol) = self._rules, window
        spans = [("", (end - rules.window_size, end))]
        spans += [(frame, rules.span(length, end - rules.window_size)) for frame, length in rules.frames]
        for frame, (start, until) in spans:
            is_open = until > clock.stream - rules.grace
            where = clock.longer if is_open else clock.closed
            self.overtaken |= is_open
            held = where.setdefault((frame, (until, broker, symbol)), _Held(start, [], self.now))
            held.ticks.append(tick)
            held.first = min(held.first, self.now)
            if not frame:
                self._note(clock, window, [tick], self.now)
            if not is_open:
                held.added += 1
                if held.added == 1:
                    held.due = self.now + rules.delay

    def _close(self, clock: _Clock, reason: str, at: int, offset: int) -> None:
        rules = self._rules
        watermark = clock.stream - rules.grace
        evidence: dict[str, Any] = {"close_reason": reason, "closed_at": at, "watermark": watermark, "closed_at_offset": offset}
        new: dict[str, list[Bar]] = {frame: [] for frame in ("", *dict(rules.frames))}
        for window in sorted(window for window in clock.windows if window[0] <= watermark):
            ticks, first = clock.windows.pop(window), clock.first.pop(window)
            start, (_, broker, symbol) = window[0] - rules.window_size, window
            new[""].append(self._marked(replace(bar_of(window, ticks, rules.window_size), **evidence), first))
            self._note(clock, window, ticks, first)
            clock.closed["", window] = _Held(start, ticks, first)
            for frame, length in rules.frames:
                begin, end = rules.span(length, start)
                held = clock.longer.setdefault((frame, (end, broker, symbol)), _Held(begin, [], first))
                held.ticks = held.ticks + ticks
                held.first = min(held.first, first)
        for frame, _ in rules.frames:
            for window in sorted(window for of, window in clock.longer if of == frame and window[0] <= watermark):
                held = clock.closed[frame, window] = clock.longer.pop((frame, window))
                bar = replace(bar_of(window, held.ticks, window[0] - held.start), **evidence)
                new[frame].append(self._marked(bar, held.first))
        for frame in rules.flat:
            new[frame] += [replace(bar, **evidence) for bar in self._flat_bars(clock, frame, watermark)]
        for frame, bars in new.items():
            bars.sort(key=lambda bar: (bar.bucket_end, not bar.ticks, bar.broker, bar.symbol))
            self.answer.longer += [(frame, bar) for bar in bars if frame]
        self.answer.bars += new[""]
        clock.passed = max(clock.passed, watermark)

    def _note(self, clock: _Clock, window: WindowKey, ticks: list[Entry], first: int) -> None:
        """Remember the last of some ticks of a window, and when the window began as far as `_marked` is concerned."""
        ticks = sorted(ticks, key=lambda tick: tick.rank)
        ahead = min(self._rules.max_future, max(0, ticks[0].ts - first))
        clock.closes.setdefault(window[1:], []).append((ticks[-1], window[0] - self._rules.window_size - ahead))

    def _flat_bars(self, clock: _Clock, frame: str, watermark: int) -> list[Bar]:
        """Of windows that this step passes, for symbols that traded on their day before them, and not inside."""
        rules, found = self._rules, []
        for (broker, symbol), closes in clock.closes.items():
            for day in {rules.span(DAY, tick.ts)[0] for tick, _ in closes}:
                today = [close for close in closes if day <= close[0].ts < day + DAY]
                first = max(clock.passed, min(tick.ts for tick, _ in today))
                for start, end in rules.windows(frame, first, min(watermark, day + DAY)):
                    before = [close for close in today if close[0].ts < start]
                    if end > clock.passed and before and not any(start <= tick.ts < end for tick, _ in today):
                        tick, began = max(before, key=lambda close: close[0].rank)
                        bar = replace(bar_of((end, broker, symbol), [tick], end - start), ticks=0, volume=None, vwap=None)
                        found.append(replace(bar, partial=began <= self._cut_at))
        return found

    def _marked(self, bar: Bar, first: int) -> Bar:
        """The bar, marked where it may lack ticks. `first`: the arrival of the tick that opened its window."""
        # a tick that was lost may have been as far ahead of its arrival as this one
        ahead = min(self._rules.max_future, max(0, bar.first_ts - first))
        return replace(bar, partial=bar.bucket_start - ahead <= self._cut_at)

    def finished(self) -> Answer:
        """The answer so far."""
        self.answer.open_windows = sum(len(clock.windows) for clock in self._clocks.values())
        return self.answer


def bar_of(window: WindowKey, ticks: Iterable[Entry], size: int) -> Bar:
    """The bar of a window from all its ticks at once, without the evidence of its close."""
    ticks = sorted(ticks, key=lambda tick: tick.rank)  # of equal prices min and max take the first
    end, broker, symbol = window
    sized = [(tick.price, tick.qty) for tick in ticks if tick.qty is not None]
    volume = sum((qty for _, qty in sized), Decimal(0))
    amount = sum(Fraction(price) * Fraction(qty) for price, qty in sized)
    vwap = Decimal(round(amount / Fraction(volume) * 10**8)).scaleb(-8) if volume else None  # round() is half-even
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
        close_reason="",
        closed_at=0,
        watermark=0,
        first_offset=min(tick.offset for tick in ticks),
        last_offset=max(tick.offset for tick in ticks),
        closed_at_offset=0,
    )


def _json(value: object) -> str:
    return str(value) if isinstance(value, Decimal) else json.dumps(value, ensure_ascii=False)
