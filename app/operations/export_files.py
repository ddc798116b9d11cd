"""The files of an export of bars: their names, their columns, and the record of how far it is.

    DIR/day=2014-05-05/broker=fxcm/bars-0-00000000000000000000.parquet     partition 0, bars from offset 0
    DIR/_barwheel.json                                                     up to which offset each partition is exported

A chunk's files are written first, then the record, each under another name until it is whole. Files beyond the record come from
an export that was interrupted: they are deleted when it goes on, and written again.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

import msgspec

from app.bar_columns import MisfitError, arrow_columns
from app.errors import InputError
from tables.bars import Bar

RECORD = "_barwheel.json"
DAY_MS = 86_400_000
_FILE = re.compile(r"bars-(\d+)-(\d{20})\.parquet(\.part)?")


class Row(NamedTuple):
    """A bar, and where it is in its topic."""

    partition: int
    offset: int
    bar: Bar


class Record(msgspec.Struct, kw_only=True):
    """How far an export is. A directory holds the bars of one app, with the same columns in all files."""

    app_id: str
    topic: str
    topic_id: str  # empty where the broker tells none
    scale: int
    positions: dict[int, int]  # by partition: bars before this offset are exported

    def write(self, directory: Path) -> None:
        """Replace the record in the directory."""
        _replace(directory / RECORD, msgspec.json.encode(self))


def read_record(directory: Path) -> Record | None:
    """The record in a directory, if there is one. Raises `InputError` where it cannot be read."""
    path = directory / RECORD
    try:
        return msgspec.json.decode(path.read_bytes(), type=Record)
    except FileNotFoundError:
        return None
    except msgspec.MsgspecError as error:
        raise InputError(f"{path}: {error}; give another directory") from None


def delete_unfinished(directory: Path, positions: Mapping[int, int]) -> int:
    """Delete the files that an interrupted export wrote beyond its record; returns how many."""
    deleted = 0
    for path in directory.glob("day=*/broker=*/bars-*"):
        match = _FILE.fullmatch(path.name)
        if match is not None and (match[3] or int(match[2]) >= positions.get(int(match[1]), 0)):
            path.unlink()
            deleted += 1
    return deleted


def write_chunk(directory: Path, rows: Iterable[Row], first: Mapping[int, int], scale: int) -> int:
    """Write bars into a file for each day, broker and partition; returns how many files.

    `first`: the offset at which each partition's chunk begins. Raises `InputError` where a price does not fit.
    """
    groups: dict[tuple[int, str, int], list[Row]] = {}
    for row in rows:
        groups.setdefault((row.bar.bucket_start // DAY_MS, row.bar.broker, row.partition), []).append(row)
    for (day, broker, partition), group in groups.items():
        name = f"bars-{partition}-{first[partition]:020}.parquet"
        place = directory / f"day={_day(day)}" / f"broker={quote(broker, safe='')}"
        place.mkdir(parents=True, exist_ok=True)
        _write(place / name, group, scale)
    return len(groups)


def _day(day: int) -> str:
    return datetime.fromtimestamp(day * DAY_MS // 1_000, UTC).strftime("%Y-%m-%d")


def _write(path: Path, rows: list[Row], scale: int) -> None:
    import pyarrow as pa  # noqa: PLC0415 - an extra
    from pyarrow import parquet  # noqa: PLC0415

    try:
        columns = arrow_columns([row.bar for row in rows], scale)
    except MisfitError as error:
        raise InputError(f"{error}: choose another --scale, and an empty directory") from None
    columns["partition"] = pa.array([row.partition for row in rows], pa.int32())
    columns["offset"] = pa.array([row.offset for row in rows], pa.int64())
    unfinished = path.with_name(f"{path.name}.part")
    parquet.write_table(pa.table(columns), unfinished, compression="zstd")
    _sync(unfinished)
    unfinished.replace(path)
    _sync(path.parent)


def _replace(path: Path, content: bytes) -> None:
    unfinished = path.with_name(f"{path.name}.part")
    unfinished.write_bytes(content)
    _sync(unfinished)
    unfinished.replace(path)
    _sync(path.parent)


def _sync(path: Path) -> None:
    """Make what was written to a file or directory survive a power failure."""
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
