"""The state of a symbol as a checkpoint stores it, and how an engine restores it.

A state is written when a tick changed it. Closed windows need no record: the position's stream time implies them, because
every window with end + grace <= stream time is closed.
"""

from __future__ import annotations

from collections.abc import Mapping

from tables.open_windows import OpenWindows
from tables.progress import Progress
from tables.scopes import Scope, Symbol, order_of
from tables.state import SymbolState, encode_state
from tables.ticks import name_of


class Snapshots:
    """Stores and restores the open windows of one partition."""

    def __init__(self, windows: OpenWindows, progress: Progress) -> None:
        self._windows = windows
        self._progress = progress

    @property
    def symbols(self) -> Mapping[bytes, Symbol]:
        """Symbols with open windows, and those whose state in the changelog has not been deleted yet, by record key."""
        return self._windows.symbols

    @property
    def usually_open(self) -> int:
        """The most windows that were open at once lately."""
        return self._windows.usually_open(self._progress.arrival)

    @property
    def closed_symbols(self) -> int:
        """How many symbols have no open window, at least; 0 under scope `symbol`, which keeps them for their stream time."""
        windows = self._windows
        return 0 if windows.per_symbol else len(windows.symbols) - windows.count

    @property
    def due(self) -> int:
        """About how many states a checkpoint would write now."""
        windows = self._windows
        return len(windows.changed) if windows.per_symbol else min(len(windows.changed), windows.count)

    def take_changed(self) -> list[Symbol]:
        """Symbols whose state changed since the last call."""
        return self._windows.take_changed()

    def state_of(self, symbol: Symbol) -> bytes | None:
        """The value that the changelog must hold for a symbol now; None (a tombstone) where no window is open."""
        if self._windows.per_symbol:
            scope = symbol.scope
            return encode_state((symbol.windows(), scope.stream_time, scope.advanced_at))
        return None if symbol.resting else encode_state((symbol.windows(),))

    def forget(self, symbol: Symbol) -> None:
        """Drop a symbol without open windows, whose tombstone is being written."""
        del self._windows.symbols[symbol.key]

    def restore(self, stream_times: Mapping[str, tuple[int, int]], states: Mapping[bytes, SymbolState]) -> None:
        """Restore the stream times of a position record and the states of a changelog."""
        for scope_key, (stream_time, advanced_at) in stream_times.items():
            self._windows.scopes[scope_key] = Scope(scope_key, stream_time, advanced_at)
        for key, state in states.items():
            self._restore_symbol(key, state)

    def _restore_symbol(self, key: bytes, state: SymbolState) -> None:
        windows, name = self._windows, name_of(key)
        if windows.per_symbol:
            known = state.stream_time is not None and state.advanced_at is not None
            scope = Scope(order_of(name), state.stream_time or 0, state.advanced_at or 0) if known else Scope(order_of(name))
        else:
            scope = windows.scope_of(name)
        symbol = windows.symbols[key] = Symbol(key, name, scope)
        windows.new_keys.append(key)
        watermark = scope.stream_time - windows.config.grace
        for window in state.windows:
            if window.end > watermark:
                symbol.open(window)
                windows.add(scope, symbol, window.end, window.opened_at)
