"""The decoder for a Protobuf message, against messages that Google's library writes; nothing worse than a rejected record."""

from __future__ import annotations

import base64
import contextlib
import struct
from decimal import Decimal
from typing import Any

import pytest
from google.protobuf import descriptor_pb2
from google.protobuf.message_factory import GetMessageClass
from hypothesis import assume, given
from hypothesis import strategies as st

from tables.layouts.config import OWN_KEY, LayoutConfig, ParsedLayout
from tables.layouts.decoded import UnfitSchemaError
from tables.layouts.protobuf import MOST_BYTES, decoder_maker, protobuf_decoder
from tables.layouts.protobuf_schema import ProtobufFile, descriptor_set
from tables.ticks import RejectedError

F = descriptor_pb2.FieldDescriptorProto
TS = 1_399_248_000_123
TIMESTAMP = "google.protobuf.Timestamp"
IMPORTS = {
    "google.protobuf.Timestamp": "google/protobuf/timestamp.proto",
    "google.protobuf.DoubleValue": "google/protobuf/wrappers.proto",
    "google.type.Decimal": "google/type/decimal.proto",
    "confluent.type.Decimal": "confluent/type/decimal.proto",
}


def add_fields(message: Any, file: Any, **fields: Any) -> None:
    for number, (name, form) in enumerate(fields.items(), 1):
        optional = isinstance(form, tuple)
        kind = form[0] if optional else form
        field = message.field.add(name=name, number=number, label=F.LABEL_OPTIONAL, proto3_optional=optional)
        if optional:
            field.oneof_index = len(message.oneof_decl)
            message.oneof_decl.add(name=f"_{name}")
        if isinstance(kind, dict):
            field.type, field.type_name = F.TYPE_MESSAGE, f".x.{message.name}.{name.title()}"
            add_fields(message.nested_type.add(name=name.title()), file, **kind)
        elif isinstance(kind, list):
            field.type, field.type_name = F.TYPE_ENUM, f".x.{message.name}.{name.title()}"
            values = message.enum_type.add(name=name.title())
            for at, symbol in enumerate(kind):
                values.value.add(name=symbol, number=at)
        elif isinstance(kind, str):
            field.type, field.type_name = F.TYPE_MESSAGE, f".{kind}"
            if IMPORTS[kind] not in file.dependency:
                file.dependency.append(IMPORTS[kind])
        else:
            field.type = kind


def file_of(**fields: Any) -> descriptor_pb2.FileDescriptorProto:
    """A file with a message Tick of these fields: types, dicts for nested messages, lists for enums, a tuple for optional."""
    file = descriptor_pb2.FileDescriptorProto(name="ticks.proto", package="x", syntax="proto3")
    add_fields(file.message_type.add(name="Tick"), file, **fields)
    return file


def registered(file: descriptor_pb2.FileDescriptorProto) -> ProtobufFile:
    return ProtobufFile.registered(base64.b64encode(file.SerializeToString()).decode())


def layout(fields: str = "", price: str = "bid", unit: str = "ms", numbers: str = "") -> ParsedLayout:
    key = "" if "symbol" in fields and "broker" in fields else OWN_KEY
    return LayoutConfig(price, unit, "protobuf", fields, key, "", numbers).parsed()


def decoded(kinds: dict[str, Any], fill: Any, **settings: str) -> Any:
    message = registered(file_of(**kinds)).by_name("x.Tick")
    record = GetMessageClass(message)()
    fill(record)
    return protobuf_decoder(message, layout(**settings))(record.SerializeToString())


def plain(kinds: dict[str, Any], **settings: str) -> Any:
    """A tick of a message whose fields are set to these values: kind and value each."""

    def fill(record: Any) -> None:
        for name, (_, value) in kinds.items():
            setattr(record, name, value)

    return decoded({name: kind for name, (kind, _) in kinds.items()}, fill, **settings)


@given(
    st.floats(allow_nan=False, allow_infinity=False),
    st.integers(-(2**63), 2**63 - 1),
    st.integers(0, 2**31 - 1),
    st.text(min_size=1, max_size=9),
)
def test_a_tick_is_read_as_it_was_written(bid: float, ts: int, seq: int, symbol: str) -> None:
    tick = plain(
        {"ts": (F.TYPE_INT64, ts), "bid": (F.TYPE_DOUBLE, bid), "seq": (F.TYPE_SINT32, seq), "symbol": (F.TYPE_STRING, symbol)}
    )
    assert (tick.ts, tick.price, tick.seq, tick.said_symbol) == (ts, Decimal(repr(bid)), seq, symbol)
    assert tick.qty is None


@given(st.binary(max_size=80))
def test_random_bytes_are_rejected_or_read_and_nothing_worse(noise: bytes) -> None:
    file = file_of(ts=TIMESTAMP, bid="confluent.type.Decimal", qty=F.TYPE_STRING, symbol=["A", "B"], deep={"x": F.TYPE_STRING})
    decode = protobuf_decoder(registered(file).by_name("x.Tick"), layout())
    for value in (noise, b"\x0a\4\x08\x80\x80\x01\x12" + bytes([len(noise)]) + noise, noise + b"\x1a\1\xff"):
        with contextlib.suppress(RejectedError):
            decode(value)


@pytest.mark.parametrize(
    ("kind", "value", "exact"),
    [
        (F.TYPE_DOUBLE, 1.38691, "1.38691"),
        (F.TYPE_FLOAT, 1.38691, "1.38691"),
        (F.TYPE_DOUBLE, 100.0, "100"),
        (F.TYPE_STRING, "1.38691000", "1.38691000"),
        (F.TYPE_INT64, -7, "-7"),
        (F.TYPE_FIXED32, 7, "7"),
        ((F.TYPE_DOUBLE,), 0.0, "0"),
    ],
)
def test_numbers_are_exact(kind: Any, value: Any, exact: str) -> None:
    assert str(plain({"ts": (F.TYPE_INT64, TS), "bid": (kind, value)}).price) == exact


def test_decimals_and_wrappers_are_numbers() -> None:
    kinds = {
        "ts": F.TYPE_INT64,
        "bid": "confluent.type.Decimal",
        "ask": "google.type.Decimal",
        "qty": "google.protobuf.DoubleValue",
    }

    def fill(record: Any) -> None:
        record.bid.value, record.bid.scale, record.bid.precision = (138_691_000).to_bytes(5, "big", signed=True), 8, 18
        record.ask.value, record.qty.value = "1.38697", 0.5

    tick = decoded(kinds, fill, price="mid")
    assert (str(tick.price), str(tick.other), str(tick.qty)) == ("1.38691", "1.38697", "0.5")
    assert decoded(kinds, lambda _: None, price="mid").price is None


@pytest.mark.parametrize(
    ("unit", "ts"), [("s", TS // 1_000), ("ms", TS), ("us", TS * 1_000 + 456), ("ns", (TS * 1_000 + 456) * 1_000 + 789)]
)
def test_googles_timestamp_is_a_time(unit: str, ts: int) -> None:
    def fill(record: Any) -> None:
        record.ts.seconds, record.ts.nanos, record.bid = TS // 1_000, 123_456_789, 1

    assert decoded({"ts": TIMESTAMP, "bid": F.TYPE_INT32}, fill, unit=unit).ts == ts


@pytest.mark.parametrize(
    ("kind", "value", "numbers"),
    [
        (F.TYPE_STRING, "2014-05-05T00:00:00.123Z", ""),
        (F.TYPE_DOUBLE, TS / 1_000, "s"),
        (F.TYPE_UINT64, TS * 1_000 + 456, "us"),
    ],
)
def test_times_may_be_text_fractions_and_numbers_of_another_unit(kind: Any, value: Any, numbers: str) -> None:
    assert plain({"ts": (kind, value), "bid": (F.TYPE_INT32, 1)}, numbers=numbers).ts == TS


def test_fields_are_found_inside_messages_and_are_missing_with_them() -> None:
    kinds = {
        "at": TIMESTAMP,
        "trade": {"price": F.TYPE_DOUBLE, "size": (F.TYPE_INT32,)},
        "venue": ["NONE", "XNAS"],
        "code": F.TYPE_UINT32,
    }
    fields = "ts=at,last=trade.price,qty=trade.size,broker=venue,symbol=code"

    def fill(record: Any) -> None:
        record.at.seconds, record.trade.price, record.venue, record.code = 7, 1.5, 1, 42

    tick = decoded(kinds, fill, fields=fields, price="last")
    assert (tick.ts, tick.price, tick.qty, tick.said_broker, tick.said_symbol) == (7_000, Decimal("1.5"), None, "XNAS", 42)
    without = decoded(kinds, lambda record: record.at.SetInParent(), fields=fields, price="last")
    assert without.price is None  # not 0, which prices=any would make a bar of


def test_what_is_not_there_is_missing() -> None:
    kinds = {"ts": (F.TYPE_INT64,), "bid": F.TYPE_DOUBLE, "symbol": F.TYPE_STRING}
    with pytest.raises(RejectedError, match="ts: the field is missing"):
        decoded(kinds, lambda _: None)
    assert decoded(kinds, lambda record: setattr(record, "ts", TS)).said_symbol is None


def test_an_enum_has_no_name_for_another_number() -> None:
    with pytest.raises(RejectedError, match=r"symbol: 7 is no value of x.Tick.Symbol"):
        plain({"ts": (F.TYPE_INT64, TS), "bid": (F.TYPE_INT32, 1), "symbol": (["A"], 7)})


@pytest.mark.parametrize(
    ("kinds", "fields", "said"),
    [
        ({"ts": F.TYPE_INT64, "ask": F.TYPE_DOUBLE}, "", "bid=bid: message x.Tick has no field bid; it has ask, ts"),
        ({"ts": F.TYPE_INT64, "bid": F.TYPE_BOOL}, "", "bid=bid: it is bool, which cannot be read as bid"),
        ({"ts": F.TYPE_BYTES, "bid": F.TYPE_INT64}, "", "ts=ts: it is bytes"),
        ({"ts": TIMESTAMP, "bid": TIMESTAMP}, "", "bid=bid: it is google.protobuf.Timestamp"),
        ({"ts": F.TYPE_INT64, "bid": F.TYPE_INT64}, "ts=ts,bid=bid.value", "bid=bid.value: bid holds no fields"),
        ({"ts": F.TYPE_INT64, "bid": F.TYPE_INT64}, "ts=ts,bid=bid,qty=size", "qty=size: message x.Tick has no field size"),
    ],
)
def test_a_message_by_which_no_tick_can_be_read_is_refused_with_the_field(kinds: Any, fields: str, said: str) -> None:
    with pytest.raises(UnfitSchemaError) as found:
        protobuf_decoder(registered(file_of(**kinds)).by_name("x.Tick"), layout(fields))
    assert said in str(found.value)


def test_a_repeated_field_is_no_part_of_a_tick() -> None:
    file = file_of(ts=F.TYPE_INT64, bid=F.TYPE_DOUBLE)
    file.message_type[0].field[1].label = F.LABEL_REPEATED
    with pytest.raises(UnfitSchemaError, match="bid is repeated"):
        protobuf_decoder(registered(file).by_name("x.Tick"), layout())


def test_messages_are_found_by_their_indexes_and_imports_by_their_names() -> None:
    common = descriptor_pb2.FileDescriptorProto(name="any.proto", package="common", syntax="proto3")
    add_fields(common.message_type.add(name="Price"), common, value=F.TYPE_DOUBLE)
    file = file_of(spare={"ts": F.TYPE_INT64}, ts=F.TYPE_INT64)
    file.message_type[0].field.add(name="bid", number=9, type=F.TYPE_MESSAGE, type_name=".common.Price", label=F.LABEL_OPTIONAL)
    file.dependency.append("common/price.proto")
    text = [base64.b64encode(one.SerializeToString()).decode() for one in (file, common)]
    found = ProtobufFile.registered(text[0], [("common/price.proto", text[1])])
    assert found.by_indexes([0]).full_name == "x.Tick"
    assert found.by_indexes([0, 0]).full_name == "x.Tick.Spare"
    with pytest.raises(UnfitSchemaError, match=r"no message at the indexes \[0, 7\]"):
        found.by_indexes([0, 7])
    value = GetMessageClass(found.by_indexes([0]))(ts=TS, bid={"value": 2.5}).SerializeToString()
    assert protobuf_decoder(found.by_indexes([0]), layout("ts=ts,bid=bid.value"))(value).price == Decimal("2.5")
    with pytest.raises(UnfitSchemaError, match=r"not a usable file descriptor: .*common/price.proto"):
        ProtobufFile.registered(text[0])


def test_a_descriptor_set_has_messages_by_name() -> None:
    content = descriptor_pb2.FileDescriptorSet(file=[file_of(ts=F.TYPE_INT64, bid=F.TYPE_DOUBLE)]).SerializeToString()
    assert descriptor_set(content).by_name("x.Tick").full_name == "x.Tick"
    with pytest.raises(UnfitSchemaError, match=r"it has no message 'Tick'; it has x.Tick"):
        descriptor_set(content).by_name("Tick")
    with pytest.raises(UnfitSchemaError, match="it is no descriptor set: make one with protoc"):
        descriptor_set(b"\xff\xff")


def test_the_text_of_a_schema_is_refused_with_the_remedy() -> None:
    with pytest.raises(UnfitSchemaError, match="set ticks_schema to a descriptor set"):
        ProtobufFile.registered('syntax = "proto3"; message Tick {}')


def test_a_value_that_is_no_message_is_rejected() -> None:
    decode = protobuf_decoder(registered(file_of(ts=F.TYPE_INT64, bid=F.TYPE_DOUBLE)).by_name("x.Tick"), layout())
    with pytest.raises(RejectedError, match="value: it is no such message") as found:
        decode(b"\x11" + struct.pack("<f", 1))
    assert found.value.reason == "protobuf"


# ---- decoders that use one message again


KINDS: dict[str, Any] = {
    "ts": (F.TYPE_INT64,),
    "bid": (F.TYPE_DOUBLE,),
    "qty": {"units": "google.type.Decimal", "lots": F.TYPE_INT32},
    "seq": F.TYPE_SINT64,
    "heartbeat": (F.TYPE_BOOL,),
    "venue": (F.TYPE_STRING,),
    "code": F.TYPE_STRING,
    "at": TIMESTAMP,
    "spare": F.TYPE_BYTES,
}
FIELDS = "ts=ts,bid=bid,qty=qty.lots,seq=seq,heartbeat=heartbeat,broker=venue,symbol=code"
OTHERS = "ts=at,bid=qty.units,qty=bid,seq=seq,broker=venue,symbol=code"  # messages
TYPES = {name: registered(file_of(**KINDS)).by_name("x.Tick") for name in (FIELDS, OTHERS)}


@st.composite
def values(draw: st.DrawFn) -> bytes:
    """A message of which any field may be 0, empty, or not set; or what is no message."""
    record: Any = GetMessageClass(TYPES[FIELDS])()
    fields: dict[str, Any] = {
        "ts": st.integers(-5, 5),
        "bid": st.sampled_from([0.0, -0.0, 1.5, 100.0, float("nan")]),
        "seq": st.integers(-1, 1),
        "heartbeat": st.booleans(),
        "venue": st.sampled_from(["", "XNAS"]),
        "code": st.sampled_from(["", "EURUSD"]),
        "spare": st.sampled_from([b"", b"?" * MOST_BYTES]),  # a large value
    }
    for name, numbers in fields.items():
        if draw(st.booleans()):
            setattr(record, name, draw(numbers))
    if draw(st.booleans()):
        record.at.seconds = draw(st.integers(0, 2))
    if draw(st.booleans()):
        record.qty.lots = draw(st.integers(0, 2))
    if draw(st.booleans()):
        record.qty.units.value = draw(st.sampled_from(["", "7", "?"]))
    content: bytes = record.SerializeToString()
    return content if draw(st.integers(0, 3)) else draw(st.sampled_from([content[:-1], b"", b"\xff", content + b"\x0a\1\xff"]))


def outcome(decode: Any) -> Any:
    """All of a tick as text, or why there is none."""
    try:
        return str(decode())
    except RejectedError as error:
        return error.reason, error.detail


@pytest.mark.parametrize("fields", [FIELDS, OTHERS])
@pytest.mark.parametrize("at", [5, None])
@given(st.lists(values(), min_size=1, max_size=12))
def test_nothing_of_a_value_is_left_for_the_next_one(fields: str, at: int | None, content: list[bytes]) -> None:
    parsed = layout(fields)
    alone = protobuf_decoder(TYPES[fields], parsed)
    begin = 0 if at is None else at + 1
    maker = decoder_maker(TYPES[fields], parsed, lambda value, _: alone(value[begin:]), at)
    decode, other = maker(), maker()
    for value in content:
        with_frame = bytes(begin) + value
        expected = outcome(lambda value=value: alone(value))
        assert outcome(lambda value=with_frame: decode(value, at or 0)) == expected
        assert outcome(lambda value=with_frame: other(value, at or 0)) == expected


@given(values())
def test_what_is_set_to_0_is_there_and_what_is_not_set_is_missing(content: bytes) -> None:
    record: Any = GetMessageClass(TYPES[FIELDS])()
    found = outcome(lambda: protobuf_decoder(TYPES[FIELDS], layout(FIELDS))(content))
    assume(isinstance(found, str))
    tick: Any = protobuf_decoder(TYPES[FIELDS], layout(FIELDS))(content)
    record.ParseFromString(content)
    assert tick.ts == record.ts
    assert (tick.price is None) is not record.HasField("bid")
    assert tick.qty == (record.qty.lots if record.HasField("qty") else None)
    assert tick.heartbeat is record.heartbeat
    assert tick.said_broker == (record.venue if record.HasField("venue") else None)
    assert tick.said_symbol == (record.code or None)
