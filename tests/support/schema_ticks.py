"""Ticks in Avro and Protobuf, with the framing of Schema Registry."""

from __future__ import annotations

import base64
import functools
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import fastavro
from google.protobuf import descriptor_pb2
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass

TICK = {
    "ts": {"type": "long", "logicalType": "timestamp-millis"},
    "bid": {"type": "bytes", "logicalType": "decimal", "precision": 30, "scale": 8},
}
OPTIONAL = {
    "qty": ["null", {"type": "bytes", "logicalType": "decimal", "precision": 30, "scale": 8}],
    "seq": "long",
    "heartbeat": "boolean",
}


@dataclass(frozen=True)
class AvroTicks:
    """Ticks by one schema: its fields with their types, in their order. `number`: the schema's id."""

    fields: Mapping[str, Any]
    number: int = 1

    @property
    def text(self) -> str:
        """The schema as it is registered."""
        fields = [{"name": name, "type": kind} for name, kind in self.fields.items()]
        for field in fields:
            if isinstance(field["type"], list):
                field["default"] = None
        return json.dumps({"type": "record", "name": "Tick", "fields": fields})

    def plain(self, **record: Any) -> bytes:
        """A record without framing; `ts` is a number."""
        out = io.BytesIO()
        fastavro.schemaless_writer(out, _with_plain_time(self.text), record)
        return out.getvalue()

    def framed(self, **record: Any) -> bytes:
        """A record with the schema's id in front."""
        return b"\0" + self.number.to_bytes(4) + self.plain(**record)


@dataclass(frozen=True)
class ProtobufTicks:
    """Ticks as messages: ts, bid (text), qty (text, optional), seq, heartbeat. `number`: the schema's id."""

    number: int = 1
    extra: Sequence[str] = ()  # text fields in front, which nobody needs
    first: bool = False  # the tick is the first message of its file, not the second one

    @property
    def file(self) -> descriptor_pb2.FileDescriptorProto:
        """The file."""
        kind = descriptor_pb2.FieldDescriptorProto
        file = descriptor_pb2.FileDescriptorProto(name="ticks.proto", package="x", syntax="proto3")
        if not self.first:
            file.message_type.add(name="Other")
        message = file.message_type.add(name="Tick")
        fields = {"ts": kind.TYPE_INT64, "bid": kind.TYPE_STRING, "qty": kind.TYPE_STRING, "seq": kind.TYPE_INT64}
        for name, form in {**dict.fromkeys(self.extra, kind.TYPE_STRING), **fields, "heartbeat": kind.TYPE_BOOL}.items():
            message.field.add(name=name, number=len(message.field) + 1, type=form, label=kind.LABEL_OPTIONAL)
        return file

    @property
    def text(self) -> str:
        """The schema as it is registered."""
        return base64.b64encode(self.file.SerializeToString()).decode()

    def plain(self, **record: Any) -> bytes:
        """A message without framing."""
        made = _message(self.file.SerializeToString())()
        for name, value in record.items():
            if value is not None:
                setattr(made, name, str(value) if isinstance(value, Decimal) else value)
        return bytes(made.SerializeToString())

    def framed(self, **record: Any) -> bytes:
        """A message with the schema's id and the message's index in front."""
        return b"\0" + self.number.to_bytes(4) + (b"\0" if self.first else b"\2\2") + self.plain(**record)


@functools.cache
def _with_plain_time(text: str) -> Any:
    """The schema for a writer that gives `ts` as a number."""
    schema = json.loads(text)
    for field in schema["fields"]:
        if field["name"] == "ts":
            field["type"] = "long"
    return fastavro.parse_schema(schema)


@functools.cache
def _message(file: bytes) -> Any:
    pool = DescriptorPool()
    pool.AddSerializedFile(file)
    return GetMessageClass(pool.FindMessageTypeByName("x.Tick"))
