"""Stream time of a scope, its open windows by their end, and when it is due to close by idling."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.json import encode as encode_json

if TYPE_CHECKING:
    from tables.window import Window

NEVER = 1 << 62  # later than any time
UNKNOWN = -NEVER  # stream time before the first tick


def order_of(name: tuple[str, str]) -> str:
    """Sorts as the pair does, and faster: names hold no control characters."""
    return f"{name[0]}\0{name[1]}"


def _head_of(name: tuple[str, str]) -> str:
    return encode_json({"broker": name[0], "symbol": name[1]}).decode()[:-1] + ","


class Symbol:
    """One (broker, symbol) with open windows, or, under scope `symbol`, with a clock."""

    __slots__ = ("current", "dirty", "json", "key", "name", "order", "others", "scope", "written")

    def __init__(self, key: bytes, name: tuple[str, str], scope: Scope) -> None:
        self.key = key
        self.name = name
        self.order = order_of(name)
        self.json = _head_of(name)  # how its bars begin
        self.scope = scope
        self.current: Window | None = None  # the open window that took the last tick
        self.others: dict[int, Window] = _NONE  # its other open windows, by end
        self.dirty = False  # changed since the last checkpoint
        self.written = 0  # number of the checkpoint that wrote its state last; negative if it found it changed and closed

    @property
    def resting(self) -> bool:
        """Whether it has no open window."""
        return self.current is None and not self.others

    def windows(self) -> list[Window]:
        """All open windows; usually there is one, and a dictionary for one would double what a symbol takes."""
        others = self.others
        if self.current is None:
            return [*others.values()]
        return [self.current, *others.values()] if others else [self.current]

    def turn_to(self, end: int) -> Window | None:
        """The open window with this end, as the current one; None, and nothing changed, where there is none."""
        current = self.current
        if current is not None and current.end == end:
            return current
        window = self.others.get(end)
        if window is not None:
            del self.others[end]
            self.open(window)
        return window

    def open(self, window: Window) -> None:
        """Put in a window, as the current one."""
        if self.current is not None:
            if self.others is _NONE:
                self.others = {}
            self.others[self.current.end] = self.current
        self.current = window


_NONE: dict[int, Window] = {}  # shared by all that have no other window, never changed


class Bucket:
    """The windows of a scope that share an end."""

    __slots__ = ("end", "opened", "symbols")

    def __init__(self, end: int, opened: int) -> None:
        self.end = end
        self.opened = opened  # arrival of the last tick that opened one of them
        self.symbols: list[Symbol] = []


class Scope:
    """What shares one stream time."""

    __slots__ = ("advanced_at", "buckets", "deadline", "entry", "key", "stream_time")

    def __init__(self, key: str, stream_time: int = UNKNOWN, advanced_at: int = 0) -> None:
        self.key = key  # the broker, "" for the partition, or the `order` of the one symbol
        self.stream_time = stream_time
        self.advanced_at = advanced_at  # arrival that moved stream time
        self.buckets: dict[int, Bucket] = {}  # by end
        self.deadline = NEVER  # stream time at which the earliest end closes
        self.entry = NEVER  # due time of this scope's valid entry in the wheel

    def due(self, grace: int) -> tuple[int, int]:
        """`(D, end)` of the end that closes first by idling; `(NEVER, NEVER)` where no window is open.

        D is the later of: the arrival time at which stream time, extended by the arrival time since it was set, reaches
        end + grace; and grace after the arrival of the last tick that opened a window with this end.
        """
        lead = self.advanced_at - self.stream_time + grace
        soonest = first = NEVER
        for end, bucket in self.buckets.items():
            at, filled = lead + end, bucket.opened + grace
            if filled > at:  # noqa: PLR1730  # twice as fast as max()
                at = filled
            if at < soonest or (at == soonest and end < first):
                soonest, first = at, end
        return soonest, first

    def settle(self, grace: int) -> None:
        """Work out the event-time deadline again after windows opened or closed."""
        self.deadline = min(self.buckets) + grace if self.buckets else NEVER
