"""Ticks in Avro and Protobuf through an engine: the same bars as in JSON; schemas that come, lack fields, are not there."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Iterable, Iterator
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from hypothesis import given
from hypothesis import strategies as st

from agents.schemas import TickSchemas, schema_book
from app.errors import InputError, RegistryError
from app.settings import Settings
from tables.config import EngineConfig
from tables.engine import Engine
from tables.layouts.config import LayoutConfig
from tables.layouts.framing import VALUE_HEADER
from tables.layouts.layout import tick_of
from tables.layouts.schema_book import DecodersOfPass, SchemaBook
from tables.layouts.schema_layout import MOST_OF_PASS, SchemaLayout
from tables.ticks import RejectedError
from tests.support.reference import Entry
from tests.support.schema_registry import RegistryServer, running
from tests.support.schema_ticks import OPTIONAL, TICK, AvroTicks, ProtobufTicks
from tests.unit.model import Wire, shown, take_finals, wire
from tests.unit.test_engine_properties import PROFILE, configs, last_arrival, logs

TS = 1_399_248_000_123
AVRO = AvroTicks({**OPTIONAL, **TICK})
EVOLVED = AvroTicks({"venue": "string", **TICK, "spare": {"type": "array", "items": "long"}, **OPTIONAL}, 2)
PROTOBUF = ProtobufTicks()
EVOLVED_PROTOBUF = ProtobufTicks(2, ("venue",))
FIRST, EVOLVED_FIRST = ProtobufTicks(first=True), ProtobufTicks(2, ("venue",), first=True)
EVOLUTIONS: dict[str, tuple[AvroTicks | ProtobufTicks, AvroTicks | ProtobufTicks]] = {
    "avro": (AVRO, EVOLVED),
    "protobuf": (PROTOBUF, EVOLVED_PROTOBUF),
    "protobuf, first message": (FIRST, EVOLVED_FIRST),
}


def layout_of(name: str, *schemas: AvroTicks | ProtobufTicks) -> SchemaLayout:
    parsed = LayoutConfig(format=name).parsed()
    book = SchemaBook(parsed)
    for schema in schemas:
        assert not book.add(schema.number, book.kind, schema.text)
    return SchemaLayout(parsed, book)


def record_of(entry: Entry, ticks: AvroTicks | ProtobufTicks) -> Wire:
    """The record that a sender of this schema would make of an entry."""
    plain = wire(entry)
    if entry.marker or entry.bad:
        return plain
    more: dict[str, Any] = {"venue": "XNAS"} if ticks.number == 2 else {}
    if ticks is EVOLVED:
        more["spare"] = [1, 2, 3]
    fields = {"ts": entry.ts, "bid": entry.price, "qty": entry.qty, "seq": entry.seq, "heartbeat": entry.heartbeat}
    return replace(plain, value=ticks.framed(**fields, **more))


def bars_of(records: Iterable[Wire], config: EngineConfig, until: int, layout: SchemaLayout | None = None) -> Any:
    engine = Engine(config, layout=layout)
    engine.feed(records)
    engine.advance_arrival(until)
    side = [(record.offset, record.kind) for record in engine.take_side()]
    return [shown(bar) for bar in take_finals(engine)], engine.counters, side


def without_zeros(entry: Entry) -> Entry:
    """An entry whose numbers have no digits that a decimal of the schema would not keep."""
    return replace(entry, price=_short(entry.price), qty=None if entry.qty is None else _short(entry.qty))


def _short(number: Decimal) -> Decimal:
    return Decimal(f"{number:f}".rstrip("0").rstrip(".")) if "." in f"{number:f}" else number


@PROFILE
@given(logs(), configs(), st.sampled_from(sorted(EVOLUTIONS)), st.data())
def test_the_same_ticks_make_the_same_bars_as_in_json(
    log: list[Entry], config: EngineConfig, name: str, data: st.DataObject
) -> None:
    log = [without_zeros(entry) for entry in log]
    until = last_arrival(log) + 100_000
    one, two = EVOLUTIONS[name]
    changes = data.draw(st.integers(0, len(log)))  # where producers begin to use the next schema
    records = [record_of(entry, two if at >= changes else one) for at, entry in enumerate(log)]
    layout = layout_of(name.partition(",")[0], one, two)
    assert bars_of(records, config, until, layout) == bars_of(map(wire, log), config, until)


@given(st.lists(st.tuples(st.one_of(st.none(), st.binary(max_size=30)), st.booleans()), min_size=1, max_size=20))
def test_every_record_is_binned_late_or_rejected_whatever_it_holds(noise: list[tuple[bytes | None, bool]]) -> None:
    for name, ticks in (("avro", AVRO), ("protobuf", PROTOBUF), ("protobuf", FIRST)):
        engine = Engine(EngineConfig(), layout=layout_of(name, ticks))
        frame = b"\0\0\0\0\1"
        values = [frame + value if value is not None and framed else value for value, framed in noise]
        engine.feed([Wire(offset, TS, b"A|x", value) for offset, value in enumerate(values)])
        counters = engine.counters
        assert counters.read == len(values)
        assert counters.binned + counters.late + counters.rejected + counters.heartbeats == len(values)
        assert all(side.record.offset == side.offset for side in engine.take_side())


@pytest.mark.parametrize(("name", "ticks"), [("avro", AVRO), ("protobuf", PROTOBUF)])
def test_the_header_may_name_the_schema(name: str, ticks: AvroTicks | ProtobufTicks) -> None:
    layout = layout_of(name, ticks)
    guid = uuid.UUID(int=2**90).bytes
    layout._book.add(guid, layout._book.kind, ticks.text)
    value = ticks.plain(ts=TS, bid=Decimal("1.5"), qty=None, seq=7, heartbeat=False)
    indexes = b"" if name == "avro" else b"\2\2"
    for frame in (b"\0\0\0\0\1", b"\1" + guid):
        record = Wire(0, TS, b"A|x", value, [("other", None), (VALUE_HEADER, frame + indexes)])
        assert (tick_of(layout, record).ts, tick_of(layout, record).seq) == (TS, 7)
    assert layout._book.unknown([Wire(0, TS, b"A|x", value, [(VALUE_HEADER, b"\0\0\0\0\x09")])]) == {9}


def test_fields_of_the_value_may_be_the_identity() -> None:
    config = LayoutConfig(format="avro", fields="ts=ts,bid=bid,symbol=code,broker='X'", key="")
    book = SchemaBook(config.parsed())
    ticks = AvroTicks({**TICK, "code": "string"})
    book.add(1, "AVRO", ticks.text)
    layout = SchemaLayout(config.parsed(), book)
    record = Wire(0, TS, None, ticks.framed(ts=TS, bid=Decimal(1), code="EURUSD"))
    assert layout.name_of(record) == ("X", "EURUSD")
    assert [key for _, key, _ in layout.decoded([record, record])] == [b"X|EURUSD"] * 2


def test_the_records_of_a_schema_that_lacks_a_field_are_rejected_with_its_id() -> None:
    layout = layout_of("avro")
    assert layout._book.add(7, "AVRO", AvroTicks({"ts": "long"}).text) == "bid=bid: record Tick has no such field; it has ts"
    with pytest.raises(RejectedError, match=r"schema 7: bid=bid: record Tick has no such field") as found:
        tick_of(layout, Wire(0, TS, b"A|x", b"\0\0\0\0\7\2"))
    assert found.value.reason == "schema"


@pytest.mark.parametrize(("name", "ticks"), [("avro", AVRO), ("protobuf", PROTOBUF), ("protobuf", FIRST)])
def test_decoders_are_made_anew_for_some_records_and_no_record_is_asked_for_too_soon(
    name: str, ticks: AvroTicks | ProtobufTicks
) -> None:
    layout, asked = layout_of(name, ticks), [0]

    def records(count: int, more: int) -> Iterator[Wire]:
        for number in range(count):
            asked[0] += 1
            value = ticks.framed(ts=TS + number, bid=Decimal(more), qty=None, seq=number, heartbeat=False)
            yield Wire(number, TS, b"A|x", value)

    made: list[DecodersOfPass] = []
    make = layout._book.decoders

    def noted() -> DecodersOfPass:
        made.append(found := make())
        return found

    layout._book.decoders = noted  # type: ignore[method-assign]
    count = 2 * MOST_OF_PASS + 1
    for number, (record, key, tick) in enumerate(layout.decoded(records(count, 1))):
        assert (asked[0], record.offset, key, tick.seq, tick.price) == (number + 1, number, b"A|x", number, 1)
        if not number % 100:  # another pass goes on in between
            ((_, _, other),) = layout.decoded(records(1, 2))
            asked[0] -= 1
            assert (other.seq, other.price, tick.price) == (0, 2, 1)
    assert sum(map(bool, made)) == 3 + len(range(0, count, 100))  # those that have decoded something


# ---- the registry


@pytest.fixture
def server() -> Iterator[RegistryServer]:
    with running() as found:
        yield found


def settings_of(server: RegistryServer, **more: Any) -> Settings:
    values = {"ticks_format": "avro", "schema_registry_url": server.url, "_env_file": None}
    return Settings.load(**{**values, **more})


def register(server: RegistryServer, ticks: AvroTicks, subject: str = "ticks-value") -> AvroTicks:
    server.registry.levels[""] = "NONE"
    return replace(ticks, number=server.registry.register(subject, {"schema": ticks.text}))


def wires(ticks: AvroTicks, count: int = 1) -> list[Wire]:
    value = ticks.framed(ts=TS, bid=Decimal("1.5"), qty=None, seq=7, heartbeat=False)
    return [Wire(offset, TS, b"A|x", value) for offset in range(count)]


@pytest.fixture
async def schemas(server: RegistryServer) -> AsyncIterator[TickSchemas]:
    found = TickSchemas(settings_of(server))
    yield found
    await found.close()


async def test_a_schema_is_asked_for_once(server: RegistryServer, schemas: TickSchemas) -> None:
    ticks = register(server, AVRO)
    assert await schemas.ready(wires(ticks, 3))
    asked = len(server.asked)
    assert await schemas.ready(wires(ticks, 3))
    assert len(server.asked) == asked == 1
    book = schema_book(settings_of(server))
    assert book is not None
    assert book.decode(wires(ticks)[0]).price == Decimal("1.5")


async def test_records_wait_for_a_registry_that_is_away_and_say_why(
    server: RegistryServer, schemas: TickSchemas, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("agents.schemas.WAITS", (0.01, 0.01))
    ticks = register(server, AVRO)
    server.refuse = 503
    reasons = set[str]()

    def wanted() -> bool:
        reasons.add(schemas.waiting)
        if len(server.asked) >= 5:
            server.refuse = None
        return True

    assert await schemas.ready(wires(ticks), wanted)
    assert schemas.waiting == ""
    assert any("answers 503 to /schemas/ids/1" in reason for reason in reasons)
    said = [record.message for record in caplog.records if "slices wait until it answers" in record.message]
    assert len(said) == 1, "once, and not at every attempt"


async def test_waiting_ends_when_the_records_are_not_wanted_any_more(server: RegistryServer, schemas: TickSchemas) -> None:
    ticks = register(server, AVRO)
    server.held.clear()
    assert not await schemas.ready(wires(ticks), lambda: not server.asked)


async def test_a_schema_that_the_registry_does_not_know_rejects_its_records(
    server: RegistryServer, schemas: TickSchemas, caplog: pytest.LogCaptureFixture
) -> None:
    assert await schemas.ready(wires(replace(AVRO, number=99), 3))
    book = schema_book(settings_of(server))
    assert book is not None
    with pytest.raises(RejectedError, match="schema 99: Schema Registry does not know it"):
        book.decode(wires(replace(AVRO, number=99))[0])
    assert await schemas.ready(wires(replace(AVRO, number=99), 3))
    assert len([record for record in caplog.records if "Schema 99 not found" in record.message]) == 1


async def test_a_start_checks_the_newest_schema_of_the_topic(server: RegistryServer) -> None:
    schemas = TickSchemas(settings_of(server))
    await schemas.check()  # no subject yet: nothing to check
    register(server, AVRO)
    await schemas.check()
    register(server, AvroTicks({"ts": "long", "ask": "double"}))
    with pytest.raises(
        InputError, match=r"schema ticks-value version 2: bid=bid: record Tick has no such field; it has ask, ts"
    ):
        await schemas.check()


async def test_a_start_ends_where_the_registry_refuses_and_goes_on_where_it_is_away(server: RegistryServer) -> None:
    schemas = TickSchemas(settings_of(server))
    server.refuse = 401
    with pytest.raises(RegistryError, match="check schema_registry_user"):
        await schemas.check()
    server.refuse = None
    server.stop()
    await schemas.check()


def test_a_file_may_be_the_schema_of_all_records(tmp_path: Any) -> None:
    avsc, descriptors = tmp_path / "tick.avsc", tmp_path / "ticks.desc"
    avsc.write_text(AVRO.text)
    descriptors.write_bytes(FileDescriptorSet(file=[PROTOBUF.file]).SerializeToString())
    fields = {"ts": TS, "bid": Decimal("1.5"), "qty": None, "seq": 7, "heartbeat": False}
    for ticks, more in (
        (AVRO, {"ticks_format": "avro", "ticks_schema": str(avsc)}),
        (PROTOBUF, {"ticks_format": "protobuf", "ticks_schema": str(descriptors), "ticks_message": "x.Tick"}),
    ):
        settings = Settings.load(_env_file=None, **more)
        book = schema_book(settings)
        assert book is not None
        record = Wire(0, TS, b"A|x", ticks.plain(**fields))
        assert tick_of(SchemaLayout(settings.layout.parsed(), book), record).price == Decimal("1.5")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "it cannot be read"),
        ("{", "not an Avro schema in JSON"),
        (AvroTicks({"ts": "long"}).text, "bid=bid: record Tick"),
    ],
)
def test_a_file_that_cannot_be_used_is_named(tmp_path: Any, content: str | None, said: str) -> None:
    file = tmp_path / "tick.avsc"
    if content is not None:
        file.write_text(content)
    with pytest.raises(InputError, match=said) as found:
        schema_book(Settings.load(_env_file=None, ticks_format="avro", ticks_schema=str(file)))
    assert str(file) in str(found.value)


WHOLE = [b"\0\0\0\0\1", b"\0\0\0\0\2", b"\0\0\0\0\x09", b"\0\0\0\1\1"]
VALUES = st.sampled_from([frame + b"x" for frame in WHOLE])
OTHERS = st.sampled_from([*WHOLE, b"\1\0\0\0\1x", b"\0\0\0\0", b"", None])


@given(values=st.lists(VALUES, max_size=3) | st.lists(VALUES | OTHERS, max_size=6))
def test_every_schema_is_asked_for_that_a_batch_names_and_nobody_knows(values: list[bytes | None]) -> None:
    book = SchemaBook(LayoutConfig(format="avro").parsed())
    for number in (1, 2):
        book.refuse(number, "it is a test")
    named = {int.from_bytes(value[1:5]) for value in values if value and len(value) > 4 and value[0] == 0}
    assert book.unknown([Wire(n, 0, b"k", value) for n, value in enumerate(values)]) == named - {1, 2}
