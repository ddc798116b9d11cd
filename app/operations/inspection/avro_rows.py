"""Reads Avro values with all their fields, for people to look at: exact numbers, times as text. Pure."""

from __future__ import annotations

import struct
import uuid
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from tables.bar_formats.varints import read_varint
from tables.layouts.avro_schema import AvroType, parse_schema
from tables.layouts.decoded import from_double, from_float, trimmed

_DIGITS = {"millis": 3, "micros": 6, "nanos": 9}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_BROKEN = (IndexError, ValueError, ArithmeticError, struct.error, RecursionError)


class AvroRows:
    """Reads what was written with one schema."""

    format = "avro"

    def __init__(self, text: str, references: Sequence[str] = ()) -> None:
        """Raises `UnfitSchemaError`."""
        self._record = parse_schema(text, references)
        self.name = f"Avro record {self._record.name}"

    def read(self, value: bytes, at: int = 0) -> dict[str, Any]:
        """The fields of a value that begins here. Raises `ValueError` where it was not written with the schema."""
        try:
            reader = _Reader(value, at)
            found: dict[str, Any] = reader.read(self._record)
        except _BROKEN as error:
            raise ValueError(f"it was not written with this schema ({error})") from None
        if reader.at != len(value):
            raise ValueError("it was not written with this schema (it has another length)")
        return found


class _Reader:
    def __init__(self, data: bytes, at: int) -> None:
        self._data = data
        self.at = at

    def read(self, kind: AvroType) -> Any:  # noqa: PLR0911  # one for each kind
        """The next value. A list or a map is a list of what it holds."""
        form = kind.kind
        if form == "null":
            return None
        if form == "record":
            return {name: self.read(inner) for name, inner in kind.fields}
        if form == "union":
            return self.read(self._one_of(kind.branches))
        if form in ("array", "map"):
            return list(self._items(kind))
        if form in ("int", "long"):
            return _number(kind, self._long())
        if form == "enum":
            return self._one_of(kind.symbols)
        if form in ("float", "double"):
            return self._float(form)
        if form == "boolean":
            return self._take(1) == b"\1"
        return _bytes(kind, self._take(kind.size if form == "fixed" else self._long()))

    def _one_of(self, choices: Sequence[Any]) -> Any:
        index = self._long()
        if not 0 <= index < len(choices):
            raise ValueError(f"there is no choice {index}")
        return choices[index]

    def _float(self, form: str) -> Any:
        if form == "float":
            return from_float(struct.unpack("<f", self._take(4))[0])
        return from_double(struct.unpack("<d", self._take(8))[0])

    def _take(self, size: int) -> bytes:
        if not 0 <= size <= len(self._data) - self.at:
            raise ValueError("it ends too early")
        self.at += size
        return self._data[self.at - size : self.at]

    def _long(self) -> int:
        number, self.at = read_varint(self._data, self.at)
        return (number >> 1) ^ -(number & 1)

    def _items(self, kind: AvroType) -> Iterator[Any]:
        """An array or a map is blocks: a count and so many items; or a negative count, a size in bytes, and the items."""
        if kind.items is None:
            return
        while count := self._long():
            if count < 0:
                self._long()
            for _ in range(abs(count)):
                before = self.at
                if kind.kind == "map":
                    self._take(self._long())
                yield self.read(kind.items)
                if self.at == before:
                    break  # items without bytes: however many there are, they say nothing


def _number(kind: AvroType, number: int) -> Any:
    """A time as text, with the digits that its unit has; any other number as it is."""
    local, _, unit = kind.logical.rpartition("timestamp-")
    if unit not in _DIGITS or not kind.logical.startswith((local, "timestamp-")):
        return number
    digits = _DIGITS[unit]
    seconds, rest = divmod(number, 10**digits)
    try:
        time = (_EPOCH + timedelta(seconds=seconds)).replace(tzinfo=None)
    except OverflowError:
        return number
    return f"{time.isoformat()}.{rest:0{digits}}{'' if local else 'Z'}"


def _bytes(kind: AvroType, content: bytes) -> Any:
    if kind.logical == "decimal":
        return trimmed(int.from_bytes(content, "big", signed=True), kind.scale)
    if kind.kind == "string":
        return content.decode()
    return str(uuid.UUID(bytes=content)) if kind.logical == "uuid" else content
