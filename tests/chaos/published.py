"""A record of the finals topic, read without the worker's code: by the standard library, by fastavro, or by upb."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

import fastavro

from tests.chaos.sent import Stored
from tests.support.protobuf_text import message_class, values_of
from tests.support.worker import ROOT

SCHEMAS = ROOT / "tables/bar_formats/schemas"
PREFIX = 5  # bytes: a magic byte and the schema's id
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Window(NamedTuple):
    """What may have one bar. A symbol that lies in two partitions has a bar in each."""

    partition: int
    broker: str
    symbol: str
    start: int


class Published(NamedTuple):
    """A bar, and its record."""

    window: Window
    bar: dict[str, Any]
    record: Stored

    @property
    def has_schema(self) -> bool:
        """Whether it is Avro or Protobuf."""
        return (self.record.value or b"")[:1] == b"\0"

    @classmethod
    def of(cls, record: Stored) -> Published:
        """Read a record; numbers are exact."""
        assert record.value is not None
        bar = fields_of(record.value)
        return cls(Window(record.partition, bar["broker"], bar["symbol"], bar["bucket_start"]), bar, record)


def fields_of(value: bytes) -> dict[str, Any]:
    """The fields of a bar in any format, as JSON has them. Numbers are exact."""
    if value[:1] != b"\0":
        found: dict[str, Any] = json.loads(value, parse_float=Decimal)
        return found
    fields = _protobuf(value[PREFIX + 1 :]) if value[PREFIX] == 0 else _avro(value[PREFIX:])
    assert (fields.pop("corrected"), fields.pop("frame")) == (None, None)
    if not fields["partial"]:
        del fields["partial"]
    return {name: _ms(content) if isinstance(content, datetime) else content for name, content in fields.items()}


def _ms(time: datetime) -> int:
    return (time - EPOCH) // timedelta(milliseconds=1)


def _avro(content: bytes) -> dict[str, Any]:
    schema = fastavro.parse_schema(json.loads((SCHEMAS / "bar-1.avsc").read_text()))
    found: Any = fastavro.schemaless_reader(io.BytesIO(content), schema, None)
    return dict(found)


def _protobuf(content: bytes) -> dict[str, Any]:
    return values_of(message_class((SCHEMAS / "bar-1.proto").read_text(), "barwheel.Bar").FromString(content))
