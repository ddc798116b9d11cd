"""Whatever schemas and bytes come: the engine goes on, and every record is in a bar, a heartbeat, late or rejected."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest
from google.protobuf import descriptor_pb2
from google.protobuf.message_factory import GetMessageClass
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.errors import RegistryError
from app.registry.client import RegistryClient
from app.registry.schemas import Schemas
from tables.config import EngineConfig
from tables.engine import Engine
from tables.layouts.config import LayoutConfig
from tables.layouts.protobuf_schema import ProtobufFile
from tables.layouts.schema_book import SchemaBook, frame_of
from tables.layouts.schema_layout import SchemaLayout
from tests.support.examples import examples
from tests.support.schema_registry import RegistryServer
from tests.unit.model import Wire
from tests.unit.test_avro import kinds, renamed, schema_of, written

ARRIVED = 1_700_000_000_000
FUZZ = settings(
    max_examples=examples(check=60, full=100, thorough=10_000),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
    deadline=None,
)
IDS = st.integers(0, 4)  # most of them are known
KEYS = st.sampled_from([b"A|x", b"A|y", b"", b"A", b"\xff|x", None])
HEADERS = st.lists(
    st.tuples(
        st.sampled_from(["__value_schema_id", "other"]),
        st.one_of(st.none(), st.binary(max_size=20), IDS.map(frame_of), st.just(b"\1" + bytes(16))),
    ),
    max_size=2,
)


def assert_each_is_accounted_for(name: str, schemas: list[str], records: list[Wire]) -> None:
    """Feed records whose schemas have the ids 0, 1, ...; not all can be read."""
    parsed = LayoutConfig(format=name).parsed()
    book = SchemaBook(parsed)
    for number, text in enumerate(schemas):
        book.add(number, book.kind, text)
    for missing in book.unknown(records):
        book.refuse(missing, "Schema Registry does not know it")
    engine = Engine(EngineConfig(), layout=SchemaLayout(parsed, book))
    engine.feed(records)
    counters = engine.counters
    assert counters.read == len(records)
    assert counters.binned + counters.late + counters.rejected + counters.heartbeats == len(records)
    side = engine.take_side()
    assert len(side) == counters.late + counters.rejected
    for one in side:
        assert one.record is records[one.offset], "it is kept as it came"
        assert one.detail.partition(":")[0], "it names a field, the key, the value, the schema or the window"
        if one.reason == "schema":
            assert one.detail.startswith("schema "), "with its id"
        if one.reason in ("avro", "protobuf", "type"):
            assert " (schema " in one.detail, "with the id of its schema"


# ---- Avro

PARTS = st.sampled_from(["ts", "bid", "seq", "qty", "heartbeat", "broker", "symbol", "x", "y"])


@st.composite
def avro_schemas(draw: st.DrawFn) -> tuple[Any, st.SearchStrategy[dict[str, Any]]]:
    """A schema whose fields have any types, and its values."""
    fields = draw(st.dictionaries(PARTS, kinds(2), max_size=6))
    if draw(st.integers(0, 3)):  # mostly one by which a tick could be read
        fields |= {"ts": ("long", st.integers(1_399_248_000_000, 1_399_248_120_000)), "bid": ("double", st.floats(0.5, 2.0))}
    schema = renamed(schema_of(**{name: kind for name, (kind, _) in fields.items()}), [0])
    return schema, st.fixed_dictionaries({name: values for name, (_, values) in fields.items()})


@FUZZ
@given(st.data())
def test_random_avro_schemas_that_change_between_any_records(data: st.DataObject) -> None:
    schemas = data.draw(st.lists(avro_schemas(), min_size=1, max_size=3))
    records = []
    for offset in range(data.draw(st.integers(1, 8))):
        number = data.draw(IDS)
        schema, values = schemas[number % len(schemas)]
        good = written(schema, data.draw(values))
        records.append(record_of(data, offset, number, good))
    assert_each_is_accounted_for("avro", [json.dumps(schema) for schema, _ in schemas], records)


def record_of(data: st.DataObject, offset: int, number: int, good: bytes, index: bytes = b"") -> Wire:
    """A record of a value that was written well: as it is, cut off, changed, or replaced by noise, in any framing."""
    noise = data.draw(st.binary(max_size=20))
    at = data.draw(st.integers(0, len(good)))
    value = data.draw(st.sampled_from([good, good, good, good[:at], good[:at] + noise + good[at:], noise]))
    framed = data.draw(st.sampled_from([frame_of(number) + index + value, value, None]))
    return Wire(offset, ARRIVED, data.draw(KEYS), framed, data.draw(HEADERS))


# ---- Protobuf

FIELD = descriptor_pb2.FieldDescriptorProto
SCALARS: list[tuple[Any, st.SearchStrategy[Any]]] = [
    (FIELD.TYPE_INT32, st.integers(-(2**31), 2**31 - 1)),
    (FIELD.TYPE_INT64, st.integers(1_399_248_000_000, 1_399_248_120_000) | st.integers(-(2**63), 2**63 - 1)),
    (FIELD.TYPE_UINT64, st.integers(0, 2**64 - 1)),
    (FIELD.TYPE_DOUBLE, st.floats()),
    (FIELD.TYPE_FLOAT, st.floats(width=32)),
    (FIELD.TYPE_BOOL, st.booleans()),
    (FIELD.TYPE_STRING, st.text(max_size=20, alphabet=st.characters(codec="utf-8")) | st.floats().map(str)),
    (FIELD.TYPE_BYTES, st.binary(max_size=20)),
]


@st.composite
def protobuf_messages(draw: st.DrawFn) -> tuple[descriptor_pb2.FileDescriptorProto, dict[str, st.SearchStrategy[Any]]]:
    """A file with one message whose fields have any types, also inside a message, repeated and optional, and its values."""
    file = descriptor_pb2.FileDescriptorProto(name="x.proto", package="x", syntax="proto3")
    message = file.message_type.add(name="Tick")
    fields = draw(st.dictionaries(PARTS, st.sampled_from(SCALARS), max_size=6))
    if draw(st.integers(0, 3)):
        fields |= {"ts": SCALARS[1], "bid": SCALARS[3]}
    values = {}
    for number, (name, (kind, content)) in enumerate(fields.items(), 1):
        repeated = draw(st.integers(0, 9)) == 0
        field = message.field.add(
            name=name, number=number, type=kind, label=FIELD.LABEL_REPEATED if repeated else FIELD.LABEL_OPTIONAL
        )
        if not repeated and draw(st.booleans()):
            field.proto3_optional = True
            field.oneof_index = len(message.oneof_decl)
            message.oneof_decl.add(name=f"_{name}")
        values[name] = st.lists(content, max_size=3) if repeated else content
    return file, values


@FUZZ
@given(st.data())
def test_random_protobuf_schemas_that_change_between_any_records(data: st.DataObject) -> None:
    messages = data.draw(st.lists(protobuf_messages(), min_size=1, max_size=3))
    texts = [base64.b64encode(file.SerializeToString()).decode() for file, _ in messages]
    records = []
    for offset in range(data.draw(st.integers(1, 8))):
        number = data.draw(IDS)
        at = number % len(messages)
        made: Any = GetMessageClass(ProtobufFile.registered(texts[at]).by_indexes([0]))
        given_ = {name: data.draw(values) for name, values in messages[at][1].items() if data.draw(st.booleans())}
        index = data.draw(st.sampled_from([b"\0", b"\0", b"\2\0", b"\2\2", b"\2\4\6", b"", b"\xff" * 6]))
        records.append(record_of(data, offset, number, made(**given_).SerializeToString(), index))
    assert_each_is_accounted_for("protobuf", texts, records)


# ---- schemas that nobody should register


def nested(kind: Any, depth: int) -> Any:
    """A type inside so many others."""
    for level in range(depth):
        kind = {"type": "array", "items": kind} if level % 2 else ["null", kind]
    return kind


def doubling(levels: int) -> list[dict[str, Any]]:
    """Records each of which holds the one before it twice: 2^levels fields, in a few lines."""
    first: dict[str, Any] = {"type": "record", "name": "R0", "fields": [{"name": "a", "type": "double"}]}
    made = [first]
    for level in range(1, levels):
        inner = made[-1] if level == 1 else f"R{level - 1}"
        made.append(
            {
                "type": "record",
                "name": f"R{level}",
                "fields": [{"name": "a", "type": made[-1]}, {"name": "b", "type": inner if level > 1 else "R0"}],
            }
        )
    return made


def unions(depth: int) -> Any:
    """A union in so many others."""
    kind: Any = "int"
    for _ in range(depth):
        kind = ["null", kind]
    return kind


TICK_FIELDS = [{"name": "ts", "type": "long"}, {"name": "bid", "type": "double"}]


def with_field(kind: Any) -> Any:
    return {"type": "record", "name": "Tick", "fields": [{"name": "x", "type": kind}, *TICK_FIELDS]}


HOSTILE: dict[str, Any] = {
    "deep": with_field(nested("int", 400)),
    "very deep": with_field(nested("int", 5_000)),
    "unions in unions": with_field(unions(200)),
    "wide": {
        "type": "record",
        "name": "T",
        "fields": [*({"name": f"f{n}", "type": "string"} for n in range(5_000)), *TICK_FIELDS],
    },
    "doubling": with_field(doubling(60)[-1]),
    "huge fixed": with_field({"type": "fixed", "name": "F", "size": 10**30}),
    "negative fixed": with_field({"type": "fixed", "name": "F", "size": -8}),
    "array of negative fixed": with_field({"type": "array", "items": {"type": "fixed", "name": "F", "size": -8}}),
    "fixed without a number": with_field({"type": "fixed", "name": "F", "size": "x"}),
    "no symbols": with_field({"type": "enum", "name": "E", "symbols": []}),
    "symbols that are none": with_field({"type": "enum", "name": "E", "symbols": 7}),
    "empty union": with_field([]),
    "null": None,
    "number": 7,
    "fields that are none": {"type": "record", "name": "T", "fields": 7},
    "a name that is none": {"type": "record", "name": 7, "fields": TICK_FIELDS},
    "a field twice": {"type": "record", "name": "T", "fields": [*TICK_FIELDS, *TICK_FIELDS]},
    "code": {"type": "record", "name": "T", "fields": [{"name": "x\n  raise SystemExit\n", "type": "int"}, *TICK_FIELDS]},
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_schema_that_cannot_be_used_rejects_its_records(name: str) -> None:
    try:
        text = json.dumps(HOSTILE[name])
    except RecursionError:
        text = '{"type":"record","name":"T","fields":[{"name":"x","type":' + '{"type":"array","items":' * 5_000
    values = [frame_of(0) + value for value in (b"", b"\0" * 30, b"\2" * 30, b"\xff" * 30, bytes(range(60)))]
    assert_each_is_accounted_for("avro", [text], [Wire(n, ARRIVED, b"A|x", value) for n, value in enumerate(values)])


@pytest.mark.parametrize("text", ["", "x", "AA==", "////", base64.b64encode(b"\n\1x" * 50).decode(), "é"])
def test_a_protobuf_schema_that_is_none_rejects_its_records(text: str) -> None:
    records = [Wire(n, ARRIVED, b"A|x", frame_of(0) + b"\0" * n) for n in range(8)]
    assert_each_is_accounted_for("protobuf", [text], records)


@FUZZ
@given(st.data())
def test_a_file_descriptor_with_changed_bytes_is_refused_or_used(data: st.DataObject) -> None:
    file, _ = data.draw(protobuf_messages())
    good = file.SerializeToString()
    at = data.draw(st.integers(0, len(good)))
    changed = good[:at] + data.draw(st.binary(max_size=6)) + good[data.draw(st.integers(at, len(good))) :]
    records = [Wire(n, ARRIVED, b"A|x", frame_of(0) + b"\0" + data.draw(st.binary(max_size=30))) for n in range(3)]
    assert_each_is_accounted_for("protobuf", [base64.b64encode(changed).decode()], records)


# ---- a registry that answers what no registry should


class StrangeRegistry(RegistryServer):
    """Answers what it is given, or a schema that refers to another one without end."""

    given: Any = None

    def answer(self, method: str, target: str, content: bytes, authorization: str) -> tuple[int, Any]:  # noqa: ARG002  # as the server calls it
        if self.given is not None:
            return 200, self.given
        number = target.partition("?")[0].split("/")[-3 if "versions" in target else -1].removeprefix("s")
        following = {"name": f"R{number}", "subject": f"s{int(number) + 1}", "version": 1}
        return 200, {"schema": '"int"', "references": [following]}


@pytest.fixture(scope="module")
def strange() -> Iterator[StrangeRegistry]:
    server = StrangeRegistry()
    server.start()
    yield server
    server.stop()


ANSWERS: list[Any] = [
    [],
    7,
    {},
    {"schema": None},
    {"schema": {"type": "record"}},
    {"schema": "{}", "schemaType": 7},
    {"schema": "{}", "references": 7},
    {"schema": "{}", "references": [7]},
    {"schema": "{}", "references": [{"name": "x"}]},
    None,  # without end
]


@pytest.mark.parametrize("answer", ANSWERS, ids=str)
async def test_a_strange_answer_is_an_error_in_one_line_or_a_schema_that_is_refused(
    strange: StrangeRegistry, answer: Any
) -> None:
    strange.given = answer
    refusal, found = "", None
    async with RegistryClient(strange.url, try_seconds=0) as client:
        try:
            found = await Schemas(client).get(1)
        except RegistryError as error:
            refusal = str(error)
    if found is None:
        assert strange.url in refusal
        assert "\n" not in refusal
        return
    book = SchemaBook(LayoutConfig(format="avro").parsed())
    assert book.add(1, found.kind, found.text, found.references), "no tick can be read by it"
