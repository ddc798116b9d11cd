"""Recorded ticks from a Parquet file; needs pyarrow."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from app.errors import InputError


def parquet_fields(path: Path, columns: tuple[str, ...] | None, time_unit: str) -> Iterator[tuple[int, dict[str, str], str]]:
    """Row number, fields as text, and the row as text for messages.

    `columns` names the fields by position; None takes the names in the file. Timestamps become integers in `time_unit`.
    Raises `InputError` if pyarrow is not installed or cannot read the file.
    """
    try:
        import pyarrow  # noqa: PLC0415, ICN001 - an extra
        from pyarrow import parquet  # noqa: PLC0415
    except ImportError:
        raise InputError(f"{path}: reading Parquet needs pyarrow: pip install 'barwheel[parquet]'") from None
    try:
        file = parquet.ParquetFile(path)
        names = columns or tuple(file.schema_arrow.names)
        if len(names) != len(file.schema_arrow.names):
            raise InputError(f"{path}: has {len(file.schema_arrow.names)} columns, --columns names {len(names)}")
        number = 0
        for batch in file.iter_batches():
            cells = [_texts(pyarrow, column, time_unit) for column in batch.columns]
            for values in zip(*cells, strict=True):
                number += 1
                yield number, dict(zip(names, values, strict=True)), ",".join(values)
    except pyarrow.ArrowException as error:
        raise InputError(f"{path}: {error}") from error


def _texts(pyarrow: Any, column: Any, time_unit: str) -> list[str]:
    """One column as text: a float with its shortest digits, a decimal exactly, a null as an empty text."""
    if pyarrow.types.is_timestamp(column.type):
        column = column.cast(pyarrow.timestamp(time_unit, tz=column.type.tz), safe=False).cast(pyarrow.int64())
    return ["" if v is None else str(v) for v in column.to_pylist()]
