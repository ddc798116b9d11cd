"""Reads recorded ticks row by row. Prices keep the digits of the file; a bad row is reported by file, line and field."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from itertools import chain
from pathlib import Path
from typing import IO

from app.errors import InputError
from app.tickfiles.cells import Fields, csv_fields, json_fields
from app.tickfiles.reading import (
    FIELDS,
    PRICES,
    BadRowError,
    Reading,
    RefusedRowError,
    Row,
    from_ms,
    to_ms,
)
from app.tickfiles.sources import Source, Spool, rejected_path
from app.tickfiles.times import Time, time_reader, zone_of
from tables.ticks import EXACT

__all__ = ["BadRowError", "Reading", "RefusedRowError", "Row", "from_ms", "parse_columns", "rejected_file", "rows", "to_ms"]

_NUMBER = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?", re.ASCII)
_INTEGER = re.compile(r"(-?\d+)(?:\.0*)?", re.ASCII)  # Parquet has 7.0 where a column of whole numbers has a gap
_CARRIED = ("bid", "ask")
_JSON_KINDS = frozenset({".jsonl", ".ndjson", ".json"})


def parse_columns(text: str) -> tuple[str, ...]:
    """Parse `ts,bid,-,ask`; raises `InputError` for an unknown or repeated field, or if ts is missing."""
    names = tuple(n.strip() for n in text.split(","))
    for name in names:
        if name != "-" and name not in FIELDS:
            raise InputError(f"--columns: {name!r} is not a field of a tick: {', '.join(sorted(FIELDS))}, or - to skip")
        if name != "-" and names.count(name) > 1:
            raise InputError(f"--columns: {name} is named twice")
    if "ts" not in names and not {"date", "time"} <= {*names}:
        raise InputError("--columns: ts is missing; date and time, in two columns, may stand for it")
    return names


def rows(path: Path, reading: Reading) -> Iterator[Row | BadRowError]:
    """The rows of one file in order. A bad row is yielded as an error, not raised, so that the caller can skip it.

    Raises `InputError` if the file itself cannot be read.
    """
    with Spool() as spool:
        yield from chain.from_iterable(stream(source, reading) for source in spool.sources(path))


def stream(source: Source, reading: Reading) -> Iterator[Row | BadRowError]:
    """The rows of one stream, in its order."""
    reading = _for_file(source, reading)
    if source.kind == ".parquet":
        from app.tickfiles.parquet import parquet_fields  # noqa: PLC0415 - an extra

        yield from _from_fields(source.name, parquet_fields(source.path, source.given, reading), reading)
        return
    with source.lines() as file:
        yield from _from_fields(source.name, _text_fields(source, file, reading), reading)


def _text_fields(source: Source, file: Iterable[bytes], reading: Reading) -> Iterator[Fields]:
    if source.kind not in _JSON_KINDS:
        return csv_fields(source.name, file, reading)
    if reading.columns is not None:
        raise InputError(
            f"{source.name}: JSON has names and no columns: write --columns ts=NAME,bid=NAME with the names of the file"
        )
    return json_fields(source.name, file, reading.fields)


def _for_file(source: Source, reading: Reading) -> Reading:
    """What the file's name says: the symbol, and the day that its times count from."""
    match = re.match(reading.file_name, Path(source.member or source.name).name) if reading.file_name else None
    if match is None:
        return reading
    said = match.groupdict()
    if said.get("symbol") and not reading.symbol:
        reading = replace(reading, symbol=said["symbol"].upper())
    if said.get("date") and not reading.origin_ms:
        zone = zone_of(reading.zone or "UTC")
        midnight = datetime.fromisoformat(said["date"]).replace(tzinfo=zone)
        reading = replace(reading, origin_ms=int(midnight.timestamp()) * 1000)
    return reading


def _from_fields(name: str, source: Iterable[Fields], reading: Reading) -> Iterator[Row | BadRowError]:
    read = _row_reader(reading)
    judge, only = reading.judge, reading.only
    for seq, (line, fields, text) in enumerate(source, 1):
        if isinstance(fields, BadRowError):
            yield fields
            continue
        if only is not None and fields.get("kind", "").strip() not in only:
            continue
        try:
            row = read(fields, seq)
        except ValueError as error:
            yield BadRowError(f"{name}:{line}", str(error), text)
            continue
        why = judge(row) if judge is not None else None
        yield row if why is None else RefusedRowError(f"{name}:{line}", *why, text, row)


def _row_reader(reading: Reading) -> Callable[[dict[str, str], int], Row]:
    """A function that makes a row of its fields and its number, and raises `ValueError` with what is wrong with it."""
    keys: dict[tuple[str, str], bytes] = {}
    carried: dict[tuple[bytes, str], str] = {}
    time_of = time_reader(
        reading.time_unit,
        origin_ms=reading.origin_ms,
        file_unit=reading.file_unit,
        formats=reading.time_formats,
        zone=None if _counts_from_a_day(reading) else reading.zone,
    )
    price_of = _price_reader(reading)
    broker, symbol, carry = reading.broker or "", reading.symbol or "", reading.carry

    def read(fields: dict[str, str], seq: int) -> Row:
        pair = fields.get("broker") or broker, fields.get("symbol") or symbol
        key = keys.get(pair)
        if key is None:
            key = keys[pair] = _key(*pair)
        if carry:
            for field in _CARRIED:
                if fields.get(field):
                    carried[key, field] = fields[field]
                else:
                    fields[field] = carried.get((key, field), "")
        text = fields.get("ts")
        if text is None:
            text = f"{fields.get('date', '').strip()} {fields.get('time', '').strip()}"
        return _row(key, fields, seq, time_of(text), price_of)

    return read


def _counts_from_a_day(reading: Reading) -> bool:
    """Whether the zone is only that of the day in the file's name."""
    return reading.file_name is not None and "(?P<date>" in reading.file_name


def _key(*pair: str) -> bytes:
    names = []
    for field, text in zip(("broker", "symbol"), pair, strict=True):
        value = text.strip(" ")
        if not value:
            option = "--broker-name" if field == "broker" else "--symbol"
            raise ValueError(f"{field} is empty: give {option}, or name its column in --columns")
        odd = next((c for c in value if c.isspace() and c != " "), None)
        if odd is not None and odd not in "\t\n\r":
            raise ValueError(f"{field}={value!r}: holds a blank that is not the usual one (U+{ord(odd):04X})")
        if "|" in value or not value.isprintable():
            raise ValueError(f"{field}={value!r}: may hold neither | nor control characters")
        names.append(value)
    return "|".join(names).encode()


def _price_reader(reading: Reading) -> Callable[[str, str], str]:
    """A function that makes the JSON number of a price or quantity: field and text in; empty if there is none."""
    decimal, scale, undefined = reading.decimal, reading.scale, reading.undefined
    match = _NUMBER.fullmatch
    if decimal == "." and scale is None and undefined is None:

        def plain(field: str, text: str) -> str:
            if match(text) is None:
                text = text.strip()
                if text and match(text) is None:
                    raise ValueError(f"{field}={text[:40]!r}: is not a number")
            return text

        return plain

    def read(field: str, text: str) -> str:
        value = text.strip()
        if decimal != ".":
            value = value.replace(decimal, ".")
        if value == undefined:
            return ""
        if value and match(value) is None:
            raise ValueError(f"{field}={value[:40]!r}: is not a number")
        if scale is None or field == "qty" or not value or (reading.scale_integers and "." in value):
            return value
        return f"{EXACT.multiply(Decimal(value), scale):f}"

    return read


def _row(key: bytes, fields: dict[str, str], seq: int, time: Time, price_of: Callable[[str, str], str]) -> Row:
    parts = []
    for field, value in fields.items():
        if field in PRICES and value:
            number = price_of(field, value)
            if number:
                parts.append(f',"{field}":{number}')
    given_seq = fields.get("seq")
    if given_seq:
        whole = _INTEGER.fullmatch(given_seq.strip())
        if whole is None:
            raise ValueError(f"seq={given_seq[:40]!r}: is not a whole number")
        seq = int(whole[1])
    beat = fields.get("heartbeat", "")
    if beat not in {"", "true", "false"}:
        raise ValueError(f"heartbeat={beat[:40]!r}: is neither true nor false")
    rest = ',"heartbeat":true' if beat == "true" else f'{"".join(parts)},"seq":{seq}'
    ts, ms = time
    return Row(key, f'{{"ts":{ts}{rest}}}'.encode(), ms)


class RejectedFile:
    """Rows that are not sent, as they are in their file. The file is made with the first of them."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: IO[str] | None = None

    def append(self, text: str) -> None:
        """Add one row. Raises `InputError` if it cannot be written."""
        try:
            if self._file is None:
                self._file = self.path.open("w", encoding="utf-8", errors="surrogateescape", newline="\n")
            self._file.write(f"{text}\n")
        except OSError as error:
            raise self._cannot(error) from error

    def close(self) -> None:
        """Close the file; without rows, delete one of an earlier run."""
        try:
            if self._file is not None:
                self._file.close()
            else:
                self.path.unlink(missing_ok=True)
        except OSError as error:
            raise self._cannot(error) from error

    def _cannot(self, error: OSError) -> InputError:
        return InputError(f"{self.path}: cannot keep the rows that are not sent: {error.strerror}")


@contextmanager
def rejected_file(path: Path) -> Iterator[RejectedFile]:
    """What takes the bad rows of a file: `<file>.rejected`, which is not there afterwards if there were none.

    Raises `InputError` if the file cannot be written.
    """
    kept = RejectedFile(rejected_path(path))
    try:
        yield kept
    finally:
        kept.close()
