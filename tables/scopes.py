"""Symbols with their open windows; scopes, which share one stream time, and when a scope closes by idling."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from msgspec.json import encode as encode_json

if TYPE_CHECKING:
    from tables.window import Window

NEVER = 1 << 62  # later than any time
UNKNOWN = -NEVER  # stream time before the first tick


def order_of(name: tuple[str, str]) -> str:
    """A text that sorts like the pair, but faster. Names contain no control characters."""
    return f"{name[0]}\0{name[1]}"


def _head_of(name: tuple[str, str]) -> str:
    return encode_json({"broker": name[0], "symbol": name[1]}).decode()[:-1] + ","


class Symbol:
    """One (broker, symbol) with its open windows."""

    __slots__ = ("current", "dirty", "json", "key", "name", "order", "others", "scope", "written")

    def __init__(self, key: bytes, name: tuple[str, str], scope: Scope) -> None:
        self.key = key
        self.name = name
        self.order = order_of(name)
        self.json = _head_of(name)  # the beginning of its bars' JSON
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


_NONE: dict[int, Window] = {}  # shared by all symbols without a second window; never changed


class Bucket:
    """The open windows of a scope that have the same end. Times are epoch ms."""

    __slots__ = ("end", "last_opened_at", "symbols")

    def __init__(self, end: int, last_opened_at: int) -> None:
        self.end = end
        self.last_opened_at = last_opened_at  # arrival of the last tick that opened one of them
        self.symbols: list[Symbol] = []


class Scope:
    """A stream time, and the open windows of all symbols that share it. Times are epoch ms."""

    __slots__ = ("advanced_at", "buckets", "deadline", "entry", "key", "stream_time", "written")

    def __init__(self, key: str, stream_time: int = UNKNOWN, advanced_at: int = 0) -> None:
        self.key = key  # the broker, "" for the partition, or the `order` of the one symbol
        self.stream_time = stream_time
        self.advanced_at = advanced_at  # arrival of the record that moved stream time
        self.buckets: dict[int, Bucket] = {}  # by end
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
        end: otherwise a window that a burst opens after a stall would be due at once.
        """
        lead = self.advanced_at - self.stream_time + grace
        soonest = first = NEVER
        for end, bucket in self.buckets.items():
            at, filled = lead + end, bucket.last_opened_at + grace
            if filled > at:  # noqa: PLR1730  # twice as fast as max()
                at = filled
            if at < soonest or (at == soonest and end < first):
                soonest, first = at, end
        return soonest, first

    def settle(self, grace: int) -> None:
        """Recompute the deadline after windows opened or closed."""
        self.deadline = min(self.buckets) + grace if self.buckets else NEVER


class Resting(msgspec.Struct, gc=False, eq=False):
    """All that is kept of a symbol without open windows under scope `symbol`, whose clock must never be forgotten.

    It takes a quarter of a `Symbol`'s memory. Times are epoch ms.
    """

    stream_time: int
    advanced_at: int
    written: int  # as in `Symbol`: its state in the changelog stays as it is
