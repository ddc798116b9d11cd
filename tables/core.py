"""What an engine is made of: the classes of windows, symbols and scopes, and what is done with many of them at once.

There are two cores that give the same results. Here is the one in Python. `tables.native` has the other, and chooses.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from operator import attrgetter
from typing import Any, NamedTuple, Protocol

from tables.packed import MergeAll, PackAll, Part, TakeStates, merge_all, merged, pack_all, packed, place_of, take_states
from tables.scopes import Bucket, Longer, Scope, Symbol
from tables.state import encode_state
from tables.window import Window, new_window

_by_order, _key_of = attrgetter("order"), attrgetter("key")
FirstWindow = Callable[[int, int, Decimal, Decimal | None, int, int, int], Window]


class StateRecords(Protocol):
    """Records of a checkpoint, once, which can also write themselves into a batch, see `app.kafka.batches.Run`."""

    def __len__(self) -> int:
        """How many are left."""

    def __iter__(self) -> Iterator[tuple[bytes, bytes, int | None, list[tuple[str, bytes]]]]:
        """Key, value, no timestamp, and no headers."""

    def write_into(self, builder: Any) -> bool:
        """Write those that are left. Returns whether all of them fitted."""


# of symbols, a place, the checkpoint's number, keys, split states and clocks: records, and the place where they stop
StatesOf = Callable[[list[Symbol], int, int, list[bytes], dict[bytes, int], bool], tuple[StateRecords, int]]
# of symbols and other items, a place, the checkpoint's number, and keys: records, and the place where they stop
LongerRecords = Callable[[list[Any], int, int, list[bytes]], tuple[StateRecords, int]]
# of symbols, other items, keys, a checkpoint's number and visits: how many visits are left
SkipWritten = Callable[[dict[Any, Symbol], dict[bytes, Any], list[bytes], int, int], int]


class Core(NamedTuple):
    """One of both. The native classes have the attributes of those in Python, so they stand for them in types as well."""

    name: str  # "python" or "native"
    new_symbols: Callable[[], dict[Any, Symbol]]  # an empty dictionary for symbols by record key
    symbol: Callable[[bytes, tuple[str, str], Scope], Symbol]
    scope: Callable[..., Scope]  # as `Scope`
    bucket: Callable[[int, int], Bucket]
    longer: Callable[[bytes, tuple[str, str], Scope, int], Longer]
    first_window: FirstWindow  # what a tick opens: end, arrival, price, quantity, and the tick's ts, seq and offset
    adopted: Callable[[Window], Window]  # a stored window as an engine holds it
    plain: Callable[[Sequence[Window]], list[Window]]  # windows as `tables.window` has them
    sort: Callable[[dict[Any, Symbol], list[Symbol]], None]  # some of the symbols, in place, by broker and symbol
    take_windows: Callable[[list[Symbol], int, bool, list[Symbol]], list[Window]]
    state_of: Callable[..., bytes]  # the value of a symbol's record: its windows and, under scope `symbol`, its clock
    packed: Callable[[Part, int], bytes]  # see `tables.packed`, also for those that follow
    merged: Callable[[bytes, Part], bytes]
    pack_all: PackAll
    merge_all: MergeAll
    take_states: TakeStates
    place_of: Callable[[Sequence[bytes], bytes], int]
    keys_of: Callable[[Sequence[Symbol | Longer]], tuple[bytes, ...]]
    states_of: StatesOf | None = None  # the records of many symbols at once, see `_native.pyx`
    longer_records: LongerRecords | None = None  # and those of their longer windows
    skip_written: SkipWritten | None = None  # passes over keys whose records were written again
    # what many symbols have of longer windows; the function gives that of a symbol which is not known to have any
    longers_of: Callable[[list[Symbol], Callable[[Symbol], Longer]], list[Longer]] | None = None
    forget_longer: Callable[[Symbol], None] | None = None  # of a symbol that remembers what it has of them


def first_window(end: int, arrival: int, price: Decimal, qty: Decimal | None, ts: int, seq: int, offset: int) -> Window:
    """The window that a first tick opens."""
    window = new_window(end, arrival, price, ts, seq, offset)
    if qty is not None:
        window.add_quantity(price, qty)
    return window


def take_windows(symbols: list[Symbol], end: int, per_symbol: bool, changed: list[Symbol]) -> list[Window]:  # noqa: FBT001  # see `Core`
    """Remove the windows with this end from their symbols.

    Only under scope `symbol` does a state hold stream time; elsewhere the position's implies the closed window. So there these
    symbols have changed.
    """
    windows: list[Window] = []
    for symbol in symbols:
        window = symbol.current
        # With no other open window, `current` must be it; reading `.end` would cost a cache miss.
        if window is not None and (not symbol.others or window.end == end):
            symbol.current = None
        else:
            window = symbol.others.pop(end)
        windows.append(window)
        if per_symbol and not symbol.dirty:
            symbol.dirty = True
            changed.append(symbol)
    return windows


def _sort(_symbols: dict[Any, Symbol], some: list[Symbol]) -> None:
    some.sort(key=_by_order)


def keys_of(items: Sequence[Symbol | Longer]) -> tuple[bytes, ...]:
    """The keys `broker|symbol`."""
    return tuple(map(_key_of, items))


def _state_of(windows: list[Window], *clock: int) -> bytes:
    return encode_state((windows, *clock))


PYTHON = Core(
    *("python", dict, Symbol, Scope, Bucket, Longer, first_window, lambda window: window, list, _sort, take_windows, _state_of),
    *(packed, merged, pack_all, merge_all, take_states, place_of, keys_of),
)
