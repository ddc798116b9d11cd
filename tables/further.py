"""What a symbol has beside its open base windows, each with a record of its own in the changelog.

These are its open longer windows, and the revisions of its bars that are due. A record is written when it changed, and deleted
when nothing is left.
"""

from __future__ import annotations

from collections.abc import Mapping
from operator import attrgetter
from typing import NamedTuple, TypeGuard, cast

from tables.core import Core
from tables.scopes import Longer, Scope, Symbol, head_of

key_of = attrgetter("key")


class Revision:
    """Late ticks of a closed window that will make one revised bar together. Times are epoch ms."""

    __slots__ = ("added", "changed", "due", "end", "frame", "number", "owner", "record_key", "start", "state", "written")

    def __init__(self, owner: Longer, frame: int, start: int, end: int) -> None:
        self.owner = owner
        self.record_key = revision_key(owner.key, frame, start)
        self.frame = frame  # 0: the base window; else one more than the frame's index
        self.start = start
        self.end = end
        self.number = 0  # of the revision that was published last
        self.added = 0  # late ticks since then
        self.due = 0  # arrival
        self.state: bytes | None = None  # of the window with these ticks; None: no revision is due
        self.changed = False
        self.written = 0

    @property
    def order(self) -> tuple[int, int, str]:
        """Of revisions that are due at the same time."""
        return self.frame, self.end, self.owner.order

    @property
    def key(self) -> bytes:
        """`broker|symbol`."""
        return self.owner.key

    @property
    def name(self) -> tuple[str, str]:
        """Broker and symbol."""
        return self.owner.name

    @property
    def json(self) -> str:
        """The beginning of its bar's JSON."""
        return head_of(self.owner.name)


class Whose(NamedTuple):
    """Broker and symbol of something that has no object of its own."""

    name: tuple[str, str]


class Settled:
    """The record of closed windows of one symbol that can still be corrected, and whose bars lie far back in their topics."""

    __slots__ = ("changed", "key", "record_key", "scope", "slots", "written")

    def __init__(self, key: bytes, record_key: bytes, scope: str) -> None:
        self.key = key  # `broker|symbol`
        self.record_key = record_key
        self.scope = scope  # its key
        self.slots: set[int] = set()  # which windows, see `tables.kept`
        self.changed = False
        self.written = 0


def revision_key(key: bytes, frame: int, start: int) -> bytes:
    """Record key of a revision that is due. No tick has such a key: names have no `|`."""
    return b"%b|%d@%d" % (key, frame, start)


def is_further(key: bytes) -> bool:
    """Whether a record of the changelog is one of these."""
    return key.count(b"|") > 1 and not key.rpartition(b"|")[2].isdigit()


Item = Longer | Revision | Settled


def is_longer(item: object) -> TypeGuard[Longer]:
    """Whether it is what a symbol has of longer windows, of either core: nothing else here has states."""
    return hasattr(item, "states")


def is_item(stored: object) -> TypeGuard[Item]:
    """Whether it is any of these."""
    return isinstance(stored, Revision | Settled) or is_longer(stored)


class Further:
    """All of one partition."""

    def __init__(self, frames: int, core: Core, *, per_symbol: bool) -> None:
        self._make, self._longers_of, self._forget = core.longer, core.longers_of, core.forget_longer
        self.items: dict[bytes, Item] = {}  # by record key
        self.known: dict[bytes, Longer] = {}  # what there is of a symbol, by `broker|symbol`
        self.changed: list[Item] = []  # since `take_changed`
        self.per_symbol = per_symbol
        self._frames = frames

    def mark(self, item: Item) -> None:
        """The next checkpoint must write this record."""
        if not item.changed:
            item.changed = True
            self.changed.append(item)

    def take_changed(self) -> list[Item]:
        """What changed since the last call."""
        changed, self.changed = self.changed, []
        for item in changed:
            item.changed = False
        return changed

    def longer_of(self, key: bytes, name: tuple[str, str], scope: Scope) -> Longer:
        """The one of a symbol, created on first use."""
        found = self.known.get(key)
        if found is None:
            found = self.known[key] = self._make(key, name, scope, self._frames)
            self.items[found.record_key] = found
        return found

    def longers_of(self, symbols: list[Symbol], scope: Scope) -> list[Longer]:
        """Those of many symbols."""
        if self._longers_of is not None:
            return self._longers_of(symbols, lambda symbol: self.longer_of(symbol.key, symbol.name, scope))
        found = [*map(self.known.get, map(key_of, symbols))]
        if None in found:
            return [one or self.longer_of(symbol.key, symbol.name, scope) for one, symbol in zip(found, symbols, strict=True)]
        return cast("list[Longer]", found)

    def revision_of(self, owner: Longer, frame: int, start: int, end: int) -> Revision:
        """That of a window, created on first use."""
        found = self.items.get(revision_key(owner.key, frame, start))
        if found is None:
            found = Revision(owner, frame, start, end)
            self.items[found.record_key] = found
        assert isinstance(found, Revision)  # noqa: S101  # it has the key of one
        return found

    def settled_of(self, key: bytes, group: int, scope: str) -> Settled:
        """One of a symbol's records of windows that have closed, created on first use."""
        record_key = b"%b|=%d" % (key, group)
        found = self.items.get(record_key)
        if found is None:
            found = self.items[record_key] = Settled(key, record_key, scope)
        assert isinstance(found, Settled)  # noqa: S101  # it has the key of one
        return found

    def longer(self) -> list[Longer]:
        """All symbols that have any of this."""
        return [*self.known.values()]

    def drop(self, item: Item, symbols: Mapping[bytes, Symbol]) -> None:
        """Forget what has nothing left. `symbols`: the partition's, by key."""
        self.items.pop(item.record_key, None)
        if is_longer(item):
            self.known.pop(item.key, None)
            symbol = symbols.get(item.key)
            if self._forget is not None and symbol is not None:
                self._forget(symbol)
