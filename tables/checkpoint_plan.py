"""Which states a checkpoint writes, so that every live state lies near the end of the changelog.

A checkpoint writes the states of the symbols, and the clocks of the scopes, that changed. It also rewrites a few of the
oldest live records, so recovery reads only the end of the changelog: the open windows, not all earlier ones. A state whose
windows have all closed is not live: stream time implies that they are closed. What holds a clock is always live.

A tombstone waits. A symbol that keeps trading needs none, and is not created again for each window. Symbols without open
windows are let go when there are more of them than windows were open lately. They get their tombstones then, but not under
scope `symbol`, where their states stay.

    plan = CheckpointPlan(engine.snapshots, start=0, end=0)
    for records in plan.runs(): ...       # write them; None deletes
    plan.end = 7                          # once the writes are acknowledged
    plan.live_from                        # recovery need not read before this offset
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from tables.core import StateRecords
from tables.scopes import Symbol
from tables.snapshots import Records, Snapshots, Stored

Some = tuple[bytes, bytes | None] | StateRecords  # a record, or many
SPARE = 1_000  # so many more symbols without open windows are kept than windows were open lately
SWEEP = 20_000  # symbols that one checkpoint visits to find those without open windows


class CheckpointPlan:
    """The live records of one partition, by the checkpoint that wrote them."""

    def __init__(self, snapshots: Snapshots, start: int, end: int) -> None:
        """All that the engine holds has its record at offset `start` or later; `end` is the changelog's end offset."""
        self.end = end
        self._snapshots = snapshots
        self._number = 1
        keys: list[bytes] = []
        for key, item in snapshots.everything():
            item.written = 1
            keys.append(key)
        # (number, offset before its first record, keys). A key that a later round wrote is skipped when it is visited.
        self._rounds: deque[tuple[int, int, list[bytes]]] = deque([(1, start, keys)] if keys else [])
        self._to_sweep: list[Symbol] = []  # Symbols the sweep has still to visit, popped from the end.

    @property
    def live_from(self) -> int:
        """Every live state lies at this offset of the changelog or later."""
        return self._rounds[0][1] if self._rounds else self.end

    @property
    def overdue(self) -> bool:
        """Whether a checkpoint is needed even if nothing changed: too many symbols wait to be let go."""
        return self._snapshots.closed_symbols > self._snapshots.usually_open + SPARE

    def round(self) -> Iterator[tuple[bytes, bytes | None]]:
        """As `runs`, record by record."""
        for some in self.runs():
            if isinstance(some, tuple):
                yield some
            else:
                yield from ((key, state) for key, state, *_ in some)

    def runs(self) -> Iterator[Some]:
        """Yield key and state of everything this checkpoint writes. Exhaust it before the engine is fed again."""
        snapshots, number = self._snapshots, self._number + 1
        current: list[bytes] = []
        symbols, scopes = snapshots.take_changed()
        changes = len(symbols) + len(scopes)
        yield from self._symbols(symbols, number, current)
        for scope in scopes:
            key = scope.record_key
            yield from snapshots.records_of(key, scope)
            scope.written = number
            current.append(key)
        yield from self._further(number, current)
        changes = max(changes, len(current))
        overdue = self.overdue
        # More visits than changes, so that the oldest round ends at some time: until then it keeps forgotten keys in memory.
        visits = max(changes * 5 // 4 + 100, SWEEP if overdue else 0)
        for key, item, records in self._oldest(visits, writes=changes // 10 + 1):
            item.written = number
            current.append(key)
            yield from records
        if overdue:
            for symbol in self._resting(number):
                yield from snapshots.let_go(symbol)
        if current:
            self._rounds.append((number, self.end, current))
        self._number = number

    def _symbols(self, symbols: list[Symbol], number: int, current: list[bytes]) -> Iterator[Some]:
        """The records of symbols that changed."""
        snapshots = self._snapshots
        at, count = 0, len(symbols)
        while at < count:
            usual, at = snapshots.states_of(symbols, at, number, current)
            if usual:
                yield usual
            if at == count:
                break
            symbol = symbols[at]
            at += 1
            key = symbol.key
            state = snapshots.state_of(symbol)
            if state is not None:  # nearly always
                yield key, state
            elif records := snapshots.records_of(key, symbol):
                yield from records
            else:
                symbol.written = -number  # its states in the changelog are not live
                continue
            symbol.written = number
            current.append(key)

    def _further(self, number: int, current: list[bytes]) -> Iterator[Some]:
        """The records of longer windows and of revisions that changed."""
        snapshots = self._snapshots
        items, at = snapshots.take_further(), 0
        while at < len(items):
            usual, at = snapshots.longer_records(items, at, number, current)
            if usual:
                yield usual
            if at == len(items):
                break
            item = items[at]
            at += 1
            value = snapshots.value_of(item)
            if value is not None:
                current.append(item.record_key)
                yield item.record_key, value
            elif item.written > 0:
                yield item.record_key, None
            item.written = 0 if value is None else number

    def _oldest(self, visits: int, writes: int) -> Iterator[tuple[bytes, Stored, Records]]:
        """What has live records in the oldest round, as no later round wrote them: key, item, and the records."""
        rounds = self._rounds
        while rounds and visits and writes:
            number, _, keys = rounds[0]
            visits = self._snapshots.skip_written(keys, number, visits)
            if not visits:
                return
            if not keys:
                rounds.popleft()
                continue
            key = keys.pop()
            visits -= 1
            item = self._snapshots.find(key)
            if item is not None and item.written == number:
                records = self._snapshots.records_of(key, item)
                if records:
                    writes -= 1
                    yield key, item, records

    def _resting(self, number: int) -> Iterator[Symbol]:
        """Symbols without open windows that this round did not write, until few enough are left."""
        for _ in range(SWEEP):
            if not self._to_sweep:  # the sweep has visited all symbols: begin again
                self._to_sweep = list(self._snapshots.symbols.values())[::-1]
            symbol = self._to_sweep.pop()  # popped, so that nothing keeps a forgotten symbol in memory
            if symbol.resting and symbol.written != -number:
                yield symbol
                if not self.overdue:
                    return
