"""When windows close: stream time by scope, the wheel of what idling will close, and the bars that come of it.

Pure: arrival time is told, never asked for.
"""

from __future__ import annotations

from dataclasses import dataclass
from heapq import heappop, heappush
from operator import attrgetter

from tables.bars import Bar
from tables.clock import NEVER, UNKNOWN, Bucket, Scope, ScopeKey, Symbol
from tables.ohlc import close_window
from tables.replay import Replay
from tables.ticks import PER_SECOND
from tables.wheel import Wheel

_by_order = attrgetter("order")


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


class Closing:
    """The scopes of one partition with their open windows."""

    def __init__(self, config: EngineConfig, next_offset: int) -> None:
        self.config = config
        self.next_offset = next_offset  # one after the last record processed
        self.arrival = UNKNOWN  # running maximum of arrival times
        self.open_windows = 0
        self._per_second = PER_SECOND[config.time_unit]
        self._per_symbol = config.scope == "symbol"
        self._symbols: dict[bytes, Symbol] = {}
        self._scopes: dict[str, Scope] = {}
        self._wheel: Wheel[Scope] = Wheel(config.wheel_tick)
        self._dirty: list[Symbol] = []
        self._finals: list[Bar] = []
        self._replay: Replay | None = None

    def take_finals(self) -> list[Bar]:
        """The bars that closed since the last call, in order."""
        finals, self._finals = self._finals, []
        return finals

    def stream_times(self) -> dict[str, tuple[int, int]]:
        """Stream time and the arrival that set it, by scope; empty under scope `symbol`, whose states carry theirs."""
        return {key: (s.stream_time, s.set_at) for key, s in self._scopes.items() if s.stream_time != UNKNOWN}

    def _scope(self, name: tuple[str, str]) -> Scope:
        key = name[0] if self.config.scope == "broker" else ""
        scope = self._scopes.get(key)
        if scope is None:
            scope = self._scopes[key] = Scope(key)
        return scope

    def _touch(self, symbol: Symbol) -> None:
        if not symbol.dirty:
            symbol.dirty = True
            self._dirty.append(symbol)

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
        size, per_second, finals = config.window_size, self._per_second, self._finals
        watermark = scope.stream_time - config.grace
        for end in sorted(e for e in scope.buckets if e <= watermark):
            symbols = scope.buckets.pop(end).symbols
            symbols.sort(key=_by_order)
            self.open_windows -= len(symbols)
            for symbol in symbols:
                window = symbol.current
                if window is not None and window.end == end:
                    symbol.current = None
                else:
                    window = symbol.others.pop(end)
                if self._per_symbol:  # else a state with this window still tells the truth: stream time says it is closed
                    self._touch(symbol)
                if published and (*symbol.name, end) in published:
                    continue
                finals.append(close_window(window, symbol.name, size, per_second, reason, at, watermark, offset))
        scope.settle(config.grace)
