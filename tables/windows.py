"""The engine of one source partition: records in offset order in, final bars, late ticks and rejects out.

Pure: it reads no clock and does no I/O, and gives the same answer for the same log however the log is cut into slices and
wherever the timer speaks.

    engine = Engine(EngineConfig())
    engine.feed(records)              # records in offset order, each with its arrival time
    engine.nothing_until(arrival_ms)  # "arrival time has reached this, nothing more came"
    engine.take_finals()              # bars, in order
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import DecimalException
from heapq import heappop, heappush
from operator import attrgetter

import msgspec

from tables.bars import Bar
from tables.clock import NEVER, UNKNOWN, Bucket, Scope, ScopeKey, Symbol
from tables.ohlc import close_window, new_window
from tables.replay import Replay
from tables.state import Counters, SymbolState, encode_state
from tables.ticks import (
    CHECK_DIGITS,
    PER_SECOND,
    RawTick,
    Record,
    RejectedError,
    check_name,
    decoder,
    event_time,
    name_of,
    price_of,
    quantity_of,
    read,
)
from tables.wheel import Wheel

_by_name = attrgetter("name")


@dataclass(frozen=True, slots=True)
class EngineConfig:
    """What the engine needs of the settings; durations and `min_ts` in ms."""

    window_size: int = 60_000
    grace: int = 5_000
    scope: str = "broker"
    idle_close: bool = True
    max_future: int = 60_000
    min_ts: int = 631_152_000_000
    time_unit: str = "ms"
    price: str = "bid"
    wheel_tick: int = 200


@dataclass(frozen=True, slots=True)
class SideRecord:
    """A late or rejected record: as it came, with the reason (a fixed word) and a detail for people."""

    offset: int
    kind: str  # "late" or "rejected"
    reason: str
    detail: str
    record: Record


class Engine:
    """The windows of one source partition."""

    def __init__(self, config: EngineConfig, next_offset: int = 0) -> None:
        self.config = config
        self.counters = Counters()
        self.next_offset = next_offset  # one after the last record processed
        self.arrival = UNKNOWN  # running maximum of arrival times
        self.open_windows = 0
        self.arrival_violations = 0  # records that arrived before a time the timer had passed
        self._timed = UNKNOWN
        self._decode = decoder(config.price)
        self._per_second = PER_SECOND[config.time_unit]
        self._per_symbol = config.scope == "symbol"
        self._plain_ms = config.time_unit == "ms"
        self._symbols: dict[bytes, Symbol] = {}
        self._scopes: dict[str, Scope] = {}
        self._wheel: Wheel[Scope] = Wheel(config.wheel_tick)
        self._dirty: set[bytes] = set()
        self._finals: list[Bar] = []
        self._side: list[SideRecord] = []
        self._replay: Replay | None = None

    # ---- what comes out

    def take_finals(self) -> list[Bar]:
        """The bars that closed since the last call, in order."""
        finals, self._finals = self._finals, []
        return finals

    def take_side(self) -> list[SideRecord]:
        """The late and rejected records since the last call, in order."""
        side, self._side = self._side, []
        return side

    def stream_times(self) -> dict[str, tuple[int, int]]:
        """Stream time and the arrival that set it, by scope; empty under scope `symbol`, whose states carry theirs."""
        return {key: (s.stream_time, s.set_at) for key, s in self._scopes.items() if s.stream_time != UNKNOWN}

    @property
    def replaying(self) -> bool:
        """Whether bars from before a restart are still ahead: no checkpoint and no timer until they are passed."""
        return self._replay is not None and self._replay.in_tail(self.next_offset)

    # ---- what goes in

    def feed(self, records: Iterable[Record], arrival_cap: int | None = None) -> None:
        """Take in records in offset order.

        Where the topic's timestamps are the producers' own, `arrival_cap` is the time of the fetch (ms), which no record
        can have arrived after.
        """
        if self._replay is not None:
            records = (record for record in records)  # two loops go through it, and a raw batch allows one
            self._feed_replay(records, self._replay, arrival_cap)
        if arrival_cap is not None or self.config.time_unit != "ms" or self.config.price == "mid":
            for record in records:
                self._record(record, arrival_cap)
        else:
            self._feed_fast(records)

    def _feed_replay(self, records: Iterator[Record], replay: Replay, arrival_cap: int | None) -> None:
        for record in records:
            self._record(record, arrival_cap)
            if replay.done(self.next_offset):
                self._replay = None
                return

    def _feed_fast(self, records: Iterable[Record]) -> None:  # noqa: C901, PLR0912, PLR0915  # a call a tick would cost more than the fold
        """The common case of `_record`, spelt out: a plain tick into the window that took its symbol's last one.

        Everything else goes to `_record`, before anything has been changed.
        """
        decode, check_digits = self._decode, CHECK_DIGITS
        symbols, dirty, counters = self._symbols, self._dirty, self.counters
        size, max_future, min_ts = self.config.window_size, self.config.max_future, self.config.min_ts
        general, arrival = self._record, self.arrival
        binned, offset = 0, self.next_offset - 1
        for record in records:
            symbol = symbols.get(record.key)  # type: ignore[arg-type]  # a missing key is not in there
            came = record.timestamp
            if symbol is None or came > arrival or (window := symbol.current) is None:
                self.next_offset = offset + 1
                general(record, None)
                offset, arrival = record.offset, self.arrival
                continue
            try:
                tick = decode(record.value)  # type: ignore[arg-type]  # None raises, and is dealt with
                ts, price = tick.ts, tick.price
                plain = (
                    0 < window.end - ts <= size  # type: ignore[operator]  # text raises
                    and min_ts <= ts <= came + max_future  # type: ignore[operator]
                    and not tick.heartbeat
                    and tick.qty is None
                    and tick.broker is None
                    and tick.symbol is None
                )
                if plain:
                    inside = window.low < price < window.high  # type: ignore[operator]  # not a number: raises
                    if not inside:
                        price_of(tick, self.config.price)
                    check_digits(price)  # type: ignore[arg-type]
            except (
                msgspec.MsgspecError,
                DecimalException,
                TypeError,
                RejectedError,
                RecursionError,
                UnicodeDecodeError,
            ):
                plain = False  # `_record` finds out what is wrong with it
            scope = symbol.scope
            if not plain or ts >= scope.deadline:  # type: ignore[operator]
                self.next_offset = offset + 1
                general(record, None)
                offset, arrival = record.offset, self.arrival
                continue
            offset = record.offset
            if ts > scope.stream_time:  # type: ignore[operator]
                sooner = arrival - ts < scope.set_at - scope.stream_time  # type: ignore[operator]
                scope.stream_time = ts  # type: ignore[assignment]
                scope.set_at = arrival
                if sooner:
                    self._sooner(scope)
            rank = (ts, tick.seq, offset)
            if not inside:
                if price >= window.high:  # type: ignore[operator]
                    window.extend_high(price, rank)  # type: ignore[arg-type]
                if price <= window.low:  # type: ignore[operator]
                    window.extend_low(price, rank)  # type: ignore[arg-type]
            if rank > window.close_rank:
                window.close_rank = rank  # type: ignore[assignment]
                window.close = price  # type: ignore[assignment]
            elif rank < window.open_rank:
                window.open_rank = rank  # type: ignore[assignment]
                window.open = price  # type: ignore[assignment]
            window.ticks += 1
            window.last_offset = symbol.offset = offset
            if not symbol.dirty:
                symbol.dirty = True
                dirty.add(symbol.key)
            binned += 1
        self.next_offset = offset + 1
        counters.binned += binned
        counters.read += binned

    def nothing_until(self, t: int) -> None:
        """The timer: no unread record has an arrival time of `t` (ms) or less. Ignored until a replay is through."""
        if t > self.arrival and not self.replaying:
            self.arrival = self._timed = t
            self._idle(t + 1)

    # ---- one record, every case

    def _record(self, record: Record, arrival_cap: int | None) -> None:
        offset, came = record.offset, record.timestamp
        if arrival_cap is not None and came > arrival_cap:
            came = arrival_cap
        if came <= self._timed:
            self.arrival_violations += 1
        replay = self._replay
        if replay is not None:
            self._raise_to(offset, replay)
        if came > self.arrival or replay is not None:
            self.arrival = max(self.arrival, came)
            if replay is None or not replay.in_tail(offset):
                self._idle(self.arrival)
        self.next_offset = offset + 1
        self.counters.read += 1
        try:
            self._classify(record, offset, came)
        except RejectedError as error:
            self.counters.rejected += 1
            self._side.append(SideRecord(offset, "rejected", error.reason, error.detail, record))
        if replay is not None:
            self._raise_to(offset + 1, replay)

    def _classify(self, record: Record, offset: int, came: int) -> None:  # noqa: C901, PLR0912, PLR0915  # the rules, in their order
        config = self.config
        tick: RawTick = read(self._decode, record.value)
        key = record.key
        symbol = self._symbols.get(key) if key is not None else None
        name = symbol.name if symbol is not None else name_of(key)
        if tick.broker is not None or tick.symbol is not None:
            check_name(tick, name)
        # the common case of event_time without its arithmetic: this path is taken by every tick that opens a window
        ts, ms = (tick.ts, tick.ts) if self._plain_ms and type(tick.ts) is int else event_time(tick.ts, config.time_unit)
        heartbeat = tick.heartbeat
        if not heartbeat:
            price, qty = price_of(tick, config.price), quantity_of(tick)
        if ms < config.min_ts:
            detail = f"ts: {tick.ts} is before min_ts={config.min_ts} ms (is time_unit={config.time_unit} right?)"
            raise RejectedError("ts", detail)
        if ms > came + config.max_future:
            detail = f"ts: {tick.ts} is {ms - came} ms after its arrival, max_future is {config.max_future} ms"
            raise RejectedError("future", detail)
        assert key is not None  # noqa: S101  # name_of has refused it
        replay = self._replay
        skip = not heartbeat and replay is not None and symbol is not None and offset <= symbol.offset
        if self._per_symbol and symbol is None:
            symbol = self._symbols[key] = Symbol(key, name, Scope(name))
        scope = symbol.scope if symbol is not None else self._scope(name)
        if ms > scope.stream_time:
            self._move(scope, ms, self.arrival)
            self._close(scope, "watermark", offset, self.arrival)
            if self._per_symbol and symbol is not None:
                self._touch(symbol)
        if heartbeat:
            self.counters.heartbeats += 1
            if self._per_symbol and symbol is not None:
                self._touch(symbol)
            return
        end = ms - ms % config.window_size + config.window_size
        if skip and self._per_symbol and symbol is not None and replay is not None:
            late = end not in symbol.windows and not replay.was_published_later(*name, end, offset)
        else:
            late = end + config.grace <= scope.stream_time
        if late:
            self.counters.late += 1
            if not skip:
                detail = f"window [{end - config.window_size}, {end}): the watermark is {scope.stream_time - config.grace}"
                self._side.append(SideRecord(offset, "late", "late", detail, record))
                if self._per_symbol and symbol is not None:
                    symbol.offset = offset
                    self._touch(symbol)
            return
        self.counters.binned += 1
        if skip:
            return
        if symbol is None:
            symbol = self._symbols[key] = Symbol(key, name, scope)
        rank = (ts, tick.seq, offset)
        window = symbol.windows.get(end)
        if window is None:
            window = symbol.windows[end] = new_window(end, self.arrival, price, qty, rank)
            self._opened(scope, symbol, end, self.arrival)
        else:
            window.fold(price, qty, rank)
        symbol.current = window
        symbol.offset = offset
        self._touch(symbol)

    def _touch(self, symbol: Symbol) -> None:
        if not symbol.dirty:
            symbol.dirty = True
            self._dirty.add(symbol.key)

    def _scope(self, name: tuple[str, str]) -> Scope:
        key = name[0] if self.config.scope == "broker" else ""
        scope = self._scopes.get(key)
        if scope is None:
            scope = self._scopes[key] = Scope(key)
        return scope

    # ---- stream time, opening and closing

    def _move(self, scope: Scope, stream_time: int, arrival: int) -> None:
        sooner = arrival - stream_time < scope.set_at - scope.stream_time
        scope.stream_time = stream_time
        scope.set_at = arrival
        if sooner:
            self._sooner(scope)

    def _opened(self, scope: Scope, symbol: Symbol, end: int, arrival: int) -> None:
        self.open_windows += 1
        bucket = scope.buckets.get(end)
        if bucket is None:
            bucket = scope.buckets[end] = Bucket(arrival)
            scope.settle(self.config.grace)
            self._sooner(scope)
        elif arrival > bucket.opened:
            bucket.opened = arrival
        bucket.symbols.append(symbol)

    def _sooner(self, scope: Scope) -> None:
        """The scope may be due before its entry in the wheel says: put in an earlier one, the old one drops when it fires."""
        if scope.deadline != NEVER and self.config.idle_close:
            earliest = scope.set_at - scope.stream_time + scope.deadline  # no end of this scope is due before
            if earliest < scope.entry:
                scope.entry = earliest
                self._wheel.add(scope, earliest)

    def _idle(self, before: int) -> None:
        """Close what is due before this arrival time, in the order of the due times."""
        due: list[tuple[int, ScopeKey, int, Scope]] = []
        for at, scope in self._wheel.advance(before):
            if at == scope.entry:  # else an earlier entry has taken its place
                scope.entry = NEVER
                self._look(scope, before, due)
        while due:
            at, _, end, scope = heappop(due)
            scope.stream_time = max(scope.stream_time, end + self.config.grace)
            scope.set_at = at
            self._close(scope, "idle", self.next_offset, at)
            self._look(scope, before, due)

    def _look(self, scope: Scope, before: int, due: list[tuple[int, ScopeKey, int, Scope]]) -> None:
        at, end = scope.due(self.config.grace)
        if at < before:
            heappush(due, (at, scope.key, end, scope))
        elif at < scope.entry:
            scope.entry = at
            self._wheel.add(scope, at)

    def _close(self, scope: Scope, reason: str, offset: int, at: int) -> None:
        """Close every window whose end the watermark has reached: by end, broker and symbol."""
        if scope.stream_time < scope.deadline:
            return
        config, published = self.config, self._replay.published if self._replay is not None else {}
        watermark = scope.stream_time - config.grace
        for end in sorted(e for e in scope.buckets if e <= watermark):
            symbols = scope.buckets.pop(end).symbols
            symbols.sort(key=_by_name)
            self.open_windows -= len(symbols)
            for symbol in symbols:
                window = symbol.windows.pop(end)
                symbol.current = None
                self._touch(symbol)
                if published and (*symbol.name, end) in published:
                    continue
                self._finals.append(
                    close_window(
                        window,
                        symbol.name,
                        config.window_size,
                        self._per_second,
                        reason,
                        at,
                        watermark,
                        offset,
                    )
                )
        scope.settle(config.grace)

    # ---- checkpoint and recovery

    def take_dirty(self) -> list[bytes]:
        """Keys whose state changed since the last call."""
        dirty, self._dirty = self._dirty, set()
        for key in dirty:
            symbol = self._symbols.get(key)
            if symbol is not None:
                symbol.dirty = False
        return list(dirty)

    def state_of(self, key: bytes) -> bytes | None:
        """What the changelog is to hold for a key now; None, a tombstone, where nothing is open. Forgets such a symbol."""
        symbol = self._symbols.get(key)
        if symbol is None:
            return None
        windows = list(symbol.windows.values())
        if self._per_symbol:
            return encode_state(SymbolState(symbol.offset, windows, symbol.scope.stream_time, symbol.scope.set_at))
        if not windows:
            if not symbol.dirty:
                del self._symbols[key]
            return None
        return encode_state(SymbolState(symbol.offset, windows))

    def restore(
        self,
        counters: Counters,
        arrival: int,
        stream_times: Mapping[str, tuple[int, int]],
        states: Mapping[bytes, SymbolState],
        tail: Sequence[Bar],
    ) -> None:
        """Take up what a checkpoint kept; `tail` are the bars that were published after it, in order."""
        self.counters = counters
        self.arrival = arrival
        for scope_key, (stream_time, set_at) in stream_times.items():
            self._scopes[scope_key] = Scope(scope_key, stream_time, set_at)
        newest = -1
        for key, state in states.items():
            name = name_of(key)
            if self._per_symbol:
                known = state.stream_time is not None and state.set_at is not None
                scope = Scope(name, state.stream_time or 0, state.set_at or 0) if known else Scope(name)
            else:
                scope = self._scope(name)
            symbol = self._symbols[key] = Symbol(key, name, scope)
            symbol.offset = state.offset
            newest = max(newest, state.offset)
            for window in state.windows:
                symbol.windows[window.end] = window
                self._opened(scope, symbol, window.end, window.opened)
        self._replay = Replay(tail, newest)
        self._raise_to(self.next_offset, self._replay)
        if self._replay.done(self.next_offset):
            self._replay = None

    def _raise_to(self, offset: int, replay: Replay) -> None:
        """Raise stream times as the published bars that closed up to this offset say."""
        pending = replay.pending
        while pending and pending[0].closed_at_offset <= offset:
            bar = pending.popleft()
            stream_time = bar.watermark + self.config.grace
            name = (bar.broker, bar.symbol)
            symbol = None
            if self._per_symbol:
                key = f"{bar.broker}|{bar.symbol}".encode()
                symbol = self._symbols.get(key)
                if symbol is None:
                    symbol = self._symbols[key] = Symbol(key, name, Scope(name))
                scope = symbol.scope
            else:
                scope = self._scope(name)
            if stream_time > scope.stream_time:
                self._move(scope, stream_time, bar.closed_at)
                if symbol is not None:
                    self._touch(symbol)
                self._close(scope, bar.close_reason, bar.closed_at_offset, bar.closed_at)
