"""Queries on the read model: symbols, bars and their versions, late and rejected records."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from app.readmodel.store import FRAME_BITS, LAST

MAX_SCANNED_BARS = 20_000  # among which one query searches for those of a broker or a symbol
_SYMBOLS = (
    "SELECT broker, symbol, part, (SELECT max(start) FROM bars WHERE bars.symbol = symbols.id AND frame = 0), ORDERED"
    " FROM symbols WHERE ORDERED >= ? AND ORDERED < ? AND ORDERED > ? MORE ORDER BY ORDERED LIMIT ?"
)
_BROKERS = (
    "WITH RECURSIVE found (name) AS (SELECT min(broker) FROM symbols UNION ALL"
    " SELECT (SELECT min(broker) FROM symbols WHERE broker > found.name) FROM found WHERE found.name IS NOT NULL)"
    " SELECT name FROM found LIMIT ?"
)


class SymbolEntry(NamedTuple):
    """A result of a symbol search. `last_start` is that of the newest bar; a search continues after `key`."""

    broker: str
    symbol: str
    partition: int
    last_start: int | None
    key: str


class StoredSymbol(NamedTuple):
    """A symbol with bars in a partition, for queries of one frame.

    `oldest_kept`: start of its oldest bar here; None if there is none, or if the topic has no older ones.
    """

    id: int
    partition: int
    oldest_kept: int | None
    frame: int = 0  # its number
    oldest: int | None = None  # start of its oldest bar here


class StoredBar(NamedTuple):
    """A version of a bar: its start (epoch ms), its partition, and its JSON as published."""

    start: int
    partition: int
    value: bytes
    revision: int = 0


class NewestPage(NamedTuple):
    """A page of the newest bars. `next`: where the next one goes on; None if it has reached the oldest bar."""

    bars: list[StoredBar]
    next: int | None


class StoredSideRecord(NamedTuple):
    """A late or rejected record, as `SideRow`. Records are ordered by `id`, a newer record has a higher one."""

    id: int
    topic: str
    partition: int
    offset: int
    arrival: int | None
    broker: str | None
    symbol: str | None
    ts: int | None
    start: int | None
    reason: str
    detail: str
    value: str
    truncated: int


class Queries:
    """A read-only connection, for one thread at a time. Its methods raise `sqlite3.Error`."""

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, check_same_thread=False)
        self._frames: dict[str, int] = dict(self._connection.execute("SELECT name, number FROM frames"))

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def symbols(self, prefix: str, broker: str | None, after: str, limit: int, symbol: str | None = None) -> list[SymbolEntry]:
        """Symbols by prefix, in order, after the key `after`. Case is ignored.

        A prefix with `|` is one of `broker|symbol`; `broker` restricts the search to one broker, `symbol` to one name, which
        counts in place of the prefix.
        """
        text = prefix.casefold()
        column, where, values = "by_symbol", "", []
        if broker is not None:
            column, text, where, values = "by_broker", f"{broker.casefold()}|{text}", " AND broker = ?", [broker]
        elif "|" in text:
            column = "by_broker"
        if symbol is not None:
            column, text, where, values = (
                "by_symbol",
                f"{symbol.casefold()}|",
                f"{where} AND symbols.symbol = ?",
                [*values, symbol],
            )
        sql = _SYMBOLS.replace("ORDERED", column).replace("MORE", where)
        rows = self._connection.execute(sql, (text, text + LAST, after, *values, limit))
        return [SymbolEntry(*row) for row in rows]

    def symbol(self, broker: str, symbol: str, frame: str = "") -> list[StoredSymbol]:
        """One symbol, in each partition in which it has a bar here, for queries of one frame; see `none_kept`.

        There is one, if all producers place it alike.
        """
        number = self._frames[frame]
        rows = self._connection.execute(
            "SELECT id, part, (SELECT min(start) FROM bars WHERE bars.symbol = symbols.id AND frame = ?3) FROM symbols"
            " WHERE broker = ?1 AND symbol = ?2 ORDER BY part",
            (broker, symbol, number),
        ).fetchall()
        incomplete = self.incomplete(frame)
        return [
            StoredSymbol(symbol_id, part, oldest if incomplete else None, number, oldest) for symbol_id, part, oldest in rows
        ]

    def brokers(self, limit: int) -> list[str]:
        """The names of brokers that have bars here, in order. Each is one step in an index, however many symbols it has."""
        return [name for (name,) in self._connection.execute(_BROKERS, (limit,)) if name is not None]

    def incomplete(self, frame: str = "") -> bool:
        """Whether the topics of a frame have older bars than the file. A symbol that has none here may have some of them."""
        return bool(self._connection.execute("PRAGMA user_version").fetchone()[0] & 1 << self._frames[frame])

    def none_kept(self, places: Iterable[StoredSymbol], frame: str = "") -> bool:
        """Whether a symbol has no bar here although its topics may have some."""
        return not any(place.oldest is not None for place in places) and self.incomplete(frame)

    def bars(self, symbols: Iterable[StoredSymbol], since: int, until: int, limit: int, before: int = 0) -> list[StoredBar]:
        """The newest version of the newest bars of a symbol with `since <= start < until` (epoch ms), newest first.

        Of two bars with the same start, that of the higher partition comes first. `before`: also those that start at `until`,
        in partitions below this one.
        """
        found: list[StoredBar] = []
        for symbol in symbols:
            rows = self._connection.execute(
                "SELECT start, ?, value, revision FROM bars WHERE symbol = ? AND frame = ? AND start >= ? AND start < ?"
                " AND newest ORDER BY start DESC LIMIT ?",
                (symbol.partition, symbol.id, symbol.frame, since, until + (symbol.partition < before), limit),
            )
            found += map(StoredBar._make, rows)
        return sorted(found, key=lambda bar: bar[:2], reverse=True)[:limit]

    def newest_first(self, symbol: StoredSymbol, until: int) -> Iterator[StoredBar]:
        """The newest version of each bar of a symbol in one partition that starts before this time, read as they are taken."""
        rows = self._connection.execute(
            "SELECT start, value FROM bars WHERE symbol = ? AND frame = ? AND start < ? AND newest ORDER BY start DESC",
            (symbol.id, symbol.frame, until),
        )
        for start, value in rows:
            yield StoredBar(start, symbol.partition, value)

    def newest_final(self, symbol: StoredSymbol) -> bytes | None:
        """The newest bar of a symbol in one partition as it was published at first, whether it was revised since or not."""
        row = self._connection.execute(
            "SELECT value FROM bars WHERE symbol = ? AND frame = ? AND revision = 0 ORDER BY start DESC LIMIT 1",
            (symbol.id, symbol.frame),
        ).fetchone()
        return None if row is None else bytes(row[0])

    def versions(self, symbol: StoredSymbol, start: int, limit: int) -> list[StoredBar]:
        """The newest versions of one bar that are here, the newest first."""
        rows = self._connection.execute(
            "SELECT value, revision FROM bars WHERE symbol = ? AND frame = ? AND start = ? ORDER BY revision DESC LIMIT ?",
            (symbol.id, symbol.frame, start, limit),
        )
        return [StoredBar(start, symbol.partition, value, revision) for value, revision in rows]

    def newest_bars(self, broker: str | None, symbol: str | None, limit: int, frame: str = "", before: int = 0) -> NewestPage:
        """The bars that were read last, newest first; None matches any broker or symbol. Of each bar its newest version.

        `before`: the `next` of an earlier page. Without both names, `MAX_SCANNED_BARS` bars of all symbols are searched for a
        page; with both, all bars, by start, and there is no other page.
        """
        if broker is not None and symbol is not None:
            return NewestPage(self.bars(self.symbol(broker, symbol, frame), 0, 1 << 60, limit), None)
        first, end = self._frames[frame] << FRAME_BITS, (self._frames[frame] + 1) << FRAME_BITS
        newest = "SELECT max(id) FROM bars WHERE id > ? AND id < ?"
        (top,) = self._connection.execute(newest, (first, min(before, end) if before else end)).fetchone()
        if top is None:
            return NewestPage([], None)
        bottom = max(first, top - MAX_SCANNED_BARS)
        rows = self._connection.execute(
            "SELECT bars.id, start, part, value, revision FROM bars CROSS JOIN symbols ON symbols.id = bars.symbol"
            " WHERE bars.id > ?1 AND bars.id <= ?2 AND newest AND (?3 IS NULL OR broker = ?3)"
            " AND (?4 IS NULL OR symbols.symbol = ?4) ORDER BY bars.id DESC LIMIT ?5",
            (bottom, top, broker, symbol, limit),
        ).fetchall()
        reached = rows[-1][0] if len(rows) == limit else bottom + 1  # all from here on have been searched
        (older,) = self._connection.execute(newest, (first, reached)).fetchone()
        return NewestPage([StoredBar(*row[1:]) for row in rows], None if older is None else reached)

    def side_records(
        self,
        kind: str,
        name: tuple[str | None, str | None],
        reason: str | None,
        before: int,
        limit: int,
        span: tuple[int | None, int | None] = (None, None),
    ) -> list[StoredSideRecord]:
        """Late or rejected records with an id below `before`, newest first; None matches any broker, symbol or reason.

        `span`: only late ticks of windows that start in it (epoch ms).
        """
        rows = self._connection.execute(
            "SELECT id, topic, part, offset, arrival, broker, symbol, ts, start, reason, detail, value, truncated FROM side"
            " WHERE kind = ?1 AND id < ?2 AND (?3 IS NULL OR broker = ?3)"
            " AND (?4 IS NULL OR symbol = ?4) AND (?5 IS NULL OR reason = ?5) AND (?7 IS NULL OR start >= ?7)"
            " AND (?8 IS NULL OR start < ?8) ORDER BY id DESC LIMIT ?6",
            (kind, before, *name, reason, limit, *span),
        )
        return [StoredSideRecord(*row) for row in rows]

    def reasons(self, kind: str) -> dict[str, int]:
        """The number of late or rejected records by reason."""
        return dict(self._connection.execute("SELECT reason, count(*) FROM side WHERE kind = ? GROUP BY reason", (kind,)))

    def late_count(self, broker: str, symbol: str, start: int, end: int) -> int:
        """The number of late ticks of one window."""
        sql = "SELECT count(*) FROM side WHERE broker = ? AND symbol = ? AND start >= ? AND start < ? AND kind = 'late'"
        return int(self._connection.execute(sql, (broker, symbol, start, end)).fetchone()[0])

    def extent(self) -> tuple[int, int]:
        """The number of bars, of all frames and with all versions, and that of symbols.

        That of bars is approximate: it is taken from their ids, of which few are unused.
        """
        bars = 0
        for frame in self._frames.values():
            bounds = frame << FRAME_BITS, (frame + 1) << FRAME_BITS
            low = self._connection.execute("SELECT min(id) FROM bars WHERE id > ? AND id < ?", bounds).fetchone()[0]
            high = self._connection.execute("SELECT max(id) FROM bars WHERE id > ? AND id < ?", bounds).fetchone()[0]
            bars += 0 if low is None else high - low + 1
        symbols = self._connection.execute("SELECT count(*) FROM symbols").fetchone()[0]
        return bars, symbols
