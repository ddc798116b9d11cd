"""Symbols with their open windows; scopes, which share one stream time, and when a scope closes by idling."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from msgspec.json import encode as encode_json

if TYPE_CHECKING:
    from decimal import Decimal

    from tables.state import Close
    from tables.window import Window

NEVER = 1 << 62  # later than any time
UNKNOWN = -NEVER  # stream time before the first tick


def order_of(name: tuple[str, str]) -> str:
    """A text that sorts like the pair, but faster. Names contain no control characters."""
    return f"{name[0]}\0{name[1]}"


def head_of(name: tuple[str, str]) -> str:
    """The beginning of the JSON of a symbol's bars."""
    return encode_json({"broker": name[0], "symbol": name[1]}).decode()[:-1] + ","


class Symbol:
    """One (broker, symbol) with its open windows."""

    __slots__ = ("current", "dirty", "json", "key", "name", "order", "others", "scope", "written")

    def __init__(self, key: bytes, name: tuple[str, str], scope: Scope) -> None:
        self.key = key
        self.name = name
        self.order = order_of(name)
        self.json = head_of(name)  # the beginning of its bars' JSON
        self.scope = scope
        self.current: Window | None = None  # the open window that took the last tick
        self.others: dict[int, Window] = _NONE  # its other open windows, by end
        self.dirty = False  # changed since the last checkpoint
        self.written = 0  # number of the checkpoint that last wrote its state; negative if it wrote none, as nothing was open

    @property
    def resting(self) -> bool:
        """Whether it has no open window."""
        return self.current is None and not self.others

    def windows(self) -> list[Window]:
        """All open windows. Usually there is one; a dictionary for it would double a symbol's memory."""
        others = self.others
        if self.current is None:
            return [*others.values()]
        return [self.current, *others.values()] if others else [self.current]

    def switch_to(self, end: int) -> Window | None:
        """Make the open window with this end the current one and return it; None, with nothing changed, where there is none."""
        current = self.current
        if current is not None and current.end == end:
            return current
        window = self.others.get(end)
        if window is not None:
            del self.others[end]
            self.open(window)
        return window

    def open(self, window: Window) -> None:
        """Add a window and make it the current one."""
        if self.current is not None:
            if self.others is _NONE:
                self.others = {}
            self.others[self.current.end] = self.current
        self.current = window

    def fold(self, price: Decimal, qty: Decimal | None, ts: int, seq: int, offset: int) -> None:
        """Add a tick to the current window."""
        if self.current is not None:
            self.current.fold(price, qty, ts, seq, offset)


_NONE: dict[int, Window] = {}  # shared by all symbols without a second window; never changed


class Longer:
    """The open longer windows of one symbol, and how many revisions of its bars are due.

    It outlives the `Symbol`, as it may have to wait for the end of the month. With 100,000 symbols there may be half a
    million of these windows: each is the bytes of its state (`pack_window`).
    """

    __slots__ = ("changed", "close", "due", "key", "name", "record_key", "scope", "states", "written")

    def __init__(self, key: bytes, name: tuple[str, str], scope: Scope, frames: int) -> None:
        self.key = key
        self.record_key = longer_key(key)  # in the changelog
        self.name = name
        self.scope = scope
        self.states: list[bytes | None] = [None] * frames
        self.due = 0  # how many revisions are
        self.close: Close | None = None  # of the day, where flat bars are made
        self.changed = False  # since the last checkpoint
        self.written = 0  # as in `Symbol`

    @property
    def order(self) -> str:
        """See `order_of`."""
        return order_of(self.name)

    @property
    def json(self) -> str:
        """The beginning of its bars' JSON."""
        return head_of(self.name)


def longer_key(key: bytes) -> bytes:
    """Record key of a symbol's `Longer`. No tick has such a key: names have no `|`."""
    return b"%b|+" % key


class LongerBucket:
    """The open longer windows of a scope in one frame, which have the same bounds (epoch ms): there is never more than one."""

    __slots__ = ("end", "head", "members", "start")

    def __init__(self, start: int, end: int, head: bytes) -> None:
        self.head = head  # how its windows' states begin in the changelog
        self.start = start
        self.end = end
        self.members: list[Longer] = []


class Bucket:
    """The open windows of a scope that have the same end. Times are epoch ms."""

    __slots__ = ("end", "last_opened_at", "symbols")

    def __init__(self, end: int, last_opened_at: int) -> None:
        self.end = end
        self.last_opened_at = last_opened_at  # arrival of the last tick that opened one of them
        self.symbols: list[Symbol] = []


class Scope:
    """A stream time, and the open windows of all symbols that share it. Times are epoch ms."""

    __slots__ = (
        *("advanced_at", "buckets", "deadline", "entry", "flat_end", "key", "longer", "longer_end", "stream_time", "written"),
    )

    def __init__(self, key: str, stream_time: int = UNKNOWN, advanced_at: int = 0) -> None:
        self.key = key  # the broker, "" for the partition, or the `order` of the one symbol
        self.stream_time = stream_time
        self.advanced_at = advanced_at  # arrival of the record that moved stream time
        self.buckets: dict[int, Bucket] = {}  # by end
        self.longer: list[LongerBucket | None] = []  # open longer windows, by frame; empty until the first one opens
        self.longer_end = NEVER  # the earliest end of those
        self.flat_end = NEVER  # the earliest end of a window that may have to be flat; silence does not close it
        self.deadline = NEVER  # stream time at which the earliest end closes
        self.entry = NEVER  # due time of this scope's valid entry in the wheel
        self.written = 0  # number of the checkpoint that last wrote its record; not for scope `symbol`

    @property
    def record_key(self) -> bytes:
        """Key of its record in the changelog, `broker|`. No tick has such a key, as a symbol is never empty."""
        return f"{self.key}|".encode()

    def due(self, grace: int) -> tuple[int, int]:
        """`(D, end)` of the end that closes first by idling; `(NEVER, NEVER)` where no window is open.

        D is an arrival time, the later of two. One is when stream time, extended by the arrival time that has passed since
        it moved, reaches end + grace. The other is grace after the arrival of the last tick that opened a window with this
        end: otherwise a window that a burst opens after a stall would be due at once. A longer window is never due before the
        windows inside it, so one that has any open does not count.
        """
        lead = self.advanced_at - self.stream_time + grace
        soonest = first = NEVER
        for end, bucket in self.buckets.items():
            at, filled = lead + end, bucket.last_opened_at + grace
            if filled > at:  # noqa: PLR1730  # twice as fast as max()
                at = filled
            if at < soonest or (at == soonest and end < first):
                soonest, first = at, end
        longer = self.longer_end
        return (longer + lead, longer) if longer != NEVER and self.is_longer_only(longer) else (soonest, first)

    def is_longer_only(self, end: int) -> bool:
        """Whether no window with this end or an earlier one is open, other than longer ones."""
        return not self.buckets or end < min(self.buckets)

    def settle(self, grace: int) -> None:
        """Recompute the deadline after windows opened or closed."""
        first = min(self.buckets) if self.buckets else NEVER
        if self.longer:
            self.longer_end = min((bucket.end for bucket in self.longer if bucket is not None), default=NEVER)
            first = min(first, self.longer_end)
        first = min(first, self.flat_end)
        self.deadline = NEVER if first == NEVER else first + grace


class Resting(msgspec.Struct, gc=False, eq=False):
    """All that is kept of a symbol without open windows under scope `symbol`, whose clock must never be forgotten.

    It takes a quarter of a `Symbol`'s memory. Times are epoch ms.
    """

    stream_time: int
    advanced_at: int
    written: int  # as in `Symbol`: its state in the changelog stays as it is
