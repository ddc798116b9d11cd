"""Writing to the tables of the read model.

A row of `bars` is one version of a bar. The newest version of each bar is marked, whatever the order in which they are read.

The file is bounded: of each frame the oldest rows are deleted, and a symbol is deleted with the last of its bars. Its id is not
used again, because a query may still hold it.

Records and the positions they were read up to are written in one transaction. Everything can be read from the topics again,
so a file that is damaged, or holds a copy of other topics, is deleted and created anew.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

from app.doubled import Doubled
from app.readmodel.database_file import DamagedError
from app.readmodel.newest import Newest, NewestBars, Series
from app.readmodel.rows import BarRow, Name, Partition, SideRow
from app.readmodel.schema import VERSION, delete, open_tables

FRAME_BITS = 48  # the id of a bar is its frame's number, shifted by these, and a number that counts up
MAX_SIDE_RECORDS = 10_000  # late and rejected records each
MAX_KNOWN_IDS = 100_000  # of symbols, in memory
LAST = "\U0010ffff" * 257  # sorts after every name: a key has at most 1,024 bytes
_ADD_BAR = (
    "INSERT INTO bars VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
    " ON CONFLICT (symbol, frame, start, revision) DO UPDATE SET value = excluded.value"
)
_VERSIONS = "SELECT max(revision), max(twin) FROM bars WHERE symbol = ? AND frame = ? AND start = ?"
_LATEST = (
    "SELECT coalesce(max((SELECT max(start) FROM bars WHERE symbol = symbols.id AND frame = ?3)), -1) FROM symbols"
    " WHERE broker = ?1 AND part = ?2"
)
_SYMBOLS_AT = (
    "SELECT id FROM symbols WHERE broker = ?1 AND part = ?2"
    " AND EXISTS (SELECT 1 FROM bars WHERE symbol = symbols.id AND frame = ?3 AND start = ?4)"
)
_SUPERSEDE = "UPDATE bars SET newest = 0 WHERE symbol = ? AND frame = ? AND start = ? AND revision < ?"
_ROWS_OF_NAME = "SELECT id, part FROM symbols WHERE broker = ? AND symbol = ?"
_NEWEST_TWIN = (
    "SELECT broker, symbols.symbol, start FROM bars JOIN symbols ON symbols.id = bars.symbol WHERE twin AND newest"
    " ORDER BY start DESC LIMIT 1"
)
_ADD_SIDE = "INSERT OR IGNORE INTO side VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_DELETE_SIDE = (
    "DELETE FROM side WHERE kind = ?1 AND id <= (SELECT id FROM side WHERE kind = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)"
)


def search_keys(broker: str, symbol: str, partition: int) -> tuple[str, str]:
    """The keys for prefix search without regard to case: one begins with the symbol, one with the broker.

    The names in their own case and the partition at the end keep the keys of different rows apart.
    """
    return (
        f"{symbol.casefold()}|{broker.casefold()}|{symbol}|{broker}|{partition}",
        f"{broker.casefold()}|{symbol.casefold()}|{broker}|{symbol}|{partition}",
    )


class Store:
    """The connection that writes. It is used by one thread."""

    def __init__(self, path: Path, identity: Mapping[str, str], max_bars: int, frames: Sequence[str] = ()) -> None:
        """Open or create the file; raises `sqlite3.Error` if it can be neither.

        `identity` says which topics the content is a copy of; a file with another identity is created anew. `max_bars`: of each
        frame, and of the base bars, with all their versions. `frames`: names of the frames of longer bars.
        """
        self._path = path
        self._identity = {**identity, "version": str(VERSION), "frames": ",".join(frames)}
        self._frames = {name: number for number, name in enumerate(("", *frames))}  # the base bars have number 0
        self._last_ids: dict[int, int] = {}  # by frame
        self._max_bars = max_bars
        self._symbol_ids: dict[tuple[str, str, int], int] = {}
        self._newest_bars = NewestBars(self._find_newest)
        self._together: list[tuple[object, ...]] = []  # new bars, not yet written
        self.in_two: set[Name] = set()  # symbols that have bars in two partitions, or more
        self.twins_changed = False  # by the last `add`
        self.recreated = False
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._connection = open_tables(path, self._identity, self._frames)
        except DamagedError:
            self._connection = self._delete_and_open()
        self._find_last_ids()
        several = "SELECT broker, symbol FROM symbols GROUP BY broker, symbol HAVING count(*) > 1"
        self.in_two.update(self._connection.execute(several))

    def _find_last_ids(self) -> None:
        for frame in self._frames.values():
            sql = "SELECT max(id) FROM bars WHERE id < ?"
            found = self._connection.execute(sql, ((frame + 1) << FRAME_BITS,)).fetchone()[0]
            self._last_ids[frame] = max(found or 0, frame << FRAME_BITS)

    def _delete_and_open(self) -> sqlite3.Connection:
        delete(self._path)
        self.recreated = True
        return open_tables(self._path, self._identity, self._frames)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def recreate(self) -> None:
        """Delete everything, because the topics were deleted and created again, or the file is damaged."""
        self.close()
        self._symbol_ids.clear()
        self.in_two.clear()
        self._connection = self._delete_and_open()
        self._find_last_ids()

    def positions(self) -> dict[Partition, int]:
        """The next offset to read of each partition."""
        rows = self._connection.execute("SELECT topic, part, next_offset FROM positions")
        return {(topic, part): offset for topic, part, offset in rows}

    def add(self, bars: Iterable[BarRow], side: Collection[SideRow], positions: Mapping[Partition, int]) -> list[BarRow]:
        """Write records and the positions they were read up to, and delete the oldest records, in one transaction.

        A bar replaces one of the same window, partition and revision; a side record that is already there is ignored.
        Returns the bars that are the newest version of theirs.
        """
        connection, self.twins_changed = self._connection, False
        connection.execute("BEGIN IMMEDIATE")
        try:
            newest = self._add_bars(bars)
            connection.executemany(_ADD_SIDE, side)
            connection.executemany(
                "INSERT OR REPLACE INTO positions VALUES (?, ?, ?)",
                ((*partition, offset) for partition, offset in positions.items()),
            )
            for frame in self._frames.values():
                self._delete_oldest_bars(frame)
            self._delete_oldest_side({row.kind for row in side})
        except BaseException:
            self._together.clear()
            self._symbol_ids.clear()  # some may be of rows that are rolled back
            with contextlib.suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
            raise
        connection.execute("COMMIT")
        return newest

    def doubled(self) -> Doubled | None:
        """The bars whose key another partition published, too; None if there are none."""
        count = self._connection.execute("SELECT count(*) FROM bars WHERE twin AND newest").fetchone()[0]
        newest = self._connection.execute(_NEWEST_TWIN).fetchone()
        if newest is None:
            return None
        broker, symbol, start = newest
        rows = self._connection.execute(_ROWS_OF_NAME, (broker, symbol)).fetchall()
        parts = (part for symbol_id, part in rows if self._has(symbol_id, start))
        return Doubled(count, broker, symbol, start, tuple(sorted(parts)))

    def _has(self, symbol_id: int, start: int) -> bool:
        sql = "SELECT 1 FROM bars WHERE symbol = ? AND frame = 0 AND start = ?"
        return self._connection.execute(sql, (symbol_id, start)).fetchone() is not None

    def _add_bars(self, bars: Iterable[BarRow]) -> list[BarRow]:
        """Add versions of bars. Returns those that are the newest of theirs.

        Windows that are certainly new need no look at the table, and are written together.
        """
        newest = []
        for bar in bars:
            symbol_id, frame = self._symbol_id(bar), self._frames[bar.frame]
            new = self._newest_bars.add((bar.broker, bar.partition, frame), symbol_id, bar.start)
            if new and (bar.broker, bar.symbol) not in self.in_two:
                self._last_ids[frame] += 1
                place = self._last_ids[frame], symbol_id, frame, bar.start
                self._together.append((*place, bar.revision, True, bar.value, False))
                newest.append(bar)
                continue
            self._write_together()  # one of them may be another version of this bar
            if self._add_bar(bar, symbol_id):
                newest.append(bar)
        self._write_together()
        return newest

    def _write_together(self) -> None:
        self._connection.executemany(_ADD_BAR, self._together)
        self._together.clear()

    def _find_newest(self, series: Series) -> Newest:
        self._write_together()
        latest = self._connection.execute(_LATEST, series).fetchone()[0]
        return Newest(latest, {number for (number,) in self._connection.execute(_SYMBOLS_AT, (*series, latest))})

    def _add_bar(self, bar: BarRow, symbol_id: int) -> bool:
        """Add a version of a bar, and mark the newest one. Returns whether it is this one."""
        connection, frame = self._connection, self._frames[bar.frame]
        window = (symbol_id, frame, bar.start)
        known, twin = connection.execute(_VERSIONS, window).fetchone()
        newest = known is None or bar.revision >= known
        if known is None:
            twin = not frame and self._is_twin(window[0], bar)
        elif bar.revision > known:
            connection.execute(_SUPERSEDE, (*window, bar.revision))
        self._last_ids[frame] += 1
        connection.execute(_ADD_BAR, (self._last_ids[frame], *window, bar.revision, newest, bar.value, twin))
        return newest

    def _is_twin(self, symbol_id: int, bar: BarRow) -> bool:
        """Whether another partition has published a bar of this window before."""
        name = (bar.broker, bar.symbol)
        if name not in self.in_two:
            return False
        others = [other for other, _ in self._connection.execute(_ROWS_OF_NAME, name).fetchall() if other != symbol_id]
        twin = any(self._has(other, bar.start) for other in others)
        self.twins_changed = self.twins_changed or twin
        return twin

    def _delete_oldest_bars(self, frame: int) -> None:
        """Delete the oldest versions of a frame's bars, and the symbols that have no other bars.

        Older versions of a bar go with its newest one, or an outdated one would be the newest.
        """
        connection, first, last = self._connection, frame << FRAME_BITS, self._last_ids[frame] - self._max_bars
        oldest, bounds = " FROM bars WHERE id > ? AND id <= ?", (first, last)
        if last <= first or connection.execute(f"SELECT 1{oldest} LIMIT 1", bounds).fetchone() is None:
            return
        symbols = connection.execute(f"SELECT symbol, max(twin){oldest} GROUP BY symbol", bounds).fetchall()
        self.mark_incomplete(frame)
        self.twins_changed = self.twins_changed or bool(self.in_two) or any(twin for _, twin in symbols)
        revised = f"SELECT symbol, frame, start, revision{oldest} AND revision AND newest"
        revised_rows = connection.execute(revised, bounds).fetchall()
        connection.executemany("DELETE FROM bars WHERE symbol = ? AND frame = ? AND start = ? AND revision < ?", revised_rows)
        connection.execute(f"DELETE{oldest}", bounds)
        for number, _ in symbols:
            gone = connection.execute(
                "SELECT broker, symbol, part FROM symbols WHERE id = ?1 AND NOT EXISTS (SELECT 1 FROM bars WHERE symbol = ?1)",
                (number,),
            ).fetchone()
            if gone is not None:
                connection.execute("DELETE FROM symbols WHERE id = ?", (number,))
                self._symbol_ids.pop(gone, None)
                if len(connection.execute(_ROWS_OF_NAME, gone[:2]).fetchall()) < 2:  # noqa: PLR2004
                    self.in_two.discard(gone[:2])

    def _delete_oldest_side(self, kinds: Iterable[str]) -> None:
        """Delete the oldest records of each kind beyond its limit: a flood of rejected ones leaves the late ones alone."""
        for kind in kinds:
            self._connection.execute(_DELETE_SIDE, (kind, MAX_SIDE_RECORDS))

    def mark_incomplete(self, frame: int = 0) -> None:
        """Record that the topics of a frame, by its number, have older bars than the file: a bit each."""
        known = self._connection.execute("PRAGMA user_version").fetchone()[0]
        self._connection.execute(f"PRAGMA user_version = {known | 1 << frame}")

    def _symbol_id(self, bar: BarRow) -> int:
        place = bar.broker, bar.symbol, bar.partition
        symbol_id = self._symbol_ids.get(place)
        if symbol_id is None:
            self._connection.execute(
                "INSERT OR IGNORE INTO symbols (broker, symbol, part, by_symbol, by_broker) VALUES (?, ?, ?, ?, ?)",
                (*place, *search_keys(*place)),
            )
            rows = self._connection.execute(_ROWS_OF_NAME, place[:2]).fetchall()
            if len(self._symbol_ids) >= MAX_KNOWN_IDS:
                self._symbol_ids.clear()
            symbol_id = self._symbol_ids[place] = next(number for number, part in rows if part == bar.partition)
            if len(rows) > 1:
                self.in_two.add(place[:2])
        return symbol_id
