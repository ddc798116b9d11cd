"""Which states a checkpoint writes, so that what is live in the changelog stays near its end.

Besides what changed, each checkpoint visits some symbols of the oldest round that still holds a latest state and writes those
with open windows again. A state whose windows have all closed is not live: stream time says that they have. So recovery reads
what is open, not what has been. The key's tombstone waits: a symbol that trades on needs none, and is not made anew each time.
It is written for symbols that rest while more of them do than windows were open lately.

    changelog = CheckpointPlan(engine, start=0, end=0)
    for key, state in changelog.round(): ...   # write it; None deletes
    changelog.end = 7                          # once that is acknowledged
    changelog.live_from                        # nothing before it needs to be read
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from tables.scopes import Symbol
from tables.snapshots import Restoring

SPARE = 1_000  # symbols without open windows that may rest beside as many as had some lately
AT_ONCE = 20_000  # symbols that one checkpoint looks at for it, where too many rest


class CheckpointPlan:
    """The live states of one partition, by the checkpoint that wrote them."""

    def __init__(self, engine: Restoring, start: int, end: int) -> None:
        """All symbols the engine holds have a state at offset `start` or later; `end` is the end of the changelog."""
        self.end = end
        self._engine = engine
        self._number = 1
        symbols = list(engine.symbols.values())
        for symbol in symbols:
            symbol.written = 1
        # (number, offset before its first state, symbols): one that a later round wrote again is passed over when visited
        self._rounds: deque[tuple[int, int, list[Symbol]]] = deque([(1, start, symbols)] if symbols else [])
        self._ahead: list[Symbol] = []  # of the hand of a clock that goes round all symbols; the next one is the last

    @property
    def live_from(self) -> int:
        """Every live state has been written at this offset or later."""
        return self._rounds[0][1] if self._rounds else self.end

    @property
    def overdue(self) -> bool:
        """Whether a checkpoint is wanted even if nothing changed: too many symbols wait for their tombstone."""
        return self._engine.closed_symbols > self._engine.usually_open + SPARE

    def round(self) -> Iterator[tuple[bytes, bytes | None]]:
        """Key and state of what this checkpoint writes; to be used up before the engine is fed again."""
        engine, number = self._engine, self._number + 1
        current: list[Symbol] = []
        changed = engine.take_dirty()
        for symbol in changed:
            state = engine.state_of(symbol)
            if state is None:
                symbol.written = -number  # whatever is written of it is not live
            else:
                symbol.written = number
                current.append(symbol)
                yield symbol.key, state
        overdue = self.overdue
        # some more visits than changes, or the oldest round would never be through; it holds on to symbols that are let go, too
        visits = max(len(changed) * 5 // 4 + 100, AT_ONCE if overdue else 0)
        for symbol, state in self._oldest(visits, writes=len(changed) // 10 + 1):
            symbol.written = number
            current.append(symbol)
            yield symbol.key, state
        if overdue:
            for symbol in self._resting(number):
                engine.forget(symbol)
                yield symbol.key, None
        if current:
            self._rounds.append((number, self.end, current))
        self._number = number

    def _oldest(self, visits: int, writes: int) -> Iterator[tuple[Symbol, bytes]]:
        """Symbols of the oldest round whose state in it is the latest, and live."""
        rounds = self._rounds
        while rounds and visits and writes:
            number, _, symbols = rounds[0]
            if not symbols:
                rounds.popleft()
                continue
            symbol = symbols.pop()
            visits -= 1
            if symbol.written == number:
                state = self._engine.state_of(symbol)
                if state is not None:
                    writes -= 1
                    yield symbol, state

    def _resting(self, number: int) -> Iterator[Symbol]:
        """Symbols without open windows that this round did not change, until no more of them are overdue."""
        for _ in range(AT_ONCE):
            if not self._ahead:  # once round: on with those that are there now
                self._ahead = list(self._engine.symbols.values())[::-1]
            symbol = self._ahead.pop()  # nothing may hold on to one that is let go
            if symbol.resting and symbol.written != -number:
                yield symbol
                if not self.overdue:
                    return
