"""`app inspect` reads the schemas that values name, and prints settings under which a worker bins them."""

from __future__ import annotations

import asyncio
import base64
import io
import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import fastavro
import pytest
from google.protobuf import descriptor_pb2, timestamp_pb2
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass

from app.errors import InputError
from app.operations.inspection.inspect import Inspection
from app.operations.inspection.look import look_at
from app.operations.inspection.sample import Sample, Seen
from app.operations.inspection.values import Format
from app.settings import Settings
from tests.support.schema_registry import RegistryServer, running

T0 = datetime(2014, 5, 5, tzinfo=UTC)
DECIMAL = {"type": "bytes", "logicalType": "decimal", "precision": 12, "scale": 5}
QUOTES = {
    "type": "record",
    "name": "Quote",
    "namespace": "md",
    "fields": [
        {"name": "EventTime", "type": {"type": "long", "logicalType": "timestamp-micros"}},
        {
            "name": "instrument",
            "type": {"type": "record", "name": "Instrument", "fields": [{"name": "code", "type": "string"}]},
        },
        {"name": "venue", "type": {"type": "enum", "name": "Venue", "symbols": ["XNAS", "XNYS"]}},
        {"name": "bestBid", "type": ["null", DECIMAL]},
        {"name": "size", "type": ["null", "double"]},
        {"name": "flags", "type": {"type": "array", "items": {"type": "map", "values": "int"}}},
        {"name": "raw", "type": {"type": "fixed", "name": "Raw", "size": 2}},
    ],
}


@pytest.fixture
def server() -> Iterator[RegistryServer]:
    with running() as found:
        found.registry.levels[""] = "NONE"
        yield found


def quotes(count: int = 40) -> list[dict[str, Any]]:
    return [
        {
            "EventTime": T0 + timedelta(milliseconds=n * 250, microseconds=7),
            "instrument": {"code": f"SYM{n % 4}"},
            "venue": "XNAS",
            "bestBid": Decimal(100_000 + n).scaleb(-5),
            "size": n + 0.5,
            "flags": [{"a": 1}, {}],
            "raw": b"\1\2",
        }
        for n in range(count)
    ]


def avro(schema: Any, records: Sequence[Any]) -> list[bytes]:
    parsed = fastavro.parse_schema(schema)
    found = []
    for record in records:
        out = io.BytesIO()
        fastavro.schemaless_writer(out, parsed, record)
        found.append(out.getvalue())
    return found


def looked(values: Sequence[bytes | None], headers: Sequence[tuple[str, bytes]] = (), **settings: Any) -> Inspection:
    at = round(T0.timestamp() * 1_000)
    records = [
        Seen(0, n, at + n * 250 + 40, 0, f"SYM{n % 4}".encode(), value, tuple(headers)) for n, value in enumerate(values)
    ]
    return asyncio.run(look_at(Sample("quotes", 1, len(records), records), Settings.load(**settings, _env_file=None)))


def assert_all_are_binned(found: Inspection, count: int) -> None:
    assert found.verdict is not None
    assert (found.verdict.binned, found.verdict.why) == (count, "")
    assert found.problems == []


WANTED = "ts=EventTime,bid=bestBid,qty=size,broker=venue"


@pytest.mark.parametrize("framing", ["payload", "header"])
def test_avro_of_a_registry_gives_settings_that_fit(server: RegistryServer, framing: str) -> None:
    number = server.registry.register("quotes-value", {"schema": json.dumps(QUOTES)})
    frame = b"\0" + number.to_bytes(4)
    values = avro(QUOTES, quotes())
    if framing == "payload":
        found = looked([frame + value for value in values], schema_registry_url=server.url)
    else:
        found = looked(values, [("__value_schema_id", frame)], schema_registry_url=server.url)
    assert found.schemas == {str(number): "Avro record md.Quote"}
    assert (found.settings["ticks_format"], found.settings["schema_registry_url"]) == ("avro", server.url)
    assert (found.settings["ticks_fields"], found.settings["ticks_key"]) == (WANTED, "{symbol}")
    assert (found.settings["time_unit"], "ticks_time_unit" in found.settings) == ("us", False), "the schema says the unit"
    assert found.example[("bestBid",)] == Decimal("1.00039")
    assert found.example[("EventTime",)] == "2014-05-05T00:00:09.750007Z"
    assert_all_are_binned(found, 40)


def test_avro_by_a_file(tmp_path: Path) -> None:
    file = tmp_path / "quote.avsc"
    file.write_text(json.dumps(QUOTES))
    found = looked(avro(QUOTES, quotes()), ticks_format="avro", ticks_schema=str(file))
    assert found.settings["ticks_schema"] == str(file)
    assert found.settings["ticks_fields"] == WANTED
    assert_all_are_binned(found, 40)
    with pytest.raises(InputError, match="it cannot be read"):
        looked([], ticks_format="avro", ticks_schema=str(tmp_path / "none.avsc"))


def protobuf_file() -> descriptor_pb2.FileDescriptorProto:
    kind = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(
        name="trade.proto", package="md", syntax="proto3", dependency=["google/protobuf/timestamp.proto"]
    )
    other = file.message_type.add(name="Other")
    other.field.add(name="x", number=1, type=kind.TYPE_INT32, label=kind.LABEL_OPTIONAL)
    trade = file.message_type.add(name="Trade")
    label = kind.LABEL_OPTIONAL
    trade.field.add(name="time", number=1, type=kind.TYPE_MESSAGE, type_name=".google.protobuf.Timestamp", label=label)
    trade.field.add(name="price", number=2, type=kind.TYPE_STRING, label=label)
    trade.field.add(name="quantity", number=3, type=kind.TYPE_DOUBLE, label=label)
    trade.field.add(name="exchange", number=4, type=kind.TYPE_STRING, label=label)
    trade.field.add(name="conditions", number=5, type=kind.TYPE_INT32, label=kind.LABEL_REPEATED)
    return file


def test_protobuf_by_a_file_and_of_a_registry(tmp_path: Path, server: RegistryServer) -> None:
    pool = DescriptorPool()
    for file in (descriptor_pb2.FileDescriptorProto.FromString(timestamp_pb2.DESCRIPTOR.serialized_pb), protobuf_file()):
        pool.AddSerializedFile(file.SerializeToString())
    made: Any = GetMessageClass(pool.FindMessageTypeByName("md.Trade"))
    values = []
    for n in range(40):
        trade = made(price=f"1.5{n}", quantity=n + 1, exchange="XNAS", conditions=[1, 2])
        trade.time.FromDatetime(T0 + timedelta(milliseconds=n * 250))
        values.append(trade.SerializeToString())
    files = descriptor_pb2.FileDescriptorSet(file=[protobuf_file()])
    path = tmp_path / "trade.desc"
    path.write_bytes(files.SerializeToString())
    found = looked(values, ticks_format="protobuf", ticks_schema=str(path), ticks_message="md.Trade")
    assert found.schemas == {str(path): "Protobuf message md.Trade"}
    assert found.settings["ticks_message"] == "md.Trade"
    assert found.settings["ticks_fields"] == "ts=time,last=price,qty=quantity,broker=exchange"
    assert_all_are_binned(found, 40)
    text = base64.b64encode(protobuf_file().SerializeToString()).decode()
    number = server.registry.register("trades-value", {"schema": text, "schemaType": "PROTOBUF"})
    frame = b"\0" + number.to_bytes(4) + b"\2\2"  # the second message of the file
    found = looked([frame + value for value in values], schema_registry_url=server.url)
    assert found.schemas == {str(number): "Protobuf message md.Trade"}
    assert found.settings["ticks_format"] == "protobuf"
    assert_all_are_binned(found, 40)


def test_what_cannot_be_read_is_said_with_the_ids(server: RegistryServer) -> None:
    number = server.registry.register("quotes-value", {"schema": json.dumps(QUOTES)})
    values = [b"\0" + number.to_bytes(4) + value for value in avro(QUOTES, quotes())]
    without = looked(values)
    assert len(without.problems) == 1
    assert f"a schema id in the payload ({number}): set schema_registry_url" in without.problems[0]
    unknown = looked([b"\0\0\0\0\x63" + value[5:] for value in values], schema_registry_url=server.url)
    assert "404" in unknown.problems[0]
    assert "99" in unknown.problems[0]
    broken = looked([*values[:30], *(value[:-1] for value in values[30:])], schema_registry_url=server.url)
    assert broken.values.formats[Format.misread] == 10
    assert broken.verdict is not None
    assert (broken.verdict.binned, broken.verdict.rejected) == (30, 10)


def test_a_registry_that_is_away_is_said(server: RegistryServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.operations.inspection.schemas.TRY_SECONDS", 0.0)
    found = looked([b"\0\0\0\0\1\2"] * 5, schema_registry_url="http://127.0.0.1:9")
    assert found.verdict is None
    assert found.problems[0].startswith("Schema Registry at http://127.0.0.1:9: /schemas/ids/1")
