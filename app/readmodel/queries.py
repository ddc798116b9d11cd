"""Reading the read model: symbols, bars, late and rejected records; one connection, for one thread at a time."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import NamedTuple

from app.readmodel.store import LAST

NEWEST = 20_000  # bars among which the last of a broker or a symbol are looked for
_SYMBOLS = (
    "SELECT broker, symbol, part, (SELECT max(start) FROM bars WHERE bars.symbol = symbols.id), ORDERED FROM symbols"
    " WHERE ORDERED >= ? AND ORDERED < ? AND ORDERED > ? MORE ORDER BY ORDERED LIMIT ?"
)


class Found(NamedTuple):
    """A symbol of the read model."""

    broker: str
    symbol: str
    part: int
    last_start: int | None
    key: str  # where a search goes on


class Side(NamedTuple):
    """A late or rejected record, as `SideRow` but for `id`, by which they are in order."""

    id: int
    part: int
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
    """A read-only connection; raises `sqlite3.Error`."""

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, check_same_thread=False)

    def close(self) -> None:
        """Close."""
        self._connection.close()

    def symbols(self, prefix: str, broker: str | None, after: str, limit: int) -> list[Found]:
        """Symbols whose name begins so, in order; `broker` gives one broker's alone. A prefix with `|` begins with a broker."""
        text = prefix.casefold()
        column, where, given = "by_symbol", "", []
        if broker is not None:
            column, text, where, given = "by_broker", f"{broker.casefold()}|{text}", " AND broker = ?", [broker]
        elif "|" in text:
            column = "by_broker"
        sql = _SYMBOLS.replace("ORDERED", column).replace("MORE", where)
        rows = self._connection.execute(sql, (text, text + LAST, after, *given, limit))
        return [Found(*row) for row in rows]

    def symbol(self, broker: str, symbol: str) -> tuple[int, int, int | None] | None:
        """Id, partition and, where older bars have been let go, the oldest start that is kept; None for one without a bar."""
        row = self._connection.execute(
            "SELECT id, part, (SELECT min(start) FROM bars WHERE bars.symbol = symbols.id) FROM symbols"
            " WHERE broker = ? AND symbol = ?",
            (broker, symbol),
        ).fetchone()
        cut = bool(self._connection.execute("PRAGMA user_version").fetchone()[0])
        return None if row is None else (row[0], row[1], row[2] if cut else None)

    def bars(self, symbol: int, since: int, until: int, limit: int) -> list[bytes]:
        """The newest bars of a symbol (its id) with `since <= start < until`, newest first."""
        rows = self._connection.execute(
            "SELECT value FROM bars WHERE symbol = ? AND start >= ? AND start < ? ORDER BY start DESC LIMIT ?",
            (symbol, since, until, limit),
        )
        return [value for (value,) in rows]

    def newest(self, broker: str | None, symbol: str | None, limit: int) -> list[bytes]:
        """The bars that came last, newest first, of these names where they are given; looked for among the last of all."""
        rows = self._connection.execute(
            "SELECT value FROM bars CROSS JOIN symbols ON symbols.id = bars.symbol"
            " WHERE bars.id > (SELECT max(id) FROM bars) - ?1 AND (?2 IS NULL OR broker = ?2)"
            " AND (?3 IS NULL OR symbols.symbol = ?3) ORDER BY bars.id DESC LIMIT ?4",
            (NEWEST, broker, symbol, limit),
        )
        return [value for (value,) in rows]

    def side(self, kind: str, name: tuple[str | None, str | None], reason: str | None, before: int, limit: int) -> list[Side]:
        """Late or rejected records, newest first; None means any."""
        rows = self._connection.execute(
            "SELECT id, part, offset, arrival, broker, symbol, ts, start, reason, detail, value, truncated FROM side"
            " WHERE kind = ?1 AND id < ?2 AND (?3 IS NULL OR broker = ?3)"
            " AND (?4 IS NULL OR symbol = ?4) AND (?5 IS NULL OR reason = ?5) ORDER BY id DESC LIMIT ?6",
            (kind, before, *name, reason, limit),
        )
        return [Side(*row) for row in rows]

    def reasons(self, kind: str) -> dict[str, int]:
        """How many of the records that are kept have each reason."""
        return dict(self._connection.execute("SELECT reason, count(*) FROM side WHERE kind = ? GROUP BY reason", (kind,)))

    def late_of(self, broker: str, symbol: str, start: int) -> int:
        """How many late ticks of a window are kept."""
        sql = "SELECT count(*) FROM side WHERE broker = ? AND symbol = ? AND start = ? AND kind = 'late'"
        return int(self._connection.execute(sql, (broker, symbol, start)).fetchone()[0])

    def extent(self) -> tuple[int, int]:
        """About how many bars and symbols there are, without counting them: first and last id."""
        low, high = self._connection.execute("SELECT (SELECT min(id) FROM bars), (SELECT max(id) FROM bars)").fetchone()
        symbols = self._connection.execute("SELECT max(id) FROM symbols").fetchone()[0]
        return (0 if low is None else high - low + 1), symbols or 0
