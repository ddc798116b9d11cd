"""Which states a checkpoint writes, so that what is live in the changelog stays near its end.

Besides what changed, each checkpoint visits some symbols of the oldest round that still holds a latest state: a state with
open windows is written again, one without is deleted. So recovery reads what is open, not what has been, and a tombstone is
written only for a symbol that did not trade again soon.

    changelog = Changelog(engine, start=0, end=0)
    for key, state in changelog.round(): ...   # write it; None deletes
    changelog.end = 7                          # once that is acknowledged
    changelog.live_from                        # nothing before it needs to be read
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from tables.clock import Symbol
from tables.restoring import Restoring

SPARE = 1_000  # symbols without open windows that may wait for their tombstone, beside as many as have some
AT_ONCE = 20_000  # visits in one checkpoint where there are more of them


class Changelog:
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

    @property
    def live_from(self) -> int:
        """Every live state has been written at this offset or later."""
        return self._rounds[0][1] if self._rounds else self.end

    @property
    def overdue(self) -> bool:
        """Whether a checkpoint is wanted even if nothing changed: too many symbols wait for their tombstone."""
        return self._engine.closed_symbols > self._engine.open_windows + SPARE

    def round(self) -> Iterator[tuple[bytes, bytes | None]]:
        """Key and state of what this checkpoint writes; to be used up before the engine is fed again."""
        engine, number = self._engine, self._number + 1
        current: list[Symbol] = []
        changed = engine.take_dirty()
        for symbol in changed:
            state = engine.state_of(symbol)
            if state is not None:
                symbol.written = number
                current.append(symbol)
                yield symbol.key, state
            elif not symbol.written:
                engine.forget(symbol)
        visits, writes = (AT_ONCE, AT_ONCE) if self.overdue else (len(changed) * 5 // 4 + 100, len(changed) // 10 + 1)
        for symbol in self._oldest(visits, writes):
            state = engine.state_of(symbol)
            if state is not None:
                symbol.written = number
                current.append(symbol)
            else:
                engine.forget(symbol)
            yield symbol.key, state
        if current:
            self._rounds.append((number, self.end, current))
        self._number = number

    def _oldest(self, visits: int, writes: int) -> Iterator[Symbol]:
        rounds = self._rounds
        while rounds and visits and writes:
            number, _, symbols = rounds[0]
            if not symbols:
                rounds.popleft()
                continue
            symbol = symbols.pop()
            visits -= 1
            if symbol.written == number:
                writes -= 1
                yield symbol
