"""What of the open windows a checkpoint keeps, and how they are taken up again after a restart.

A state is written when a tick changed it. That its windows closed since is not written: the stream time in the position says
it, exactly, as every window with end + grace <= stream time is closed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tables.bars import Bar
from tables.closing import Closing, EngineConfig
from tables.replay import Replay
from tables.scopes import Scope, Symbol, order_of
from tables.state import Counters, SymbolState, encode_state
from tables.ticks import name_of


class Restoring(Closing):
    """Adds to the windows their states, and the way back from them."""

    def __init__(self, config: EngineConfig, next_offset: int) -> None:
        super().__init__(config, next_offset)
        self.counters = Counters()

    @property
    def replaying(self) -> bool:
        """Whether bars from before a restart are still ahead: no checkpoint and no timer until they are passed."""
        return self._replay is not None and self._replay.in_tail(self.next_offset)

    @property
    def symbols(self) -> Mapping[bytes, Symbol]:
        """Symbols with open windows, and those whose state in the changelog has not been deleted yet, by record key."""
        return self._symbols

    @property
    def closed_symbols(self) -> int:
        """How many symbols are held that need not be: at least so many have no open window (0 under scope `symbol`)."""
        return 0 if self._per_symbol else len(self._symbols) - self.open_windows

    @property
    def states_due(self) -> int:
        """About how many states a checkpoint would write now."""
        return len(self._dirty) if self._per_symbol else min(len(self._dirty), self.open_windows)

    def take_dirty(self) -> list[Symbol]:
        """Symbols whose state changed since the last call."""
        dirty, self._dirty = self._dirty, []
        for symbol in dirty:
            symbol.dirty = False
        return dirty

    def state_of(self, symbol: Symbol) -> bytes | None:
        """What the changelog is to hold for a symbol now; None, a tombstone, where nothing is open."""
        if self._per_symbol:
            scope = symbol.scope
            return encode_state((symbol.windows(), scope.stream_time, scope.advanced_at))
        return None if symbol.resting else encode_state((symbol.windows(),))

    def forget(self, symbol: Symbol) -> None:
        """Let go of a symbol without open windows, whose state the changelog will not hold any longer."""
        del self._symbols[symbol.key]

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
        for scope_key, (stream_time, advanced_at) in stream_times.items():
            self._scopes[scope_key] = Scope(scope_key, stream_time, advanced_at)
        for key, state in states.items():
            self._take_up(key, state)
        self._replay = Replay(tail)
        self._advance_to_published(self.next_offset, self._replay)
        if not self.replaying:
            self._replay = None

    def _take_up(self, key: bytes, state: SymbolState) -> None:
        name = name_of(key)
        if self._per_symbol:
            known = state.stream_time is not None and state.advanced_at is not None
            scope = Scope(order_of(name), state.stream_time or 0, state.advanced_at or 0) if known else Scope(order_of(name))
        else:
            scope = self._scope(name)
        symbol = self._symbols[key] = Symbol(key, name, scope)
        watermark = scope.stream_time - self.config.grace
        for window in state.windows:
            if window.end > watermark:
                symbol.open(window)
                self._opened(scope, symbol, window.end, window.opened)

    def _advance_to_published(self, offset: int, replay: Replay) -> None:
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
                    symbol = self._symbols[key] = Symbol(key, name, Scope(order_of(name)))
                scope = symbol.scope
            else:
                scope = self._scope(name)
            if stream_time > scope.stream_time:
                self._move(scope, stream_time, bar.closed_at)
                if symbol is not None:
                    self._touch(symbol)
                self._close(scope, bar.close_reason, bar.closed_at_offset, bar.closed_at)
