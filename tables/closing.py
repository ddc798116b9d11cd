"""When windows close: stream time by scope, the wheel of what idling will close, and the bars that come of it.

Pure: arrival time is told, never asked for.
"""

from __future__ import annotations

from dataclasses import dataclass
from heapq import heappop, heappush
from operator import attrgetter
from typing import TYPE_CHECKING

from tables.bars import Bar
from tables.emission import Closed
from tables.replay import Replay
from tables.scopes import NEVER, UNKNOWN, Bucket, Scope, Symbol
from tables.ticks import PER_SECOND
from tables.wheel import Wheel

if TYPE_CHECKING:
    from tables.window import Window

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
        self._closed: list[Closed] = []
        self._closed_windows = 0
        self._peak = self._peak_at = 0  # the most windows that were open at once lately, and when that was
        self._replay: Replay | None = None

    @property
    def usually_open(self) -> int:
        """The most windows that were open at once, now or within about two windows' arrival time."""
        lately = self.arrival - self._peak_at <= 2 * self.config.window_size + self.config.grace
        return max(self.open_windows, self._peak if lately else 0)

    @property
    def finals_waiting(self) -> int:
        """How many bars have closed since they were last taken."""
        return self._closed_windows

    def take_closed(self) -> list[Closed]:
        """What closed since the last call, in order."""
        closed, self._closed, self._closed_windows = self._closed, [], 0
        return closed

    def take_finals(self) -> list[Bar]:
        """The bars that closed since the last call, in order: `take_closed` as objects."""
        return [bar for closed in self.take_closed() for bar in closed.bars()]

    @property
    def wheel(self) -> Wheel[Scope]:
        """What idling will close, for whoever wants to look."""
        return self._wheel

    def stream_times(self) -> dict[str, tuple[int, int]]:
        """Stream time and the arrival that set it, by scope; empty under scope `symbol`, whose states carry theirs."""
        return {key: (s.stream_time, s.advanced_at) for key, s in self._scopes.items() if s.stream_time != UNKNOWN}

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
        sooner = arrival - stream_time < scope.advanced_at - scope.stream_time
        scope.stream_time = stream_time
        scope.advanced_at = arrival
        if sooner:
            self._sooner(scope)

    def _opened(self, scope: Scope, symbol: Symbol, end: int, arrival: int) -> None:
        self.open_windows += 1
        bucket = scope.buckets.get(end)
        if bucket is None:
            bucket = scope.buckets[end] = Bucket(end, arrival)
            scope.settle(self.config.grace)
            self._sooner(scope)
        elif arrival > bucket.opened:
            bucket.opened = arrival
        bucket.symbols.append(symbol)

    def _sooner(self, scope: Scope) -> None:
        """The scope may be due before its entry in the wheel says: put in an earlier one, the old one drops when it fires."""
        if scope.deadline != NEVER and self.config.idle_close:
            earliest = scope.advanced_at - scope.stream_time + scope.deadline  # no end of this scope is due before
            if earliest < scope.entry:
                scope.entry = earliest
                self._wheel.add(scope, earliest)

    def _idle(self, before: int) -> None:
        """Close what is due before this arrival time, in the order of the due times."""
        due: list[tuple[int, str, int, Scope]] = []
        grace = self.config.grace
        for at, scope in self._wheel.advance(before):
            if at == scope.entry:  # else an earlier entry has taken its place
                scope.entry = NEVER
                found = self._look(scope, before)
                if found is not None:
                    due.append(found)
        due.sort(reverse=True)
        again: list[tuple[int, str, int, Scope]] = []
        while due or again:
            at, _, end, scope = heappop(again) if again and (not due or again[0] < due[-1]) else due.pop()
            if scope.stream_time < end + grace:  # noqa: PLR1730  # twice as fast as max()
                scope.stream_time = end + grace
            scope.advanced_at = at
            self._close(scope, "idle", self.next_offset, at)
            if scope.buckets:
                found = self._look(scope, before)
                if found is not None:
                    heappush(again, found)

    def _look(self, scope: Scope, before: int) -> tuple[int, str, int, Scope] | None:
        """When and with which end the scope is due, if that is before this time; else it is put in the wheel again."""
        at, end = scope.due(self.config.grace)
        if at < before:
            return at, scope.key, end, scope
        if at < scope.entry:
            scope.entry = at
            self._wheel.add(scope, at)
        return None

    def _close(self, scope: Scope, reason: str, offset: int, at: int) -> None:
        """Close every window whose end the watermark has reached: by end, broker and symbol."""
        if scope.stream_time < scope.deadline:
            return
        if self.open_windows >= self._peak or at - self._peak_at >= self.config.window_size // 2:
            self._peak, self._peak_at = self.open_windows, at
        published = self._replay.published if self._replay is not None else None
        per_symbol, dirty = self._per_symbol, self._dirty
        watermark = scope.stream_time - self.config.grace
        buckets = scope.buckets
        for end in sorted([e for e in buckets if e <= watermark]) if len(buckets) > 1 else list(buckets):
            symbols = buckets.pop(end).symbols
            if len(symbols) > 1:
                symbols.sort(key=_by_order)
            self.open_windows -= len(symbols)
            windows: list[Window] = []
            for symbol in symbols:
                window = symbol.current
                # without others it is the one; asking it would fetch its memory, which nothing else here does
                if window is not None and (not symbol.others or window.end == end):
                    symbol.current = None
                else:
                    window = symbol.others.pop(end)
                windows.append(window)
                if per_symbol and not symbol.dirty:  # else a state with this window stays true: stream time says it is closed
                    symbol.dirty = True
                    dirty.append(symbol)
            if published:
                new = [(s, w) for s, w in zip(symbols, windows, strict=True) if (*s.name, end) not in published]
                symbols, windows = [s for s, _ in new], [w for _, w in new]
            if symbols:
                self._closed_windows += len(symbols)
                self._closed.append(
                    Closed(symbols, windows, end, self.config.window_size, self._per_second, reason, at, watermark, offset)
                )
        scope.deadline = min(buckets) + self.config.grace if buckets else NEVER
