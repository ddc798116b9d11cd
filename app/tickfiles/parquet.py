"""Recorded ticks from a Parquet file; needs pyarrow."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from app.errors import InputError
from app.tickfiles.cells import NEEDED
from app.tickfiles.reading import FIELDS, Names, Reading

_OWN: dict[str, Names] = {name: ((name,),) for name in sorted(FIELDS | {"heartbeat"})}


def parquet_fields(path: Path, given: Path, reading: Reading) -> Iterator[tuple[int, dict[str, str], str]]:
    """Row number, fields as text, and the row as text for messages. `given` names the file in them.

    Without `reading.columns` the names in the file count. Timestamps become integers in the unit of the file.
    Raises `InputError` if pyarrow is not installed or cannot read the file.
    """
    try:
        import pyarrow  # noqa: PLC0415, ICN001 - an extra
        from pyarrow import compute, parquet  # noqa: PLC0415
    except ImportError:
        raise InputError(f"{given}: reading Parquet needs pyarrow: pip install 'barwheel[parquet]'") from None
    try:
        file = parquet.ParquetFile(path)
        names = _names(given, tuple(file.schema_arrow.names), reading)
        number = 0
        for batch in file.iter_batches():
            cells = [_texts(pyarrow, compute, column, reading.file_unit or reading.time_unit) for column in batch.columns]
            for values in zip(*cells, strict=True):
                number += 1
                yield number, dict(zip(names, values, strict=True)), ",".join(values)
    except (pyarrow.ArrowException, OSError) as error:
        raise InputError(f"{given}: {error}") from error


def _names(given: Path, found: tuple[str, ...], reading: Reading) -> tuple[str, ...]:
    """The field in each column; names that are no field are of no account."""
    if reading.columns is not None:
        if len(reading.columns) != len(found):
            raise InputError(f"{given}: has {len(found)} columns, --columns names {len(reading.columns)}")
        return reading.columns
    fields = reading.fields or _OWN
    by_name: dict[str, str] = {}
    for field, names in fields.items():
        name = next((name for name in map(".".join, names) if name in found), None)
        if name is not None:
            by_name[name] = field
        elif field in NEEDED or (reading.fields is not None and not reading.optional):
            wanted = " or ".join(map(".".join, names))
            raise InputError(
                f"{given}: has no column {wanted} for {field}; it has {', '.join(found)[:200]}: --columns ts=NAME,bid=NAME"
            )
    return tuple(by_name.get(name, "-") for name in found)


def _texts(pyarrow: Any, compute: Any, column: Any, unit: str) -> list[str]:
    """One column as text: a float with its shortest digits, a decimal exactly, a null as an empty text."""
    types = pyarrow.types
    if types.is_timestamp(column.type):
        unit = "ms" if unit == "auto" else unit
        column = column.cast(pyarrow.timestamp(unit, tz=column.type.tz), safe=False).cast(pyarrow.int64())
    elif types.is_float32(column.type) or types.is_float16(column.type):
        column = compute.cast(column, pyarrow.string())  # as a double, 1.1 would be 1.100000023841858
    return ["" if value is None else _text(value) for value in column.to_pylist()]


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode(errors="backslashreplace")
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
