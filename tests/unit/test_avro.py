"""The decoder for an Avro schema, against fastavro: the same fields, exact numbers, nothing worse than a rejected record."""

from __future__ import annotations

import contextlib
import io
import json
import struct
import uuid
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import fastavro
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tables.layouts.avro import avro_decoder
from tables.layouts.config import OWN_KEY, LayoutConfig, ParsedLayout
from tables.layouts.decoded import UnfitSchemaError, from_float
from tables.ticks import RejectedError

TS = 1_399_248_000_123
LONGS = st.integers(-(2**63), 2**63 - 1)


def schema_of(**fields: Any) -> dict[str, Any]:
    return {"type": "record", "name": "Tick", "fields": [{"name": name, "type": kind} for name, kind in fields.items()]}


def layout(fields: str = "", price: str = "bid", unit: str = "ms", zone: str = "", numbers: str = "") -> ParsedLayout:
    key = "" if "symbol" in fields and "broker" in fields else OWN_KEY
    return LayoutConfig(price, unit, "avro", fields, key, zone, numbers).parsed()


def written(schema: Any, record: Any) -> bytes:
    out = io.BytesIO()
    fastavro.schemaless_writer(out, fastavro.parse_schema(json.loads(json.dumps(schema))), record)
    return out.getvalue()


def decoded(schema: Any, record: Any, fields: str = "", price: str = "bid", unit: str = "ms") -> Any:
    decode = avro_decoder(json.dumps(schema), layout(fields, price, unit))
    return decode(b"\0\0\0\0\7" + written(schema, record), 5)


def read(kind: Any, value: Any, part: str = "bid") -> Any:
    """What a part of a tick becomes that is written in a type."""
    fields = {"ts": "long", "bid": "long"} | {part: kind}
    tick = decoded(schema_of(**fields), {"ts": TS, "bid": 1} | {part: value})
    return getattr(tick, {"bid": "price", "symbol": "said_symbol"}.get(part, part))


def decimal(scale: int, size: int = 0) -> dict[str, Any]:
    kind = {"type": "fixed", "name": "D", "size": size} if size else {"type": "bytes"}
    return kind | {"logicalType": "decimal", "precision": 30, "scale": scale}


# ---- random schemas


def kinds(depth: int) -> st.SearchStrategy[tuple[Any, st.SearchStrategy[Any]]]:
    """Types, each with a strategy for its values. Named ones get their names later."""
    plain: list[tuple[Any, st.SearchStrategy[Any]]] = [
        ("null", st.none()),
        ("boolean", st.booleans()),
        ("int", st.integers(-(2**31), 2**31 - 1)),
        ("long", LONGS),
        ("float", st.floats(width=32, allow_nan=False)),
        ("double", st.floats(allow_nan=False)),
        ("bytes", st.binary(max_size=200)),
        ("string", st.text(max_size=200)),
        ({"type": "fixed", "name": "F", "size": 3}, st.binary(min_size=3, max_size=3)),
        ({"type": "fixed", "name": "F", "size": 0}, st.just(b"")),
        ({"type": "enum", "name": "E", "symbols": ["A", "B"]}, st.sampled_from(["A", "B"])),
        ({"type": "long", "logicalType": "timestamp-micros"}, st.just(datetime(2014, 5, 5, tzinfo=UTC))),
    ]
    if not depth:
        return st.sampled_from(plain)
    inner = kinds(depth - 1)
    return st.one_of(
        st.sampled_from(plain),
        inner.map(lambda of: ({"type": "array", "items": of[0]}, st.lists(of[1], max_size=5))),
        inner.map(lambda of: ({"type": "map", "values": of[0]}, st.dictionaries(st.text(max_size=5), of[1], max_size=5))),
        inner.filter(lambda of: of[0] != "null" and not isinstance(of[0], list)).map(
            lambda of: (["null", of[0]], st.one_of(st.none(), of[1]))
        ),
        st.lists(inner, max_size=3).map(
            lambda of: (
                {"type": "record", "name": "R", "fields": [{"name": f"f{n}", "type": kind} for n, (kind, _) in enumerate(of)]},
                st.fixed_dictionaries({f"f{n}": values for n, (_, values) in enumerate(of)}),
            )
        ),
    )


def renamed(kind: Any, counter: list[int]) -> Any:
    """The type with another name for each named type."""
    if isinstance(kind, list):
        return [renamed(branch, counter) for branch in kind]
    if isinstance(kind, dict):
        kind = {key: renamed(value, counter) for key, value in kind.items()}
        if kind.get("type") in ("record", "enum", "fixed"):
            counter[0] += 1
            kind["name"] = f"{kind['name']}{counter[0]}"
    return kind


PRICES = st.sampled_from(
    [
        ("double", st.floats(allow_nan=False, allow_infinity=False), lambda v: Decimal(repr(v))),
        ("long", LONGS, Decimal),
        (decimal(5), st.integers(-(10**25), 10**25).map(lambda n: Decimal(n).scaleb(-5)), lambda v: v),
        (decimal(9, 16), st.integers(-(10**28), 10**28).map(lambda n: Decimal(n).scaleb(-9)), lambda v: v),
        ("string", st.decimals(allow_nan=False, allow_infinity=False, places=4).map(str), Decimal),
        (["null", "double"], st.just(1.25), lambda v: Decimal(repr(v))),
    ]
)


@given(st.data())
@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_a_tick_between_any_other_fields_is_read_as_fastavro_wrote_it(data: st.DataObject) -> None:
    (bid, bids, exact), (qty, qtys, exact_qty) = data.draw(PRICES), data.draw(PRICES)
    parts = {"ts": ("long", LONGS), "bid": (bid, bids), "qty": (qty, qtys), "seq": ("int", st.integers(0, 2**31 - 1))}
    others = {f"x{n}": kind for n, kind in enumerate(data.draw(st.lists(kinds(3), max_size=5)))}
    fields = data.draw(st.permutations([*parts.items(), *others.items()]))
    schema = renamed(schema_of(**{name: kind for name, (kind, _) in fields}), [0])
    record = {name: data.draw(values) for name, (_, values) in fields}
    tick = decoded(schema, record)
    assert (tick.ts, tick.seq) == (record["ts"], record["seq"])
    assert (tick.price, tick.qty) == (exact(record["bid"]), exact_qty(record["qty"]))


@given(st.data(), st.binary(max_size=60))
@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_random_and_changed_bytes_are_rejected_or_read_and_nothing_worse(data: st.DataObject, noise: bytes) -> None:
    kind, values = data.draw(kinds(3))
    schema = renamed(schema_of(x=kind, ts="long", bid=["null", decimal(3), "string", "float"], symbol=["null", "string"]), [0])
    decode = avro_decoder(json.dumps(schema), layout())
    good = written(schema, {"x": data.draw(values), "ts": TS, "bid": None, "symbol": None})
    at = data.draw(st.integers(0, len(good)))
    for value in (noise, good[:at], good[:at] + noise + good[at:], good + noise, bytes(good[:at]) + noise):
        with contextlib.suppress(RejectedError):
            decode(value, 0)


USUAL_TIMES = st.integers(0, 9).flatmap(lambda n: st.integers(10**n * (TS // 1_000) - 10**9, 10**n * (TS // 1_000) + 10**9))


@given(time_=LONGS | USUAL_TIMES, unit=st.sampled_from(["s", "ms", "us", "ns"]), fixed=st.booleans())
@settings(deadline=None)
def test_a_time_is_read_whatever_its_size(*, time_: int, unit: str, fixed: bool) -> None:
    fields = {"f": "double", "ts": "long", "g": "float", "bid": "double"} if fixed else {"ts": "long", "bid": "string"}
    record = {"f": 0.5, "ts": time_, "g": 0.25, "bid": 1.5 if fixed else "1.5"}
    tick = decoded(schema_of(**fields), record, unit=unit)
    assert (tick.ts, tick.price) == (time_, Decimal("1.5"))


def test_what_follows_a_field_that_was_not_read_yet_is_read_behind_it() -> None:
    fields = {"a": "boolean", "b": "double", "ts": "long", "c": "boolean", "bid": "double", "d": "string", "qty": "double"}
    for time_ in (0, -1, TS, 2**62):
        record = {"a": True, "b": 9.5, "ts": time_, "c": False, "bid": 1.25, "d": "xyz", "qty": 3.5}
        tick = decoded(schema_of(**fields), record)
        assert (tick.ts, tick.price, tick.qty) == (time_, Decimal("1.25"), Decimal("3.5"))


def test_a_count_of_a_great_many_items_without_bytes_takes_no_time() -> None:
    schema = schema_of(x={"type": "array", "items": "null"}, ts="long", bid="long")
    decode = avro_decoder(json.dumps(schema), layout())
    many = b"\xfe" + b"\xff" * 8 + b"\1"
    assert decode(many + b"\0\2\2", 0).price == 1


def test_blocks_with_their_size_are_stepped_over() -> None:
    schema = schema_of(x={"type": "array", "items": "long"}, ts="long", bid="long")
    decode = avro_decoder(json.dumps(schema), layout())
    assert decode(b"\3\4\2\4\0" + b"\2\2", 0).price == 1  # two items in two bytes, as Java's blocking encoder writes them


def test_a_record_that_holds_itself_is_stepped_over() -> None:
    node = {"type": "record", "name": "Node", "fields": [{"name": "next", "type": ["null", "Node"]}]}
    schema = schema_of(x=node, ts="long", bid="long")
    record = {"x": {"next": {"next": {"next": None}}}, "ts": TS, "bid": 7}
    assert decoded(schema, record).price == 7


# ---- types


@pytest.mark.parametrize(
    ("kind", "value", "exact"),
    [
        ("double", 1.38691, "1.38691"),
        ("double", 0.1 + 0.2, "0.30000000000000004"),
        ("double", 100.0, "100"),
        ("float", 1.38691, "1.38691"),
        ("float", 0.1, "0.1"),
        ("float", 16777216.0, "16777216"),
        ("int", 7, "7"),
        ("string", "1.3869100", "1.3869100"),
        (decimal(5), Decimal("1.38691"), "1.38691"),
        (decimal(18), Decimal("1.386910000000000000"), "1.38691"),
        (decimal(2), Decimal("100.00"), "100"),
        (decimal(9, 16), Decimal("-36.98"), "-36.98"),
        (["null", "double"], 1.5, "1.5"),
    ],
)
def test_numbers_are_exact_and_have_no_digits_that_only_the_schema_gives(kind: Any, value: Any, exact: str) -> None:
    assert str(read(kind, value)) == exact


@given(st.floats(width=32, allow_nan=False))
def test_a_float_of_four_bytes_has_the_fewest_digits_that_give_it_back(number: float) -> None:
    found = from_float(number)
    assert struct.pack("<f", float(found)) == struct.pack("<f", number) or not number
    if found.is_finite() and number:
        assert len(found.normalize().as_tuple().digits) <= 9 or number.is_integer()


@pytest.mark.parametrize(
    ("logical", "unit", "ts"),
    [
        ("timestamp-millis", "ms", TS),
        ("timestamp-millis", "us", TS * 1_000),
        ("timestamp-micros", "us", TS * 1_000 + 456),
        ("timestamp-micros", "ms", TS),
        ("timestamp-micros", "s", TS // 1_000),
        ("timestamp-nanos", "ns", (TS * 1_000 + 456) * 1_000),
    ],
)
def test_a_logical_time_knows_its_unit(logical: str, unit: str, ts: int) -> None:
    steps = {"millis": TS, "micros": TS * 1_000 + 456, "nanos": (TS * 1_000 + 456) * 1_000}[logical.rpartition("-")[2]]
    plain = written(schema_of(ts="long", bid="long"), {"ts": steps, "bid": 1})
    schema = schema_of(ts={"type": "long", "logicalType": logical}, bid="long")
    assert avro_decoder(json.dumps(schema), layout(unit=unit))(plain, 0).ts == ts


def test_times_before_1970_are_floored() -> None:
    schema = schema_of(ts={"type": "long", "logicalType": "timestamp-micros"}, bid="long")
    before = datetime(1970, 1, 1, tzinfo=UTC) - timedelta(microseconds=1)
    assert decoded(schema, {"ts": before, "bid": 1}).ts == -1


@pytest.mark.parametrize(
    ("kind", "value", "text"),
    [
        ("string", "EURUSD", "EURUSD"),
        ({"type": "enum", "name": "S", "symbols": ["A", "EURUSD"]}, "EURUSD", "EURUSD"),
        ({"type": "string", "logicalType": "uuid"}, uuid.UUID(int=7), str(uuid.UUID(int=7))),
        ("long", 1_234, 1_234),
        (["null", "string"], None, None),
    ],
)
def test_a_symbol_may_be_text_an_enum_a_uuid_or_a_number(kind: Any, value: Any, text: str | int | None) -> None:
    assert read(kind, value, "symbol") == text


def test_a_fixed_uuid_is_a_symbol() -> None:
    number = uuid.UUID(int=2**100 + 7)
    schema = schema_of(ts="long", bid="long", symbol={"type": "fixed", "name": "U", "size": 16})
    plain = written(schema, {"ts": TS, "bid": 1, "symbol": number.bytes})
    schema["fields"][2]["type"]["logicalType"] = "uuid"
    assert avro_decoder(json.dumps(schema), layout())(plain, 0).said_symbol == str(number)


def test_fields_are_found_inside_records_and_unions() -> None:
    trade = {
        "type": "record",
        "name": "Trade",
        "fields": [{"name": "size", "type": "int"}, {"name": "price", "type": "double"}],
    }
    schema = schema_of(code="string", trade=["null", trade], TimestampUtc="long", spare={"type": "array", "items": "Trade"})
    fields = "ts=TimestampUtc,last=trade.price,qty=trade.size,symbol=code,broker='XNAS'"
    record = {"code": "A", "trade": {"size": 3, "price": 1.5}, "TimestampUtc": TS, "spare": [{"size": 1, "price": 2.0}]}
    tick = decoded(schema, record, fields, "last")
    assert (tick.ts, tick.price, tick.qty, tick.said_symbol, tick.said_broker) == (TS, Decimal("1.5"), Decimal(3), "A", None)
    assert decoded(schema, record | {"trade": None}, fields, "last").price is None


def test_mid_reads_both_prices() -> None:
    schema = schema_of(ts="long", a="double", b="double")
    tick = decoded(schema, {"ts": TS, "a": 1.5, "b": 2.5}, "ts=ts,bid=a,ask=b", "mid")
    assert (tick.price, tick.other) == (Decimal("1.5"), Decimal("2.5"))


@pytest.mark.parametrize(
    ("kind", "value", "numbers", "ts"),
    [
        ("long", TS * 1_000 + 456, "us", TS),
        ("double", TS / 1_000, "s", TS),
        (decimal(6), Decimal(TS) / 1_000, "s", TS),
        ("string", "2014-05-05T00:00:00.123Z", "", TS),
    ],
)
def test_times_may_be_numbers_of_another_unit_fractions_and_text(kind: Any, value: Any, numbers: str, ts: int) -> None:
    schema = schema_of(ts=kind, bid="long")
    plain = written(schema, {"ts": value, "bid": 1})
    assert avro_decoder(json.dumps(schema), layout(numbers=numbers))(plain, 0).ts == ts


@pytest.mark.parametrize(("month", "hours"), [(1, 5), (7, 4)])
def test_a_local_time_is_that_of_ticks_zone_and_without_it_is_refused(month: int, hours: int) -> None:
    local = datetime(2014, month, 5, 9, 30, tzinfo=UTC)
    schema = schema_of(ts={"type": "long", "logicalType": "local-timestamp-millis"}, bid="long")
    plain = written(schema_of(ts="long", bid="long"), {"ts": int(local.timestamp() * 1_000), "bid": 1})
    decode = avro_decoder(json.dumps(schema), layout(zone="America/New_York"))
    assert decode(plain, 0).ts == int((local + timedelta(hours=hours)).timestamp() * 1_000)
    with pytest.raises(UnfitSchemaError, match="set ticks_zone to its time zone"):
        avro_decoder(json.dumps(schema), layout())


def test_a_heartbeat_is_a_boolean() -> None:
    assert read("boolean", True, "heartbeat") is True
    assert read(["null", "boolean"], None, "heartbeat") is False


def test_names_come_from_the_schemas_that_it_refers_to() -> None:
    price = {"type": "record", "name": "Price", "namespace": "common", "fields": [{"name": "value", "type": "double"}]}
    schema = {"type": "record", "name": "Tick", "namespace": "x", "fields": [{"name": "ts", "type": "long"}]}
    schema["fields"].append({"name": "quote", "type": "common.Price"})  # type: ignore[attr-defined]
    decode = avro_decoder(json.dumps(schema), layout("ts=ts,bid=quote.value"), [json.dumps(price)])
    assert decode(written(schema_of(ts="long", value="double"), {"ts": TS, "value": 2.5}), 0).price == Decimal("2.5")


# ---- what cannot be read


@pytest.mark.parametrize(
    ("schema", "fields", "said"),
    [
        (schema_of(ts="long", ask="double"), "", "bid=bid: record Tick has no such field; it has ask, ts"),
        (schema_of(bid="long"), "", "ts=ts: record Tick has no such field"),
        (schema_of(ts="long", bid="boolean"), "", "bid=bid: it is boolean, which cannot be read as bid"),
        (
            schema_of(ts={"type": "int", "logicalType": "date"}, bid="long"),
            "",
            "ts=ts: it is int (date), which cannot be read as ts",
        ),
        (schema_of(ts="long", bid=["null", "boolean"]), "", "bid=bid: it is null or boolean, which cannot be read"),
        (schema_of(ts="long", bid="long"), "ts=ts,bid=bid,qty=size", "qty=size: record Tick has no such field"),
        (schema_of(ts="long", bid="long"), "ts=ts,bid=bid.value", "bid: it is long, and holds no fields"),
        ("long", "", "it is long, and a tick is a record"),
        ({"type": "nothing"}, "", "it uses a type 'nothing', which it does not define"),
        ({"type": "record", "name": "Tick"}, "", "it is not an Avro schema: KeyError('fields')"),
    ],
)
def test_a_schema_by_which_no_tick_can_be_read_is_refused_with_the_field(schema: Any, fields: str, said: str) -> None:
    with pytest.raises(UnfitSchemaError) as found:
        avro_decoder(json.dumps(schema), layout(fields))
    assert said in str(found.value)
    assert "\n" not in str(found.value)


def test_a_schema_that_is_no_json_is_refused() -> None:
    with pytest.raises(UnfitSchemaError, match="not an Avro schema in JSON"):
        avro_decoder("{", layout())


@pytest.mark.parametrize(
    ("value", "reason", "said"),
    [
        (b"\2", "avro", "it ends too early"),
        (b"\2\2\2", "avro", "1 bytes are left over"),
        (b"\xff" * 12, "avro", "a number is too long"),
    ],
)
def test_a_value_of_another_schema_is_rejected_with_what_is_wrong(value: bytes, reason: str, said: str) -> None:
    decode = avro_decoder(json.dumps(schema_of(ts="long", bid="long")), layout())
    with pytest.raises(RejectedError) as found:
        decode(value, 0)
    assert found.value.reason == reason
    assert said in str(found.value)


def test_a_branch_that_is_no_number_is_rejected() -> None:
    schema = schema_of(ts="long", bid=["double", "boolean"])
    with pytest.raises(RejectedError, match="bid: it is boolean"):
        decoded(schema, {"ts": TS, "bid": True})


@pytest.mark.parametrize("text", ["1_000", " 1", "1 ", "\u0661", "1,5", "", "0x10", "9" * 101])
def test_text_that_is_no_number_is_rejected(text: str) -> None:
    with pytest.raises(RejectedError, match=r"bid: .* is not a number"):
        read("string", text)


def test_the_dates_of_python_are_what_fastavro_writes() -> None:
    kind = {"type": "int", "logicalType": "time-millis"}
    schema = schema_of(day={"type": "int", "logicalType": "date"}, at=kind, ts="long", bid="long")
    assert decoded(schema, {"day": date(2014, 5, 5), "at": time(1, 2), "ts": TS, "bid": 1}).ts == TS
