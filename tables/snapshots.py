"""The records of symbols and scopes as a checkpoint stores them, and how an engine restores them.

A symbol's state is written when a tick changed it. Closed windows need no record: stream time implies them, because every
window with end + grace <= stream time is closed. The clock of a scope has a record of its own, written when it moved. So the
position stays small, however many brokers there are. Under scope `symbol` the state of each symbol holds its clock. A state
with many open windows is split: `broker|symbol` holds the first of them, `broker|symbol|1` and so on hold the others.

A clock is never forgotten: it alone says that a tick is late, and a window must not be published twice.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain
from operator import attrgetter
from typing import Any, NamedTuple, TypeGuard

from tables.core import StateRecords
from tables.further import Item, is_further, is_item
from tables.open_windows import OpenWindows
from tables.progress import Progress
from tables.scopes import Resting, Scope, Symbol, order_of
from tables.state import FurtherState, SymbolState, encode_state
from tables.ticks import name_of
from tables.window import Window

WINDOWS_PER_RECORD = 16  # with the longest numbers these take less than the smallest batch that a topic must accept
_end_of = attrgetter("end")
Stored = Symbol | Scope | Resting | Item  # what has a record in the changelog; `written` is its checkpoint's number
Records = list[tuple[bytes, bytes | None]]  # key and value; None deletes


class Published(NamedTuple):
    """A window as its newest bar left it: the frame (empty for the base), `broker|symbol`, and what `pack_window` gave."""

    frame: str
    key: bytes
    start: int
    state: bytes
    revision: int


@dataclass
class Beyond:
    """What a checkpoint stored beside open base windows and clocks.

    `published`: windows that it had published, in the order of their topics, revisions after finals. They may be corrected.
    """

    states: dict[bytes, FurtherState] = field(default_factory=dict)
    published: list[Published] = field(default_factory=list)


class Snapshots:
    """Stores and restores the open windows and the clocks of one partition."""

    def __init__(self, windows: OpenWindows, progress: Progress) -> None:
        self._windows = windows
        self._progress = progress
        # whether the state of a symbol without open windows stays in the changelog: under scope `symbol`, for its clock
        self.keeps_states = windows.per_symbol
        self._parts: dict[bytes, int] = {}  # symbols whose state in the changelog is split: how many more records it has

    @property
    def symbols(self) -> Mapping[bytes, Symbol]:
        """Symbols with open windows, and those that have not been let go yet, by record key."""
        return self._windows.symbols

    @property
    def usually_open(self) -> int:
        """The most windows that were open at once lately."""
        return self._windows.usually_open(self._progress.arrival)

    @property
    def closed_symbols(self) -> int:
        """How many symbols have no open window, at least."""
        return len(self._windows.symbols) - self._windows.count

    @property
    def due(self) -> int:
        """About how many states a checkpoint would write now."""
        windows = self._windows
        further = 0 if windows.after is None else len(windows.after.further.changed)
        return further + (len(windows.changed) if windows.per_symbol else min(len(windows.changed), windows.count))

    def everything(self) -> Iterator[tuple[bytes, Stored]]:
        """All that may have a record, with its key."""
        yield from self._windows.symbols.items()
        yield from self._windows.resting.items()
        for scope in self._windows.scopes.values():
            yield scope.record_key, scope
        if self._windows.after is not None:
            yield from self._windows.after.further.items.items()

    def find(self, key: bytes) -> Stored | None:
        """What has this record key; None where it was forgotten."""
        windows = self._windows
        symbol = windows.symbols.get(key)
        if symbol is not None:  # first, as nearly all are symbols
            return symbol
        if is_scope(key):
            return windows.scopes.get(_scope_key(key))
        if windows.after is not None and is_further(key):
            return windows.after.further.items.get(key)
        return windows.resting.get(key)

    def take_changed(self) -> tuple[list[Symbol], list[Scope]]:
        """The symbols and scopes whose records may have changed since the last call."""
        return self._windows.take_changed()

    def take_further(self) -> list[Item]:
        """What changed since the last call of longer windows and revisions."""
        after = self._windows.after
        return [] if after is None else after.further.take_changed()

    def value_of(self, item: Item) -> bytes | None:
        """The value of the record of one of these; None deletes it. What has nothing left is forgotten."""
        after = self._windows.after
        if after is None:
            return None
        value = after.record_of(item)
        if value is None and not after.is_needed(item):
            after.further.drop(item, self._windows.symbols)
        return value

    def longer_records(self, items: list[Item], at: int, number: int, keys: list[bytes]) -> tuple[StateRecords | None, int]:
        """As `states_of`, of those that `take_further` gives."""
        many = self._windows.core.longer_records
        return (None, at) if many is None else many(items, at, number, keys)

    def skip_written(self, keys: list[bytes], number: int, visits: int) -> int:
        """Remove keys from the end of a list whose records later checkpoints than this one have written, with the native core.

        `visits`: at most so many. Returns how many are left.
        """
        core, after = self._windows.core, self._windows.after
        if core.skip_written is None:
            return visits
        return core.skip_written(self._windows.symbols, {} if after is None else after.further.items, keys, number, visits)

    def state_of(self, symbol: Symbol) -> bytes | None:
        """The value of a symbol's record, where it has exactly one; for all others there is `records_of`, which is slower."""
        windows = _windows_of(symbol)
        if len(windows) > WINDOWS_PER_RECORD or (self._parts and symbol.key in self._parts):
            return None
        if self.keeps_states:
            return self._windows.core.state_of(windows, symbol.scope.stream_time, symbol.scope.advanced_at)
        return self._windows.core.state_of(windows) if windows else None

    def states_of(self, symbols: list[Symbol], at: int, number: int, keys: list[bytes]) -> tuple[StateRecords | None, int]:
        """The records of usual symbols from a place on, and where that ended: at once with the core in Python.

        `number`: of the checkpoint; it is noted in each symbol. `keys` gets the keys of the records.
        """
        many = self._windows.core.states_of
        return (None, at) if many is None else many(symbols, at, number, keys, self._parts, self.keeps_states)

    def records_of(self, key: bytes, item: Stored) -> Records:
        """What the changelog must hold now; empty for a symbol without open windows, unless its state has a clock."""
        if is_item(item):
            after = self._windows.after
            value = None if after is None else after.record_of(item)
            return [] if value is None else [(key, value)]
        if _is_symbol(item):
            state = self.state_of(item)
            if state is not None:
                return [(key, state)]
            windows = _windows_of(item)
            return self._split(key, item, windows) if windows or self.keeps_states else []
        clock: Any = item  # a scope, or what is left of one
        return [(key, encode_state(((), clock.stream_time, clock.advanced_at)))]

    def _split(self, key: bytes, symbol: Symbol, windows: list[Window]) -> Records:
        """A state in several records; those that it had before and does not need now are deleted."""
        windows = self._windows.core.plain(windows)
        more, before = max(0, len(windows) - 1) // WINDOWS_PER_RECORD, self._parts.pop(key, 0)
        if more:
            self._parts[key] = more
        clock = (symbol.scope.stream_time, symbol.scope.advanced_at) if self.keeps_states else (None, None)
        records: Records = [(key, encode_state((windows[:WINDOWS_PER_RECORD], *clock, more)))]
        for number in range(1, more + 1):
            first = number * WINDOWS_PER_RECORD
            records.append((_part_key(key, number), encode_state((windows[first : first + WINDOWS_PER_RECORD],))))
        return records + [(_part_key(key, number), None) for number in range(more + 1, before + 1)]

    def let_go(self, symbol: Symbol) -> Records:
        """Drop a symbol without open windows. Returns its tombstones, which are none if `keeps_states`."""
        self._windows.let_go(symbol)
        if self.keeps_states:
            return []
        key = symbol.key
        return [(key, None), *((_part_key(key, number), None) for number in range(1, self._parts.pop(key, 0) + 1))]

    def restore(self, stream_times: Mapping[str, tuple[int, int]], states: Mapping[bytes, SymbolState]) -> None:
        """Restore the records of a changelog. `stream_times`: those that an older version kept in the position record."""
        windows = self._windows
        for key, state in states.items():
            if is_scope(key):
                windows.scopes[_scope_key(key)] = self._clock(_scope_key(key), state)
        for scope_key, (stream_time, advanced_at) in stream_times.items():
            scope = windows.scopes[scope_key] = windows.core.scope(scope_key, stream_time, advanced_at)
            windows.mark_moved(scope)  # the next position will not hold it
        for key, state in states.items():
            if not is_scope(key) and not _is_part(key):
                further = (states[_part_key(key, number)].windows for number in range(1, state.more + 1))
                self._restore_symbol(key, state, [*state.windows, *chain.from_iterable(further)])

    def restore_beyond(self, beyond: Beyond) -> None:
        """Restore longer windows, revisions and windows that can be corrected, after all else. Raises `BoundsMovedError`."""
        windows, after = self._windows, self._windows.after
        if after is None:
            return
        named = [(key := record.rpartition(b"|")[0], name_of(key), state) for record, state in beyond.states.items()]
        for scope in after.restore(self._scope_of, named):
            scope.settle(windows.config.grace)
            windows.schedule(scope)
        for frame, key, start, state, revision in beyond.published:
            after.keep_published(self._scope_of(key, name_of(key)), key, frame, start, state, revision)

    def _scope_of(self, key: bytes, name: tuple[str, str]) -> Scope:
        """The scope of a symbol, which may have been let go."""
        windows = self._windows
        if not windows.per_symbol:
            return windows.scope_of(name)
        symbol, rested = windows.symbols.get(key), windows.resting.get(key)
        if symbol is not None:
            return symbol.scope
        scope = windows.new_scope(key, name)
        if rested is not None:
            scope.stream_time, scope.advanced_at = rested.stream_time, rested.advanced_at
        return scope

    def _restore_symbol(self, key: bytes, state: SymbolState, stored: list[Window]) -> None:
        windows, name = self._windows, name_of(key)
        windows.new_keys.append(key)
        if state.more:
            self._parts[key] = state.more
        scope = self._clock(order_of(name), state) if windows.per_symbol else windows.scope_of(name)
        watermark = scope.stream_time - windows.config.grace
        opened = [window for window in stored if window.end > watermark]
        if windows.per_symbol and not opened:
            windows.resting[key] = Resting(scope.stream_time, scope.advanced_at, 0)
            return
        symbol = windows.symbols[key] = windows.core.symbol(key, name, scope)
        for window in opened:
            symbol.open(windows.core.adopted(window))
            windows.add(scope, symbol, window.end, window.opened_at)

    def _clock(self, key: str, state: SymbolState) -> Scope:
        if state.stream_time is None or state.advanced_at is None:
            return self._windows.core.scope(key)
        return self._windows.core.scope(key, state.stream_time, state.advanced_at)


def is_scope(key: bytes) -> bool:
    """Whether a record of the changelog has a scope's key, see `Scope.record_key`."""
    return key.endswith(b"|")


def _windows_of(symbol: Symbol) -> list[Window]:
    """The open windows in the order of their ends: a state does not tell in which order they took their ticks."""
    windows = symbol.windows()
    return sorted(windows, key=_end_of) if len(windows) > 1 else windows


def _is_symbol(item: Stored) -> TypeGuard[Symbol]:
    """Whether it is a symbol, of either core: no other item has windows."""
    return hasattr(item, "windows")


def _is_part(key: bytes) -> bool:
    return key.count(b"|") > 1


def _part_key(key: bytes, number: int) -> bytes:
    """Key of a further record of a symbol's state. No tick has such a key: names have no `|`."""
    return b"%b|%d" % (key, number)


def _scope_key(key: bytes) -> str:
    return key[:-1].decode()
