"""The broker's state besides records, in a journal of JSON lines. A line is written before a request is acknowledged.

Each line sets one value, as in `["topic", "ticks", {...}]`; null deletes it. The journal is rewritten without the lines that
later ones replace when it is opened, and whenever such lines are most of it: committed offsets alone are a line a second and
partition.
"""

from __future__ import annotations

import logging
import os
from errno import ENOSPC
from pathlib import Path
from typing import Any

import orjson

from app.errors import BrokerError

REWRITE_BYTES = 1 << 20  # a smaller journal is not rewritten while it is open
REWRITE_GROWTH = 4  # times its size after the last rewriting
log = logging.getLogger("pocket")


class Journal:
    """Tables of keys and values that survive a kill of the process."""

    def __init__(self, path: Path) -> None:
        """Raises `BrokerError` if a line cannot be read, as after a power failure. An incomplete last line is dropped."""
        self._path = path
        self.tables: dict[str, dict[str, Any]] = {}
        if path.exists():
            for number, line in enumerate(path.read_bytes().split(b"\n")[:-1], 1):  # the last piece is empty or incomplete
                try:
                    table, key, value = orjson.loads(line)
                except ValueError:
                    advice = "move the directory away to start with an empty one"
                    raise BrokerError(f"{path}: line {number} cannot be read; {advice}") from None
                self._apply(table, key, value)
        self._file, self._size = self._rewritten()
        self._rewrite_at = self._next_rewrite()

    def table(self, name: str) -> dict[str, Any]:
        """A table to read; it is changed by `put` only."""
        return self.tables.setdefault(name, {})

    def put(self, table: str, key: str, value: Any) -> None:
        """Set a value, or delete it with None. It is written when this returns; raises `OSError` if the disk is full."""
        line = orjson.dumps([table, key, value]) + b"\n"
        if os.write(self._file, line) != len(line):
            os.ftruncate(self._file, self._size)  # otherwise the next line would be appended to the incomplete one
            raise OSError(ENOSPC, f"{self._path}: the disk is full")
        self._size += len(line)
        self._apply(table, key, value)
        if self._size >= self._rewrite_at:
            self._rewrite()

    def _rewrite(self) -> None:
        """Leave out the lines that later ones replace. If that fails, the journal goes on as it is."""
        try:
            file, self._size = self._rewritten()
        except OSError as error:
            log.warning("%s is not made smaller: %s", self._path, error)
        else:
            os.close(self._file)
            self._file = file
        self._rewrite_at = self._next_rewrite()

    def _next_rewrite(self) -> int:
        return max(REWRITE_BYTES, REWRITE_GROWTH * self._size)

    def _rewritten(self) -> tuple[int, int]:
        """Replace the file by one with the current values; gives the new one, open, and its size."""
        fresh = self._path.with_suffix(".new")
        with fresh.open("wb") as file:
            for table, rows in self.tables.items():
                for key, value in rows.items():
                    file.write(orjson.dumps([table, key, value]) + b"\n")
        opened = os.open(fresh, os.O_WRONLY | os.O_APPEND)
        try:
            fresh.replace(self._path)
            return opened, os.fstat(opened).st_size
        except OSError:
            os.close(opened)
            raise

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)

    def _apply(self, table: str, key: str, value: Any) -> None:
        rows = self.tables.setdefault(table, {})
        if value is None:
            rows.pop(key, None)
        else:
            rows[key] = value
