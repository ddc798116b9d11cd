"""The engine of one source partition: records in offset order in, final bars, late ticks and rejects out.

Pure: it reads no clock and does no I/O, and gives the same answer for the same log however the log is cut into slices and
wherever the timer speaks.

    engine = Engine(EngineConfig())
    engine.feed(records)              # records in offset order, each with its arrival time
    engine.advance_arrival(arrival_ms)  # "arrival time has reached this, nothing more came"
    engine.take_finals()              # bars, in order
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal, DecimalException
from itertools import groupby
from operator import attrgetter

import msgspec

from tables.closing import EngineConfig
from tables.scopes import UNKNOWN, Scope, Symbol, order_of
from tables.snapshots import Restoring
from tables.ticks import (
    CHECK_DIGITS,
    MAX_DIGITS,
    ZERO,
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
from tables.window import new_window

__all__ = ["Engine", "EngineConfig", "SideRecord"]
_timestamp_of = attrgetter("timestamp")
_TOO_LARGE = Decimal(10) ** MAX_DIGITS  # infinity is not below it


@dataclass(frozen=True, slots=True)
class SideRecord:
    """A late or rejected record: as it came, with the reason (a fixed word) and a detail for people."""

    offset: int
    kind: str  # "late" or "rejected"
    reason: str
    detail: str
    record: Record


class Engine(Restoring):
    """The windows of one source partition."""

    def __init__(self, config: EngineConfig, next_offset: int = 0) -> None:
        super().__init__(config, next_offset)
        self.arrival_violations = 0  # records that arrived before a time the timer had passed
        self._timed = UNKNOWN
        self._decode = decoder(config.price)
        self._plain_ms = config.time_unit == "ms"
        self._side: list[SideRecord] = []

    def take_side(self) -> list[SideRecord]:
        """The late and rejected records since the last call, in order."""
        side, self._side = self._side, []
        return side

    # ---- what goes in

    def feed(self, records: Iterable[Record], arrival_cap: int | None = None) -> None:
        """Take in records in offset order, each at its own arrival time.

        Where the topic's timestamps are the producers' own, `arrival_cap` is the time of the fetch (ms), which no record
        can have arrived after.
        """
        if arrival_cap is None:
            every = (record for record in records)  # a raw batch must not be asked again after its last record
            for came, together in groupby(every, _timestamp_of):
                self.feed_same_arrival(together, came)
        else:
            for record in self._feed_replay(records, arrival_cap):
                self._record(record, arrival_cap)

    def feed_same_arrival(self, records: Iterable[Record], came: int) -> None:
        """Take in records in offset order that all arrived at `came` (epoch ms), as those of a LogAppendTime batch did."""
        records = self._feed_replay(records, None)
        if self.config.time_unit == "ms" and self.config.price != "mid":
            self._feed_fast(records, came)
        else:
            for record in records:
                self._record(record, None)

    def _feed_replay(self, records: Iterable[Record], arrival_cap: int | None) -> Iterable[Record]:
        """Take in those that a replay goes past; gives the others."""
        replay = self._replay
        if replay is None:
            return records
        records = (record for record in records)  # a raw batch allows one loop, and there is another one after this
        for record in records:
            self._record(record, arrival_cap)
            if not replay.in_tail(self.next_offset):
                self._replay = None
                break
        return records

    def _feed_fast(self, records: Iterable[Record], came: int) -> None:  # noqa: C901, PLR0912, PLR0915  # a call a tick would cost more than the fold
        """The common case of `_record`, spelt out: a plain tick of a known symbol that closes nothing.

        Everything else goes to `_record`, before anything has been changed.
        """
        decode, check_digits, zero, too_large = self._decode, CHECK_DIGITS, ZERO, _TOO_LARGE
        symbols, dirty, opened, counters = self._symbols, self._dirty, self._opened, self.counters
        config = self.config
        size, grace, min_ts, latest = config.window_size, config.grace, config.min_ts, came + config.max_future
        general, arrival, timed = self._record, self.arrival, self._timed
        usual = timed < came <= arrival
        binned, offset = 0, self.next_offset - 1
        for record in records:
            symbol = symbols.get(record.key)  # type: ignore[arg-type]  # a missing key is not in there
            tick: RawTick | None = None
            plain = False
            if usual and symbol is not None:
                try:
                    tick = decode(record.value)  # type: ignore[arg-type]  # None raises, and is dealt with
                    ts, price, scope = tick.ts, tick.price, symbol.scope
                    if (
                        min_ts <= ts <= latest  # type: ignore[operator]  # text raises
                        and ts < scope.deadline  # type: ignore[operator]
                        and not tick.heartbeat
                        and tick.qty is None
                        and tick.broker is None
                        and tick.symbol is None
                    ):
                        window = symbol.current
                        if window is None or not 0 < window.end - ts <= size:  # type: ignore[operator]
                            end = ts - ts % size + size  # type: ignore[operator]
                            window = symbol.turn_to(end) if symbol.others else None
                        if window is None:
                            plain = end + grace > scope.stream_time and zero < price < too_large  # type: ignore[operator]
                        elif price < window.high:  # type: ignore[operator]  # not a number: raises
                            inside = price > window.low  # type: ignore[operator]
                            plain = inside or price > zero  # type: ignore[operator]
                        else:
                            inside, plain = False, price < too_large  # type: ignore[operator]
                        check_digits(price)  # type: ignore[arg-type]
                except (msgspec.MsgspecError, DecimalException, TypeError, RecursionError, UnicodeDecodeError):
                    plain = False  # `_record` finds out what is wrong with it
            if not plain or symbol is None or tick is None:
                self.next_offset = offset + 1
                general(record, None, tick)
                offset, arrival = record.offset, self.arrival
                usual = timed < came <= arrival
                continue
            offset = record.offset
            if ts > scope.stream_time:  # type: ignore[operator]
                sooner = arrival - ts < scope.advanced_at - scope.stream_time  # type: ignore[operator]
                scope.stream_time = ts  # type: ignore[assignment]
                scope.advanced_at = arrival
                if sooner:
                    self._sooner(scope)
            if window is None:
                bucket = scope.buckets.get(end)
                if bucket is not None:
                    end = bucket.end  # the one that all of them share: an equal one each would be fetched from memory each
                window = new_window(end, arrival, price, ts, tick.seq, offset)  # type: ignore[arg-type]
                if symbol.current is None:
                    symbol.current = window
                else:
                    symbol.open(window)
                if bucket is not None and bucket.opened == arrival:
                    bucket.symbols.append(symbol)
                    self.open_windows += 1
                else:
                    opened(scope, symbol, end, arrival)
            else:
                if not inside:
                    if price > window.high:  # type: ignore[operator]
                        window.high, window.high_ts, window.high_seq, window.high_offset = price, ts, tick.seq, offset  # type: ignore[assignment]
                    elif price < window.low:  # type: ignore[operator]
                        window.low, window.low_ts, window.low_seq, window.low_offset = price, ts, tick.seq, offset  # type: ignore[assignment]
                    else:
                        window.update_high_low(price, ts, tick.seq, offset)  # type: ignore[arg-type]
                if ts > window.close_ts:  # type: ignore[operator]
                    window.close = price  # type: ignore[assignment]
                    window.close_ts = ts  # type: ignore[assignment]
                    window.close_seq = tick.seq
                    window.close_offset = offset
                else:
                    window.update_open_close(price, ts, tick.seq, offset)  # type: ignore[arg-type]
                window.ticks += 1
                window.last_offset = offset
            if not symbol.dirty:
                symbol.dirty = True
                dirty.append(symbol)
            binned += 1
        self.next_offset = offset + 1
        counters.binned += binned
        counters.read += binned

    def advance_arrival(self, t: int) -> None:
        """The timer: no unread record has an arrival time of `t` (ms) or less. Ignored until a replay is through."""
        if t > self.arrival and not self.replaying:
            self.arrival = self._timed = t
            self._idle(t + 1)

    # ---- one record, every case

    def _record(self, record: Record, arrival_cap: int | None, tick: RawTick | None = None) -> None:
        offset, came = record.offset, record.timestamp
        if arrival_cap is not None and came > arrival_cap:
            came = arrival_cap
        if came <= self._timed:
            self.arrival_violations += 1
        replay = self._replay
        if replay is not None:
            self._advance_to_published(offset, replay)
        if came > self.arrival or replay is not None:
            self.arrival = max(self.arrival, came)
            if replay is None or not replay.in_tail(offset):
                self._idle(self.arrival)
        self.next_offset = offset + 1
        self.counters.read += 1
        try:
            self._classify(record, offset, came, tick or read(self._decode, record.value))
        except RejectedError as error:
            self.counters.rejected += 1
            self._side.append(SideRecord(offset, "rejected", error.reason, error.detail, record))
        if replay is not None:
            self._advance_to_published(offset + 1, replay)

    def _classify(self, record: Record, offset: int, came: int, tick: RawTick) -> None:  # noqa: C901, PLR0912  # the rules, in their order
        config = self.config
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
        if self._per_symbol and symbol is None:
            symbol = self._symbols[key] = Symbol(key, name, Scope(order_of(name)))
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
        if end + config.grace <= scope.stream_time:
            self.counters.late += 1
            detail = f"window [{end - config.window_size}, {end}): the watermark is {scope.stream_time - config.grace}"
            self._side.append(SideRecord(offset, "late", "late", detail, record))
            return
        self.counters.binned += 1
        if symbol is None:
            symbol = self._symbols[key] = Symbol(key, name, scope)
        window = symbol.turn_to(end)
        if window is None:
            window = new_window(end, self.arrival, price, ts, tick.seq, offset)
            if qty is not None:
                window.add_quantity(price, qty)
            symbol.open(window)
            self._opened(scope, symbol, end, self.arrival)
        else:
            window.fold(price, qty, ts, tick.seq, offset)
        self._touch(symbol)
