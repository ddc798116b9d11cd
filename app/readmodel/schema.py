"""The tables of the read model, and the file that they are in."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Mapping
from pathlib import Path

from app.readmodel.database_file import DamagedError, is_damage

VERSION = 5
_TABLES = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE positions (topic TEXT, part INTEGER, next_offset INTEGER NOT NULL, PRIMARY KEY (topic, part)) WITHOUT ROWID;
CREATE TABLE symbols (
    id INTEGER PRIMARY KEY AUTOINCREMENT, broker TEXT NOT NULL, symbol TEXT NOT NULL, part INTEGER NOT NULL,
    by_symbol TEXT NOT NULL, by_broker TEXT NOT NULL, UNIQUE (broker, symbol, part)
);
CREATE INDEX symbols_by_symbol ON symbols (by_symbol);
CREATE INDEX symbols_by_broker ON symbols (by_broker);
CREATE TABLE frames (number INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE bars (
    id INTEGER PRIMARY KEY, symbol INTEGER NOT NULL, frame INTEGER NOT NULL, start INTEGER NOT NULL, revision INTEGER NOT NULL,
    newest INTEGER NOT NULL, value BLOB NOT NULL, twin INTEGER NOT NULL, UNIQUE (symbol, frame, start, revision)
);
CREATE INDEX twins ON bars (start) WHERE twin;
CREATE TABLE side (
    id INTEGER PRIMARY KEY, kind TEXT NOT NULL, topic TEXT NOT NULL, part INTEGER NOT NULL, offset INTEGER NOT NULL,
    arrival INTEGER, broker TEXT, symbol TEXT, ts INTEGER, start INTEGER, reason TEXT NOT NULL, detail TEXT NOT NULL,
    value TEXT NOT NULL, truncated INTEGER NOT NULL, UNIQUE (kind, topic, part, offset)
);
CREATE INDEX side_by_kind ON side (kind, id);
CREATE INDEX side_by_window ON side (broker, symbol, start);
"""


def open_tables(path: Path, identity: Mapping[str, str], frames: Mapping[str, int]) -> sqlite3.Connection:
    """Open the file, or create it; raises `DamagedError` where it is damaged, or a copy of other topics.

    `identity`: what it is a copy of. `frames`: their numbers by name.
    """
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")  # what a power failure loses is read again
        if not connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]:
            connection.executescript(f"BEGIN; {_TABLES}")
            connection.executemany("INSERT INTO meta VALUES (?, ?)", identity.items())
            connection.executemany("INSERT INTO frames VALUES (?, ?)", ((at, name) for name, at in frames.items()))
            connection.execute("COMMIT")
        intact = connection.execute("PRAGMA quick_check(1)").fetchone()[0] == "ok"
        same_identity = dict(connection.execute("SELECT name, value FROM meta")) == identity
    except sqlite3.Error as error:
        connection.close()
        if not is_damage(error) and "no such" not in str(error):  # no such table: another program's database
            raise
        raise DamagedError(f"{path}: {error}") from error
    if not intact or not same_identity:
        connection.close()
        raise DamagedError(f"{path}: {'a copy of other topics' if intact else 'damaged'}")
    return connection


def delete(path: Path) -> None:
    """Delete the file and what SQLite keeps beside it."""
    for suffix in ("", "-wal", "-shm"):
        with contextlib.suppress(FileNotFoundError):
            path.with_name(path.name + suffix).unlink()
