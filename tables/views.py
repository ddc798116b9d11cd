"""The state of the engines for readers: open windows and stream times, as read-only mappings and one by one.

windows = OpenWindowsView(lambda: engines)
windows["fxpro|EURUSD|1399248000000"]["close"]   # Decimal("1.38691")
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from heapq import nsmallest
from typing import Any

from tables.emission import lacks_ticks
from tables.engine import Engine
from tables.scopes import UNKNOWN, Symbol
from tables.ticks import PER_SECOND
from tables.window import Window

Engines = Callable[[], Iterable[Engine]]  # those of the partitions that this worker owns now


class OpenWindowsView(Mapping[str, dict[str, Any]]):
    """Open windows by `broker|symbol|<start epoch ms>`, the key that the bar will have.

    A value holds the bar so far, by the names of the bar's JSON; prices and quantities are Decimal, times epoch ms. Values are
    copies: they do not follow the window.
    """

    def __init__(self, engines: Engines) -> None:
        self._engines = engines

    def __getitem__(self, key: str) -> dict[str, Any]:
        name, _, start = str(key).rpartition("|")
        for engine in self._engines():
            symbol = engine.symbols.get(name.encode())
            if symbol is not None:
                for window in symbol.windows():
                    if str(window.end - engine.config.window_size) == start:
                        return bar_so_far(engine, symbol, window)
        raise KeyError(key)

    def __iter__(self) -> Iterator[str]:
        """Keys in no order. The engines must not be fed meanwhile."""
        for engine in self._engines():
            for record_key, symbol in engine.symbols.items():
                for window in symbol.windows():
                    yield f"{record_key.decode()}|{window.end - engine.config.window_size}"

    def __len__(self) -> int:
        """How many windows are open."""
        return sum(engine.open_windows for engine in self._engines())


class StreamTimesView(Mapping[str, int]):
    """Stream time (epoch ms) by scope: by broker, by `*` for a partition, or by `broker|symbol`."""

    def __init__(self, engines: Engines) -> None:
        self._engines = engines

    def __getitem__(self, key: str) -> int:
        for scope, stream_time in self._pairs():
            if scope == key:
                return stream_time
        raise KeyError(key)

    def __iter__(self) -> Iterator[str]:
        return (scope for scope, _ in self._pairs())

    def __len__(self) -> int:
        """How many scopes have a stream time."""
        return sum(1 for _ in self._pairs())

    def _pairs(self) -> Iterator[tuple[str, int]]:
        """Each scope with its stream time. A broker may have one in several partitions: the last counts."""
        found: dict[str, int] = {}
        for engine in self._engines():
            if engine.config.scope == "symbol":
                for key, symbol in engine.symbols.items():
                    found[key.decode()] = symbol.scope.stream_time
                for key, resting in engine.windows.resting.items():
                    found[key.decode()] = resting.stream_time
            for scope, (stream_time, _) in engine.stream_times().items():
                found[scope or "*"] = max(stream_time, found.get(scope or "*", stream_time))
        yield from found.items()


def stream_time_of(engine: Engine, broker: str, symbol: str) -> int | None:
    """Stream time (epoch ms) of the scope that a symbol belongs to; None before the scope's first tick."""
    kind, windows = engine.config.scope, engine.windows
    if kind == "symbol":
        key = f"{broker}|{symbol}".encode()
        known = windows.symbols.get(key)
        clock = windows.resting.get(key) if known is None else known.scope
    else:
        clock = windows.scopes.get(broker if kind == "broker" else "")
    return None if clock is None or clock.stream_time == UNKNOWN else clock.stream_time


def first_stream_times(engine: Engine, limit: int) -> tuple[dict[str, tuple[int, int]], int]:
    """Stream time, and the arrival that moved it, of the first scopes by name, and how many more scopes there are.

    The scope of a partition is called `*`. There are none under scope `symbol`.
    """
    scopes = engine.windows.scopes
    first = {name or "*": (scopes[name].stream_time, scopes[name].advanced_at) for name in nsmallest(limit, scopes)}
    return first, len(scopes) - len(first)


def is_partial(engine: Engine, window: Window) -> bool:
    """Whether an open window may lack ticks that came before the cut, see `Engine.cut`."""
    return lacks_ticks(window, engine.config.window_size, PER_SECOND[engine.config.time_unit], engine.cut)


def bar_so_far(engine: Engine, symbol: Symbol, window: Window) -> dict[str, Any]:
    """What the bar of an open window would say if it closed now, without its evidence."""
    broker, name = symbol.name
    per_second = PER_SECOND[engine.config.time_unit]
    return {
        "broker": broker,
        "symbol": name,
        "bucket_start": window.end - engine.config.window_size,
        "bucket_end": window.end,
        "open": window.open,
        "high": window.high,
        "low": window.low,
        "close": window.close,
        "volume": window.volume,
        "vwap": window.vwap(),
        "ticks": window.ticks,
        "first_ts": window.open_ts * 1_000 // per_second,
        "last_ts": window.close_ts * 1_000 // per_second,
    }
