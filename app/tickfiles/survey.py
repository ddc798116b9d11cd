"""Looks through all rows before one is sent: how many there are, and what would become of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from app.kafka.partitioner import partition_of
from app.settings import Settings
from app.settings.types import ScopeKind
from app.tickfiles.reading import BadRowError, RefusedRowError, Row
from app.tickfiles.sources import Source

Scope = tuple[int, str]  # a partition, and what shares one stream time in it: a broker, a record key, or nothing further
StreamTimes = Mapping[Scope, int]  # epoch ms
UNKNOWN = -(1 << 62)
STEP = 5_000  # rows


@dataclass
class Part:
    """One stream of rows. `late`: those behind the topic, `disordered`: those behind other rows of the files."""

    source: Source
    rows: int = 0
    skipped: int = 0
    first: int = UNKNOWN  # event times, epoch ms
    last: int = UNKNOWN
    late: int = 0
    disordered: int = 0
    disordered_at: int = 0  # the number of the first of them
    disorder: int = 0  # how far they are behind at most, ms
    behind: Scope = (0, "")  # the scope of the last late row


@dataclass
class Survey:
    """All streams. The examples are the first row of their kind, as messages."""

    parts: list[Part] = field(default_factory=list)
    keys: set[bytes] = field(default_factory=set)
    refused: Counter[str] = field(default_factory=Counter)  # by reason
    examples: dict[str, str] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        """How many rows can be sent, among them those that a worker would reject."""
        return sum(part.rows for part in self.parts)

    @property
    def late(self) -> int:
        """How many rows are late because the topic is already past their windows."""
        return sum(part.late for part in self.parts)

    @property
    def disordered(self) -> int:
        """How many rows are late because rows that are later by more than the grace come before them."""
        return sum(part.disordered for part in self.parts)

    @property
    def out_of_time(self) -> int:
        """How many rows lie before `min_ts` or in the future."""
        return self.refused["ts"] + self.refused["future"]


class Scopes:
    """Which rows share one stream time, as the setting `scope` says."""

    def __init__(self, settings: Settings, partitions: int) -> None:
        self.kind, self._partitions = settings.scope, partitions
        self._known: dict[bytes, Scope] = {}

    def of(self, key: bytes) -> Scope:
        """The scope of a record key."""
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = partition_of(key, self._partitions), self.name(key.decode())
        return found

    def name(self, key: str) -> str:
        """The scope's part of a record key `broker|symbol`."""
        if self.kind is ScopeKind.SYMBOL:
            return key
        return key.partition("|")[0] if self.kind is ScopeKind.BROKER else ""


class Surveyor:
    """Takes the rows of one stream after another."""

    def __init__(self, settings: Settings, scopes: Scopes, reached: StreamTimes, *, streams: int) -> None:
        """`reached`: the stream times of the topic. `streams`: how many there are; rows of others may come in between."""
        self.survey = Survey()
        self._size, self._grace = settings.window_size, settings.grace
        self._scopes, self._reached = scopes, reached
        self._apart = streams == 1 or scopes.kind is ScopeKind.SYMBOL

    def part(self, source: Source, rows: Iterator[Row | BadRowError], skip: Callable[[BadRowError], bool]) -> Iterator[int]:
        """Look through one stream; yields the number of its rows now and then. `skip`: whether a bad row is left out."""
        part, latest = Part(source), dict[Scope, int]()
        self.survey.parts.append(part)
        for row in rows:
            if isinstance(row, BadRowError):
                self._take_bad(part, row, skip)
            else:
                self._take(part, row, latest)
            if (part.rows + part.skipped) % STEP == 0:
                yield part.rows

    def _take_bad(self, part: Part, row: BadRowError, skip: Callable[[BadRowError], bool]) -> None:
        refused = row.row if isinstance(row, RefusedRowError) else None
        if isinstance(row, RefusedRowError):
            self.survey.refused[row.reason] += 1
            self.survey.examples.setdefault(row.reason, str(row))
        if skip(row) or refused is None:
            part.skipped += 1
        else:
            self._count(part, refused)

    def _count(self, part: Part, row: Row) -> None:
        self.survey.keys.add(row.key)
        if not part.rows:
            part.first = row.ts_ms
        part.rows += 1

    def _take(self, part: Part, row: Row, latest: dict[Scope, int]) -> None:
        """A row is late if its window + grace ends at or before the stream time: the topic's, or that of the rows before it.

        Where rows of other streams may come in between, these may have taken any scope as far as this stream is.
        """
        self._count(part, row)
        ms, scope = row.ts_ms, self._scopes.of(row.key)
        closes = ms - ms % self._size + self._size + self._grace
        place = scope if self._apart else _ALL
        before = latest.get(place, UNKNOWN)
        if closes <= self._reached.get(scope, UNKNOWN):
            part.late += 1
            part.behind = scope
        elif closes <= before:
            part.disordered += 1
            part.disordered_at = part.disordered_at or part.rows + part.skipped
            part.disorder = max(part.disorder, before - ms)
        if ms > before:
            latest[place] = ms
            part.last = max(part.last, ms)


_ALL: Scope = (-1, "")
