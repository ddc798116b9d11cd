"""The tables of the read model, and writing to them: bars and the positions they were read up to in one transaction.

Everything in it can be read from the topics again, so a file that does not fit, or is damaged, is made anew.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from app.errors import BarwheelError

VERSION = 1
SIDE_KEPT = 10_000  # late and rejected records each
LAST = "\U0010ffff"  # sorts after every name
_DAMAGE = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_TABLES = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE positions (topic TEXT, part INTEGER, next_offset INTEGER NOT NULL, PRIMARY KEY (topic, part)) WITHOUT ROWID;
CREATE TABLE symbols (
    id INTEGER PRIMARY KEY, broker TEXT NOT NULL, symbol TEXT NOT NULL, part INTEGER NOT NULL,
    by_symbol TEXT NOT NULL, by_broker TEXT NOT NULL, UNIQUE (broker, symbol)
);
CREATE INDEX symbols_by_symbol ON symbols (by_symbol);
CREATE INDEX symbols_by_broker ON symbols (by_broker);
CREATE TABLE bars (
    id INTEGER PRIMARY KEY, symbol INTEGER NOT NULL, start INTEGER NOT NULL, value BLOB NOT NULL, UNIQUE (symbol, start)
);
CREATE TABLE side (
    id INTEGER PRIMARY KEY, kind TEXT NOT NULL, part INTEGER NOT NULL, offset INTEGER NOT NULL, arrival INTEGER,
    broker TEXT, symbol TEXT, ts INTEGER, start INTEGER, reason TEXT NOT NULL, detail TEXT NOT NULL, value TEXT NOT NULL,
    truncated INTEGER NOT NULL, UNIQUE (kind, part, offset)
);
CREATE INDEX side_by_window ON side (broker, symbol, start);
"""


_ADD_SIDE = "INSERT OR IGNORE INTO side VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"


class DamagedError(BarwheelError):
    """The file is no database, or one whose pages do not fit together."""


class BarRow(NamedTuple):
    """A final bar: its name, where it lies, and its JSON as it came."""

    broker: str
    symbol: str
    part: int
    start: int
    value: bytes


class SideRow(NamedTuple):
    """A late or rejected record; `offset` is that of the source record, times are epoch ms."""

    kind: str
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
    truncated: bool


def folded(broker: str, symbol: str) -> tuple[str, str]:
    """What a symbol is searched by: its name first, and its broker first; without regard to case."""
    return (
        f"{symbol.casefold()}|{broker.casefold()}|{symbol}|{broker}",
        f"{broker.casefold()}|{symbol.casefold()}|{broker}|{symbol}",
    )


def is_damage(error: sqlite3.Error) -> bool:
    """Whether an error says that the file is broken, and not only that it cannot be written now."""
    code = getattr(error, "sqlite_errorcode", 0)
    return bool(code) and code & 0xFF in _DAMAGE


class Store:
    """The connection that writes; to be used by one thread."""

    def __init__(self, path: Path, identity: Mapping[str, str], limit: int) -> None:
        """`identity`: what the content belongs to; `limit`: bars kept. Raises `sqlite3.Error` where there is no room."""
        self._path = path
        self._identity = {**identity, "version": str(VERSION)}
        self._limit = limit
        self._ids: dict[tuple[str, str], int] = {}
        self.made_anew = False
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._connection = self._open()
        except DamagedError:
            self._connection = self._anew()

    def _open(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, isolation_level=None)
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")  # what a power cut takes is read again
            if not connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]:
                connection.executescript(f"BEGIN; {_TABLES}")
                connection.executemany("INSERT INTO meta VALUES (?, ?)", self._identity.items())
                connection.execute("COMMIT")
            whole = connection.execute("PRAGMA quick_check(1)").fetchone()[0] == "ok"
            fits = dict(connection.execute("SELECT name, value FROM meta")) == self._identity
        except sqlite3.Error as error:
            connection.close()
            if not is_damage(error) and "no such" not in str(error):
                raise
            raise DamagedError(f"{self._path}: {error}") from error
        if not whole or not fits:
            connection.close()
            raise DamagedError(f"{self._path}: {'of other topics' if whole else 'damaged'}")
        return connection

    def _anew(self) -> sqlite3.Connection:
        for suffix in ("", "-wal", "-shm"):
            with contextlib.suppress(FileNotFoundError):
                self._path.with_name(self._path.name + suffix).unlink()
        self.made_anew = True
        return self._open()

    def close(self) -> None:
        """Close; what was written stays."""
        self._connection.close()

    def start_anew(self) -> None:
        """Forget everything: the topics are no longer those that it was read from."""
        self.close()
        self._ids.clear()
        self._connection = self._anew()

    def positions(self) -> dict[tuple[str, int], int]:
        """The next offset to be read, by topic and partition."""
        rows = self._connection.execute("SELECT topic, part, next_offset FROM positions")
        return {(topic, part): offset for topic, part, offset in rows}

    def add(self, bars: Iterable[BarRow], side: Iterable[SideRow], positions: Mapping[tuple[str, int], int]) -> None:
        """Take in what was read up to these positions, and let go of the oldest: all of it or nothing."""
        connection = self._connection
        connection.execute("BEGIN IMMEDIATE")
        try:
            connection.executemany(
                "INSERT INTO bars (symbol, start, value) VALUES (?, ?, ?)"
                " ON CONFLICT (symbol, start) DO UPDATE SET value = excluded.value",
                ((self._id(bar), bar.start, bar.value) for bar in bars),
            )
            connection.executemany(_ADD_SIDE, side)
            connection.executemany(
                "INSERT OR REPLACE INTO positions VALUES (?, ?, ?)", ((*place, offset) for place, offset in positions.items())
            )
            gone = connection.execute("DELETE FROM bars WHERE id <= (SELECT max(id) FROM bars) - ?", (self._limit,))
            if gone.rowcount > 0:
                self.say_cut()
            connection.execute("DELETE FROM side WHERE id <= (SELECT max(id) FROM side) - ?", (2 * SIDE_KEPT,))
        except BaseException:
            self._ids.clear()  # some may have been made in this transaction
            with contextlib.suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
            raise
        connection.execute("COMMIT")

    def say_cut(self) -> None:
        """Note that there are older bars than the oldest here."""
        self._connection.execute("PRAGMA user_version = 1")

    def _id(self, bar: BarRow) -> int:
        name = bar.broker, bar.symbol
        known = self._ids.get(name)
        if known is None:
            self._connection.execute(
                "INSERT INTO symbols (broker, symbol, part, by_symbol, by_broker) VALUES (?, ?, ?, ?, ?)"
                " ON CONFLICT (broker, symbol) DO UPDATE SET part = excluded.part",
                (*name, bar.part, *folded(*name)),
            )
            row = self._connection.execute("SELECT id FROM symbols WHERE broker = ? AND symbol = ?", name).fetchone()
            known = self._ids[name] = int(row[0])
        return known
