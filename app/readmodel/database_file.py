"""The database file of one worker: claiming it, and telling damage from other errors."""

from __future__ import annotations

import fcntl
import sqlite3
from pathlib import Path
from typing import IO

from app.errors import BarwheelError

MAX_WORKERS = 64  # that share a data directory
_DAMAGE = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})


class DamagedError(BarwheelError):
    """The file is not a database, is corrupt, or holds a copy of other topics."""


class UnreadableError(BarwheelError):
    """The file cannot be read at the moment, and is not damaged: too many files are open, or the disk fails."""


def is_damage(error: sqlite3.Error) -> bool:
    """Whether the error says that the file is corrupt, as opposed to, say, a full disk."""
    code = getattr(error, "sqlite_errorcode", 0)
    return bool(code) and code & 0xFF in _DAMAGE  # the low byte of an extended result code is the primary code


def claim(directory: Path, name: str) -> tuple[Path, IO[bytes]]:
    """Claim a file that no other worker on this machine uses: `<name>.<number>.sqlite`.

    The claim lasts until the returned lock file is closed. Raises `OSError` if all files are claimed.
    """
    directory.mkdir(parents=True, exist_ok=True)
    for number in range(MAX_WORKERS):
        path = directory / f"{name}.{number}.sqlite"
        lock = path.with_suffix(".lock").open("ab")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
        else:
            return path, lock
    raise OSError(f"{directory}: {MAX_WORKERS} workers use it already; give this one another data_dir")
