"""Ticks in Avro and Protobuf for `benchmarks formats`, with the search for unknown schemas that comes before each slice."""

from __future__ import annotations

import base64
import struct
from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal
from typing import Any, NamedTuple

import msgspec
from google.protobuf import descriptor_pb2
from google.protobuf.message_factory import GetMessageClass

from tables.layouts.config import LayoutConfig
from tables.layouts.layout import TickLayout
from tables.layouts.protobuf_schema import ProtobufFile
from tables.layouts.schema_book import SchemaBook
from tables.layouts.schema_layout import SchemaLayout
from tables.records import DecodedRecord, Record

SCALE = 5  # digits after the point of a price
FRAME = b"\0\0\0\0\1"  # schema 1
Encode = Callable[[Any], tuple[bytes | None, bytes]]


class SchemaFormat(NamedTuple):
    """A layout, and how a tick is written in it."""

    name: str
    layout: Callable[[], TickLayout]
    encode: Encode
    avro: str = ""  # the schema


class _Checked(SchemaLayout):
    """A layout that also looks whether it knows the schemas, as a worker does before it feeds a slice."""

    def decoded(self, records: Iterable[Record]) -> Iterator[DecodedRecord]:
        """See `TickLayout`."""
        kept = list(records)
        if self._book.unknown(kept):
            raise RuntimeError("a schema is missing")
        return super().decoded(kept)


def _layout(kind: str, schema: str) -> Callable[[], TickLayout]:
    def make() -> TickLayout:
        parsed = LayoutConfig(format=kind).parsed()
        book = SchemaBook(parsed)
        why = book.add(1, book.kind, schema)
        if why:
            raise RuntimeError(why)
        return _Checked(parsed, book)

    return make


def _number(value: int) -> bytes:
    """Avro's encoding of a number: zigzag, seven bits a byte."""
    value = value << 1 if value >= 0 else (-value << 1) - 1
    out = bytearray()
    while value > 127:  # noqa: PLR2004  # seven bits
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def _avro(name: str, price: Any, encode: Callable[[str], bytes]) -> SchemaFormat:
    fields = {"ts": {"type": "long", "logicalType": "timestamp-millis"}, "bid": price, "ask": price, "seq": "long"}
    described = [{"name": field, "type": kind} for field, kind in fields.items()]
    schema = msgspec.json.encode({"type": "record", "name": "Tick", "fields": described}).decode()

    def encoded(tick: Any) -> tuple[bytes, bytes]:
        value = FRAME + _number(tick.ts) + encode(tick.bid) + encode(tick.ask) + _number(tick.seq)
        return f"{tick.broker}|{tick.symbol}".encode(), value

    return SchemaFormat(name, _layout("avro", schema), encoded, schema)


def _decimal(text: str) -> bytes:
    number = int(Decimal(text).scaleb(SCALE))
    size = (number.bit_length() + 8) // 8
    return _number(size) + number.to_bytes(size, "big", signed=True)


def _protobuf(name: str, price: int, convert: Callable[[str], Any]) -> SchemaFormat:
    form: Any = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="ticks.proto", package="x", syntax="proto3")
    message = file.message_type.add(name="Tick")
    kinds = {"ts": form.TYPE_INT64, "bid": price, "ask": price, "seq": form.TYPE_INT64}
    for number, (field, kind) in enumerate(kinds.items(), 1):
        message.field.add(name=field, number=number, type=kind, label=form.LABEL_OPTIONAL)
    text = base64.b64encode(file.SerializeToString()).decode()
    made: Any = GetMessageClass(ProtobufFile.registered(text).by_indexes([0]))

    def encoded(tick: Any) -> tuple[bytes, bytes]:
        value = made(ts=tick.ts, bid=convert(tick.bid), ask=convert(tick.ask), seq=tick.seq).SerializeToString()
        return f"{tick.broker}|{tick.symbol}".encode(), FRAME + b"\0" + value

    return SchemaFormat(name, _layout("protobuf", text), encoded)


def schema_formats() -> list[SchemaFormat]:
    """The formats with schemas."""
    exact = {"type": "bytes", "logicalType": "decimal", "precision": 18, "scale": SCALE}
    form = descriptor_pb2.FieldDescriptorProto
    return [
        _avro("Avro, doubles", "double", lambda text: struct.pack("<d", float(text))),
        _avro("Avro, decimals", exact, _decimal),
        _avro("Avro, prices as text", "string", lambda text: _number(len(text)) + text.encode()),
        _protobuf("Protobuf, doubles", form.TYPE_DOUBLE, float),
        _protobuf("Protobuf, prices as text", form.TYPE_STRING, str),
    ]
