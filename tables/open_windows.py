"""The open windows of one partition: which symbols have them, which of them share a stream time, and how they close."""

from __future__ import annotations

from collections.abc import Container, Iterator
from operator import attrgetter
from typing import Any

from tables.after_close import AfterClose
from tables.config import EngineConfig
from tables.core import PYTHON, Core
from tables.emission import Closed
from tables.idle import IdleScheduler
from tables.longer import Evidence
from tables.scopes import NEVER, UNKNOWN, Bucket, Resting, Scope, Symbol, order_of
from tables.ticks import PER_SECOND, name_of
from tables.window import Window

WindowKey = tuple[str, str, int]  # broker, symbol, end (epoch ms)
_scope_of, _key_of = attrgetter("scope"), attrgetter("key")


class OpenWindows:
    """Symbols and scopes of one partition, and the windows that have closed since they were last taken."""

    def __init__(self, config: EngineConfig, scheduler: IdleScheduler, core: Core = PYTHON) -> None:
        self.config = config
        self.core = core
        self.per_symbol = config.scope == "symbol"
        self.after = AfterClose.of(config, core)
        self.symbols: dict[Any, Symbol] = core.new_symbols()  # by record key; a missing key is never in it
        self.scopes: dict[str, Scope] = {}  # by broker, or "" for the partition; empty under scope `symbol`
        self.resting: dict[bytes, Resting] = {}  # by record key: under scope `symbol`, symbols that are not in `symbols`
        self.count = 0
        self.closed_count = 0  # closed since `take_closed`
        self.changed: list[Symbol] = []  # since `take_changed`
        self.new_keys: list[bytes] = []  # of symbols that were made or restored; whoever looks at them removes them
        self.cut = UNKNOWN  # windows that had begun then may lack ticks (arrival, epoch ms); NEVER: the next record sets it
        self._moved: dict[Scope, None] = {}  # scopes whose clock moved since then, other than by a tick of a changed symbol
        self.published: Container[WindowKey] | None = None  # during a replay: close these without a bar
        self._scheduler = scheduler
        self._closed: list[Closed] = []
        self._units_per_second = PER_SECOND[config.time_unit]
        self._peak = self._peak_at = 0  # the most windows that were open at once lately, and when (arrival time)

    def usually_open(self, arrival: int) -> int:
        """The most windows that were open at once, now or within the last two window lengths (arrival time)."""
        lately = arrival - self._peak_at <= 2 * self.config.window_size + self.config.grace
        return max(self.count, self._peak if lately else 0)

    def stream_times(self) -> dict[str, tuple[int, int]]:
        """Stream time and the arrival that moved it, by scope. Empty under scope `symbol`, where each state holds its own."""
        return {key: (s.stream_time, s.advanced_at) for key, s in self.scopes.items() if s.stream_time != UNKNOWN}

    def scope_of(self, name: tuple[str, str]) -> Scope:
        """The scope that (broker, symbol) shares with others, created on first use. Not for scope `symbol`."""
        key = name[0] if self.config.scope == "broker" else ""
        scope = self.scopes.get(key)
        if scope is None:
            scope = self.scopes[key] = self.core.scope(key)
        return scope

    def symbol_of(self, key: bytes, name: tuple[str, str]) -> Symbol:
        """The symbol with this record key, created on first use. Under scope `symbol` it gets a scope of its own."""
        symbol = self.symbols.get(key)
        if symbol is None:
            scope = self.new_scope(key, name) if self.per_symbol else self.scope_of(name)
            symbol = self.symbols[key] = self.core.symbol(key, name, scope)
            rested = self.resting.pop(key, None)
            if rested is not None:
                symbol.written = rested.written
                if rested.stream_time > scope.stream_time:  # else the scope is that of longer windows, and went on meanwhile
                    scope.stream_time, scope.advanced_at = rested.stream_time, rested.advanced_at
            else:
                self.new_keys.append(key)
        return symbol

    def new_scope(self, key: bytes, name: tuple[str, str]) -> Scope:
        """The scope of a symbol under scope `symbol`: that of its longer windows, if it has any."""
        known = None if self.after is None else self.after.further.known.get(key)
        return self.core.scope(order_of(name)) if known is None else known.scope

    def let_go(self, symbol: Symbol) -> None:
        """Drop a symbol without open windows. Under scope `symbol` its clock stays: it says which ticks are late."""
        del self.symbols[symbol.key]
        if self.per_symbol:
            self.resting[symbol.key] = Resting(symbol.scope.stream_time, symbol.scope.advanced_at, symbol.written)

    def every_window(self) -> Iterator[tuple[Symbol, Window]]:
        """The windows that are open, and those that have closed since `take_closed`, with their symbols."""
        for symbol in self.symbols.values():
            yield from ((symbol, window) for window in symbol.windows())
        for closed in self._closed:
            yield from zip(closed.symbols, closed.windows, strict=not closed.closes)

    def mark_changed(self, symbol: Symbol) -> None:
        """The next checkpoint must write this symbol's state."""
        if not symbol.dirty:
            symbol.dirty = True
            self.changed.append(symbol)

    def mark_moved(self, scope: Scope) -> None:
        """The next checkpoint must write this scope's clock. Not needed where a tick of the scope has changed a window."""
        if not self.per_symbol:
            self._moved[scope] = None

    def take_changed(self) -> tuple[list[Symbol], list[Scope]]:
        """Symbols whose state changed since the last call, and scopes whose clock may have moved.

        Under scope `symbol` a state holds the clock, and there are no scopes. Elsewhere every tick that moves a clock changes a
        window of its scope, so nothing has to be marked for each tick.
        """
        changed, self.changed = self.changed, []
        for symbol in changed:
            symbol.dirty = False
        moved, self._moved = self._moved, {}
        if not self.per_symbol:
            moved.update(dict.fromkeys(map(_scope_of, changed)))
        return changed, sorted(moved, key=_key_of)  # else the order would depend on the core

    def take_closed(self) -> list[Closed]:
        """The windows that closed since the last call, in order."""
        closed, self._closed, self.closed_count = self._closed, [], 0
        return closed

    def add(self, scope: Scope, symbol: Symbol, end: int, arrival: int) -> None:
        """Count a window that a symbol has just opened, by a tick that arrived at `arrival`, and schedule its idle close."""
        self.count += 1
        bucket = scope.buckets.get(end)
        if bucket is None:
            bucket = scope.buckets[end] = self.core.bucket(end, arrival)
            scope.settle(self.config.grace)
            self._scheduler.schedule(scope)
        elif arrival > bucket.last_opened_at:
            bucket.last_opened_at = arrival
        bucket.symbols.append(symbol)

    def schedule(self, scope: Scope) -> None:
        """Schedule the idle close of a scope."""
        self._scheduler.schedule(scope)

    def step_back(self, arrival: int) -> None:
        """Leave a clock behind that was wrong: of the times that it gave, those after this arrival (epoch ms) become it."""
        self._peak_at = min(self._peak_at, arrival)
        if self.cut != NEVER:  # else the next record sets it, not the time that was right
            self.cut = min(self.cut, arrival)
        for key in [key for key, rested in self.resting.items() if rested.advanced_at > arrival]:
            self.symbol_of(key, name_of(key))
        for symbol in self.symbols.values():
            if self.per_symbol and symbol.scope.advanced_at > arrival:
                self.mark_changed(symbol)  # its state holds the scope's clock
            self._step_back_windows(symbol, arrival)
        if self.after is not None:
            self.after.step_back(arrival)
        scopes = self.all_scopes()
        for scope in scopes:
            if scope.advanced_at > arrival:
                scope.advanced_at = arrival
                self.mark_moved(scope)
            for bucket in scope.buckets.values():
                bucket.last_opened_at = min(bucket.last_opened_at, arrival)
        self._scheduler.start_again(scopes)

    def _step_back_windows(self, symbol: Symbol, arrival: int) -> None:
        for window in symbol.windows():
            if window.opened_at > arrival:
                window.opened_at = arrival
                self.mark_changed(symbol)

    def all_scopes(self) -> list[Scope]:
        """Every scope that may have an open window."""
        if not self.per_symbol:
            return [*self.scopes.values()]
        longer = [] if self.after is None else self.after.further.longer()  # also of symbols that were let go
        return [*dict.fromkeys([symbol.scope for symbol in self.symbols.values()] + [item.scope for item in longer])]

    def close(self, scope: Scope, reason: str, offset: int, at: int) -> None:
        """Close every window of a scope whose end the watermark has reached, by end, broker and symbol.

        `reason`, `offset` and `at` (arrival, epoch ms) are the bars' evidence: close_reason, closed_at_offset, closed_at.
        """
        if scope.stream_time < scope.deadline:
            return
        if self.count >= self._peak or at - self._peak_at >= self.config.window_size // 2:
            self._peak, self._peak_at = self.count, at
        evidence = Evidence(reason, at, scope.stream_time - self.config.grace, offset, self.cut)
        buckets = scope.buckets
        for end in sorted([end for end in buckets if end <= evidence.watermark]):
            self._close_bucket(scope, buckets.pop(end), evidence)
        if self.after is not None:
            for longer in self.after.settle(scope, evidence):
                if self.per_symbol:
                    self.mark_changed(self.symbol_of(longer.key, longer.name))  # its state holds the clock
            self.closed_count += self.after.take_flat(self._closed, self.published)
        scope.settle(self.config.grace)

    def _close_bucket(self, scope: Scope, bucket: Bucket, evidence: Evidence) -> None:
        symbols, core = bucket.symbols, self.core
        end, states = bucket.end, None
        if len(symbols) > 1:
            core.sort(self.symbols, symbols)
        self.count -= len(symbols)
        windows = core.take_windows(symbols, end, self.per_symbol, self.changed)
        if self.after is not None:
            states = self.after.closed(scope, symbols, windows, end, evidence)
            self.closed_count += self.after.take_flat(self._closed, self.published)
        published = self.published
        if published:
            new = [number for number, symbol in enumerate(symbols) if (*symbol.name, end) not in published]
            symbols, windows = [symbols[number] for number in new], [windows[number] for number in new]
            states = None if states is None else [states[number] for number in new]
        if symbols:
            self.closed_count += len(symbols)
            size, (reason, at, watermark, offset, cut) = self.config.window_size, evidence
            # no tick is further ahead than max_future: most windows need not be looked at
            cut = cut if end - size - self.config.max_future <= cut else UNKNOWN
            per_second = self._units_per_second
            self._closed.append(Closed(symbols, windows, end, size, per_second, reason, at, watermark, offset, cut, states))
