"""The broker's state besides records, in a journal of JSON lines. A line is written before a request is acknowledged.

Each line sets one value, as in `["topic", "ticks", {...}]`; null deletes it. Opening the journal rewrites it without the
lines that later ones replace.
"""

from __future__ import annotations

import os
from errno import ENOSPC
from pathlib import Path
from typing import Any

import orjson

from app.errors import BrokerError


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
        fresh = path.with_suffix(".new")
        with fresh.open("wb") as file:
            for table, rows in self.tables.items():
                for key, value in rows.items():
                    file.write(orjson.dumps([table, key, value]) + b"\n")
        fresh.replace(path)
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND)
        self._size = os.fstat(self._file).st_size

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

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)

    def _apply(self, table: str, key: str, value: Any) -> None:
        rows = self.tables.setdefault(table, {})
        if value is None:
            rows.pop(key, None)
        else:
            rows[key] = value
