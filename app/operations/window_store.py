"""What `app reconcile` compares, by window, in a temporary SQLite database: topics may be larger than memory.

SQLite keeps the database in memory up to a few megabytes, and else in a file of its own, which it deletes at the end.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Self

import msgspec

from app.finals import PlacedBar
from app.ksqldb.reconciliation import Difference, KsqlBar, Reading, Window, reconcile
from tables.bars import Bar, decode_bar, encode_bar

AT_ONCE = 5_000  # windows that are in memory
_decode_theirs = msgspec.json.Decoder(KsqlBar).decode
_WINDOW = "start INTEGER, broker TEXT, symbol TEXT"
_KEY = "start, broker, symbol"
_TABLES = f"""
CREATE TABLE ours ({_WINDOW}, partition INTEGER, bar BLOB, PRIMARY KEY ({_KEY}, partition)) WITHOUT ROWID;
CREATE TABLE theirs ({_WINDOW}, bar BLOB, PRIMARY KEY ({_KEY})) WITHOUT ROWID;
CREATE TABLE revised ({_WINDOW}, revision INTEGER, ticks INTEGER, PRIMARY KEY ({_KEY})) WITHOUT ROWID;
CREATE TABLE late ({_WINDOW}, ticks INTEGER, PRIMARY KEY ({_KEY})) WITHOUT ROWID;
CREATE TABLE readings ({_WINDOW}, partition INTEGER, kept INTEGER, late INTEGER, unfit INTEGER, PRIMARY KEY ({_KEY}))
    WITHOUT ROWID;
"""


_Key = tuple[int, str, str]  # start, broker, symbol


class WindowStore:
    """Bars of both sides, and what is known of the ticks of each window. Use it in a `with` statement."""

    def __init__(self) -> None:
        self._database = sqlite3.connect("", isolation_level=None)
        self._database.executescript(f"PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; {_TABLES} BEGIN;")
        self._readings: dict[Window, Reading] = {}  # not in the database yet

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._database.close()

    def add_ours(self, placed: PlacedBar) -> None:
        """Take a final bar of the application. A later record of the same bar replaces it."""
        values = (*_key(_window(placed.bar)), placed.partition, encode_bar(placed.bar))
        self._database.execute("INSERT OR REPLACE INTO ours VALUES (?, ?, ?, ?, ?)", values)

    def add_revised(self, bar: Bar) -> None:
        """Take a revised bar of the application: it tells how many ticks of its window were late."""
        self._database.execute(
            f"INSERT INTO revised VALUES (?, ?, ?, ?, ?) ON CONFLICT ({_KEY}) DO UPDATE SET revision = excluded.revision, "  # noqa: S608  # our own names
            "ticks = excluded.ticks WHERE excluded.revision > revision",
            (*_key(_window(bar)), bar.revision, bar.ticks),
        )

    def add_theirs(self, window: Window, value: bytes | None) -> None:
        """Take a bar of ksqlDB; None: it was deleted. Raises `msgspec.MsgspecError` where the value is no bar."""
        if value is None:
            self._database.execute("DELETE FROM theirs WHERE (start, broker, symbol) = (?, ?, ?)", _key(window))
            return
        _decode_theirs(value)
        self._database.execute("INSERT OR REPLACE INTO theirs VALUES (?, ?, ?, ?)", (*_key(window), value))

    def add_late(self, window: Window) -> None:
        """Count a late tick."""
        self._database.execute(
            f"INSERT INTO late VALUES (?, ?, ?, 1) ON CONFLICT ({_KEY}) DO UPDATE SET ticks = ticks + 1",  # noqa: S608  # our own names
            _key(window),
        )

    def reading(self, window: Window, partition: int) -> Reading:
        """What became of the ticks of a window in ksqlDB: the caller counts in it, before the next call."""
        found = self._readings.get(window)
        if found is None:
            if len(self._readings) >= AT_ONCE:
                self._store_readings()
            found = self._readings[window] = Reading(partition)
        return found

    def _store_readings(self) -> None:
        rows = [(*_key(window), one.partition, one.kept, one.late, one.unfit) for window, one in self._readings.items()]
        sums = "kept = kept + excluded.kept, late = late + excluded.late, unfit = unfit + excluded.unfit"
        self._database.executemany(
            f"INSERT INTO readings VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT ({_KEY}) DO UPDATE SET {sums}",  # noqa: S608  # our own names
            rows,
        )
        self._readings.clear()

    def common(self) -> int:
        """How many windows both sides have."""
        (count,) = self._database.execute(
            f"SELECT count(*) FROM theirs WHERE EXISTS (SELECT 1 FROM ours WHERE ({_columns('ours')}) = ({_columns('theirs')}))"  # noqa: S608  # our own names
        ).fetchone()
        return int(count)

    def differences(self, scale: int, closed_before: Mapping[int, int]) -> Iterator[Difference]:
        """The differences in order, see `reconcile`. `closed_before`: earlier windows of a partition are closed there."""
        self._store_readings()
        newest = {
            (broker, symbol): start
            for broker, symbol, start in self._database.execute("SELECT broker, symbol, max(start) FROM theirs GROUP BY 1, 2")
        }
        after: _Key = (-(1 << 62), "", "")
        while windows := self._next(after):
            first, after = windows[0], windows[-1]
            ours: dict[Window, Bar] = {}
            doubled: dict[Window, list[Bar]] = {}
            for window, _, value in self._between("ours", first, after):
                bar = decode_bar(value)
                if window in ours:
                    doubled.setdefault(window, [ours[window]]).append(bar)
                ours[window] = bar
            theirs = {window: _decode_theirs(value) for window, value in self._between("theirs", first, after)}
            late = Counter[Window]()
            for window, ticks in self._between("late", first, after):
                late[window] = ticks
            for window, _, ticks in self._between("revised", first, after):
                late[window] += ticks - (ours[window].ticks if window in ours else 0)
            readings = {
                window: Reading(partition, kept, late_there, unfit, closed=window[2] < closed_before.get(partition, 0))
                for window, partition, kept, late_there, unfit in self._between("readings", first, after)
            }
            yield from reconcile(ours, theirs, late, newest, scale, doubled, readings)

    def _next(self, after: _Key) -> list[_Key]:
        part = f"SELECT DISTINCT {_KEY} FROM {{}} WHERE ({_KEY}) > (?, ?, ?) ORDER BY {_KEY} LIMIT {AT_ONCE}"  # noqa: S608  # our own names
        both = f"SELECT * FROM ({part.format('ours')}) UNION SELECT * FROM ({part.format('theirs')})"  # noqa: S608
        return self._database.execute(f"{both} ORDER BY {_KEY} LIMIT {AT_ONCE}", (*after, *after)).fetchall()

    def _between(self, table: str, first: _Key, last: _Key) -> Iterator[tuple[Window, *tuple[Any, ...]]]:
        rows = self._database.execute(
            f"SELECT * FROM {table} WHERE ({_KEY}) >= (?, ?, ?) AND ({_KEY}) <= (?, ?, ?) ORDER BY {_KEY}",  # noqa: S608  # our own names
            (*first, *last),
        )
        for start, broker, symbol, *rest in rows:
            yield ((broker, symbol, start), *rest)


def _columns(table: str) -> str:
    return ", ".join(f"{table}.{name}" for name in ("start", "broker", "symbol"))


def _window(bar: Bar) -> Window:
    return bar.broker, bar.symbol, bar.bucket_start


def _key(window: Window) -> _Key:
    broker, symbol, start = window
    return start, broker, symbol
