"""The files and the state of ksql-migrations, ksqlDB's own tool: what it applied, compared with the files. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import md5
from pathlib import Path
from typing import Any

from migrations.errors import PlanError, RefusedError

TABLE = "MIGRATION_SCHEMA_VERSIONS"  # its name, unless that tool was configured otherwise
MIGRATED = "MIGRATED"
# a file with a DROP needs this line to be a plan, and was applied without it
_LINE = rb"[ \t]*--[ \t]*destructive:[ \t]*yes[ \t]*"
_DESTRUCTIVE_LINE = re.compile(rb"^" + _LINE + rb"(?:\r?\n|\Z)", re.IGNORECASE | re.MULTILINE)
_AFTER_LAST_LINE = re.compile(rb"\r?\n" + _LINE + rb"(?:\r?\n)?\Z", re.IGNORECASE)  # of a file that ended without a line end
_FILE = re.compile(r"V(?P<number>[0-9]{6})__.+\.sql")


@dataclass(frozen=True)
class Version:
    """One file, and what that tool's table says of it. `group` is the first part of its statements' ids."""

    group: str
    number: int
    state: str  # MIGRATED, RUNNING, ERROR, or empty if it was not applied
    completed: int = 0  # in epoch ms
    error: str = ""


def versions(directory: Path, rows: Iterable[Mapping[str, Any]]) -> list[Version]:
    """The files of a directory in order, with their states.

    Raises `PlanError` for a file of another name, and `RefusedError` for one that was changed after it was applied, and for an
    applied version without a file.
    """
    known = {str(row["VERSION"]): row for row in rows if row.get("VERSION_KEY") == row.get("VERSION")}
    found = []
    for path in sorted(directory.iterdir() if directory.is_dir() else ()):
        if path.name.startswith(("_", ".")) or path.is_dir():
            continue
        named = _FILE.fullmatch(path.name)
        if named is None:
            raise PlanError(f"{path}: ksql-migrations names its files like V000001__name.sql")
        number = int(named["number"])
        found.append(_version(path, number, known.pop(str(number), {})))
    if not found:
        raise PlanError(f"{directory}: no files of ksql-migrations in there; --plan names their directory")
    if left := sorted(number for number, row in known.items() if row.get("STATE") == MIGRATED):
        raise RefusedError(f"version {', '.join(left)} was applied and has no file in {directory}: add it")
    return found


def _digest(content: bytes) -> str:
    """That tool's checksum of a file."""
    return md5(content, usedforsecurity=False).hexdigest()


def _version(path: Path, number: int, row: Mapping[str, Any]) -> Version:
    state = str(row.get("STATE") or "")
    content = path.read_bytes()
    without = [added.sub(b"", content) for added in (_DESTRUCTIVE_LINE, _AFTER_LAST_LINE)]
    digests = [_digest(one) for one in (content, *without)]
    if state == MIGRATED and row.get("CHECKSUM") not in digests:
        raise RefusedError(
            f"{path}: it was changed after it was applied (MD5 {row.get('CHECKSUM')}, now {digests[0]}): restore it; only the "
            "line `-- destructive: yes` may be added"
        )
    completed = str(row.get("COMPLETED_ON") or "")
    error = str(row.get("ERROR_REASON") or "")
    return Version(path.stem, number, state, int(completed) if completed.isdigit() else 0, "" if error == "N/A" else error)
