"""The schemas of the bars: no release breaks readers of another, and what a registry says about them is one readable line."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import fastavro
import pytest

from agents import bar_schemas
from agents.bar_schemas import BarSchemas, bar_records, bar_schema, check_windows
from agents.readiness import Readiness
from app.errors import RegistryError, StateError
from app.registry.client import RegistryAwayError, Schema
from app.settings import Settings
from app.tickfiles.reading import Row
from app.tickfiles.refusals import judge
from tables.bar_formats import avro, protobuf
from tables.bar_formats.format import VERSION
from tables.config import EngineConfig
from tables.emission import take_runs
from tables.engine import Engine
from tests.support.avro_compatibility import Resolution
from tests.support.bars import bar
from tests.support.protobuf_text import changed, file_of, message_class
from tests.support.schema_registry import RegistryServer, running
from tests.support.waiting import until
from tests.support.worker import ROOT
from tests.unit.model import Wire

SCHEMAS = ROOT / "tables/bar_formats/schemas"
KEPT = {  # of each release; bars by them are in topics, so none is ever changed
    "bar-1.avsc": "a69f04d28e1efa8c324fb3aff8361778dc5e86c50afa04d872ebbeed8ee18746",
    "bar-1.proto": "0338bee140c9b43e8bdcfd55fc465ae8b6dcfe5f755c9db0f777ead6ed4fd63e",
}


def kept(suffix: str) -> list[Path]:
    return sorted(SCHEMAS.glob(f"bar-*.{suffix}"))


def test_a_schema_that_was_released_stays_as_it_is() -> None:
    found = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in SCHEMAS.iterdir()}
    assert found == KEPT, "a change is a new file: add bar-2, keep bar-1"
    assert {path.name for path in SCHEMAS.glob(f"bar-{VERSION}.*")} == {f"bar-{VERSION}.avsc", f"bar-{VERSION}.proto"}


def more_fields(schema: dict[str, Any], *fields: dict[str, Any]) -> dict[str, Any]:
    return {**schema, "fields": [*schema["fields"], *fields]}


def test_readers_and_writers_of_all_releases_understand_each_other_in_avro() -> None:
    schemas = [json.loads(path.read_text()) for path in kept("avsc")]
    for reader, writer in product(schemas, schemas):
        assert Resolution(reader, writer).problems == []
        read(reader, writer)
    first = schemas[0]
    later = more_fields(first, {"name": "venue", "type": ["null", "string"], "default": None})
    assert Resolution(first, later).problems == Resolution(later, first).problems == []
    read(later, first)
    without_default = more_fields(first, {"name": "venue", "type": "string"})
    assert Resolution(without_default, first).problems == ["READER_FIELD_MISSING_DEFAULT_VALUE at /venue"]
    with pytest.raises(fastavro.read.SchemaResolutionError, match="venue"):
        read(without_default, first)


def read(reader: dict[str, Any], writer: dict[str, Any]) -> None:
    """What was written by one schema is read by another."""
    content = avro.encode(bar(), 9)
    first = json.loads(kept("avsc")[0].read_text())
    found: Any = fastavro.schemaless_reader(io.BytesIO(content), first, None)
    out = io.BytesIO()
    fastavro.schemaless_writer(out, writer, found)
    again: Any = fastavro.schemaless_reader(io.BytesIO(out.getvalue()), writer, reader)
    assert {name: again[name] for name in found if name in again} == found


def test_readers_and_writers_of_all_releases_understand_each_other_in_protobuf() -> None:
    texts = [path.read_text() for path in kept("proto")]
    for reader, writer in product(texts, texts):
        assert changed(file_of(reader), file_of(writer)) == []
        sent = message_class(writer, "barwheel.Bar").FromString(protobuf.encode(bar(), 9))
        assert message_class(reader, "barwheel.Bar").FromString(sent.SerializeToString()).symbol == "EURUSD"
    text = texts[0]
    assert changed(file_of(text.replace("int64 ticks = 11", "int32 ticks = 11")), file_of(text)) == [
        "FIELD_KIND_CHANGED: Bar.ticks"
    ]
    assert changed(file_of(text.replace("bool partial = 21", "bool partial = 24")), file_of(text)) == [
        "FIELD_NUMBER_CHANGED: Bar.partial"
    ]
    added = text.replace("string frame = 23;", "string frame = 23; string venue = 24;")
    assert changed(file_of(added), file_of(text)) == changed(file_of(text), file_of(added)) == []


@pytest.mark.parametrize("suffix", ["avsc", "proto"])
def test_the_scale_of_the_settings_is_in_the_schema(suffix: str) -> None:
    name = {"avsc": "avro", "proto": "protobuf"}[suffix]
    schema = bar_schema(Settings.load(bars_format=name, bars_scale=4, schema_registry_url="http://x:1"))
    assert schema is not None
    usual = kept(suffix)[-1].read_text()
    if name == "avro":
        assert schema.text.count('"precision":38,"scale":4}') == 6
        assert Resolution(json.loads(schema.text), json.loads(usual.replace('"scale": 9', '"scale": 4'))).problems == []
    else:
        assert schema.text.count('key: "scale", value: "4"') == 6
        assert schema.text.replace('value: "4"', 'value: "9"') == usual


# ---- the registry


@pytest.fixture(autouse=True)
def no_ids(monkeypatch: pytest.MonkeyPatch) -> None:
    """A port may be that of a former test's registry."""
    monkeypatch.setattr(bar_schemas, "_ids", {})


@pytest.fixture
def server() -> Iterator[RegistryServer]:
    with running() as found:
        yield found


def configured(server: RegistryServer, **more: Any) -> Settings:
    return Settings.load(**{"bars_format": "avro", "schema_registry_url": server.url, **more})


@pytest.mark.parametrize("name", ["avro", "protobuf"])
async def test_a_start_registers_the_schema_once_for_the_finals_topic(server: RegistryServer, name: str) -> None:
    settings = configured(server, bars_format=name, topics_prefix="p-")
    with pytest.raises(KeyError):
        bar_records(settings, settings.finals_topic)
    for _ in range(2):
        await BarSchemas(settings).check()
    assert server.registry.subjects == {"p-bar_1m_final-value": [1]}
    assert server.asked.count("POST /subjects/p-bar_1m_final-value/versions") == 1, "an id is kept"
    assert bar_records(settings, settings.finals_topic) is not None
    assert bar_records(Settings.load(), settings.finals_topic) is take_runs


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (401, "check schema_registry_user and schema_registry_password"),
        (403, "check schema_registry_user and schema_registry_password"),
        (409, "bars cannot be written beside those that subject bar_1m_final-value describes: set the former bars_format"),
        (422, "refused with 422"),
        (404, "is schema_registry_url a Schema Registry?"),
    ],
)
async def test_what_another_attempt_does_not_mend_is_one_line(server: RegistryServer, status: int, expected: str) -> None:
    server.refuse, server.refuse_method = status, "POST"
    for attempt in (BarSchemas(configured(server)).check(), BarSchemas(configured(server)).registered(Readiness())):
        with pytest.raises(RegistryError) as caught:
            await attempt
        assert not isinstance(caught.value, RegistryAwayError)
        assert expected in str(caught.value)
        assert "\n" not in str(caught.value)


async def test_wrong_credentials_are_one_line() -> None:
    with running(user="me", password="right") as server:
        settings = configured(server, schema_registry_user="me", schema_registry_password="wrong")
        with pytest.raises(RegistryError, match=r"answers 401 .* check schema_registry_user and schema_registry_password"):
            await BarSchemas(settings).check()
        right = configured(server, schema_registry_user="me", schema_registry_password="right")
        await BarSchemas(right).check()
        assert server.registry.subjects == {"bar_1m_final-value": [1]}


async def test_partitions_wait_for_a_registry_that_is_away_or_busy(server: RegistryServer, monkeypatch: Any) -> None:
    monkeypatch.setattr(bar_schemas, "WAITS", (0.01, 0.02))
    server.stop()
    schemas, readiness = BarSchemas(configured(server)), Readiness("recovering")
    await schemas.check()  # says so, and goes on
    with pytest.raises(RegistryAwayError):
        await schemas.check(patient=False)
    waiting = asyncio.ensure_future(schemas.registered(readiness))
    await until(lambda: readiness.registry, what="it says what it waits for")
    assert readiness.answer(None) == {"state": "waiting", "schema_registry": readiness.registry}
    assert server.url in readiness.registry
    server.refuse = 503
    server.start()
    await until(lambda: "answers 503" in readiness.registry, what="it is busy")
    server.refuse = None
    await waiting
    assert readiness.answer(None) == {"state": "recovering"}
    assert server.registry.subjects == {"bar_1m_final-value": [1]}


async def test_a_schema_that_is_registered_already_may_be_demanded(server: RegistryServer) -> None:
    settings = configured(server, bars_register="off", topics_prefix="off-")
    with pytest.raises(RegistryError, match="bars_register=off, and subject off-bar_1m_final-value lacks the schema: register"):
        await BarSchemas(settings).check()
    with pytest.raises(RegistryError, match="lacks the schema"):
        await BarSchemas(settings).look()
    schema = bar_schema(settings)
    assert schema is not None
    text = json.dumps(json.loads(schema.text), indent=2)  # as a tool has formatted it
    server.registry.register("off-bar_1m_final-value", {"schema": text, "schemaType": "AVRO"})
    await BarSchemas(settings).check()
    await BarSchemas(settings).look()
    assert not [asked for asked in server.asked if asked.endswith("/versions") and asked.startswith("POST")]
    assert bar_records(settings, settings.finals_topic) is not None


@pytest.mark.parametrize("level", ["BACKWARD", "NONE"])
async def test_another_scale_is_refused_whatever_the_registry_takes(server: RegistryServer, level: str) -> None:
    server.registry.levels[""] = level
    await BarSchemas(configured(server, topics_prefix="s-")).check()
    other = BarSchemas(configured(server, topics_prefix="s-", bars_scale=4))
    for attempt in (other.check, other.look):
        with pytest.raises(RegistryError, match=r"bars_scale=4, and the newest schema of .* s-bar_1m_final-value has scale 9"):
            await attempt()
    await BarSchemas(configured(server, topics_prefix="s-")).look()


async def test_a_schema_that_does_not_fit_the_subject_is_refused(server: RegistryServer) -> None:
    theirs = json.dumps({"type": "record", "name": "Bar", "fields": [{"name": "x", "type": "long"}]})
    for name, settings in (
        ("t", configured(server, topics_prefix="t-")),
        ("u", configured(server, topics_prefix="u-", bars_format="protobuf")),
    ):
        server.registry.register(f"{name}-bar_1m_final-value", Schema(theirs).body())
        for attempt in (BarSchemas(settings).check, BarSchemas(settings).look):
            with pytest.raises(RegistryError, match=f"beside those that subject {name}-bar_1m_final-value describes"):
                await attempt()


async def test_looking_registers_nothing(server: RegistryServer) -> None:
    await BarSchemas(configured(server, topics_prefix="l-")).look()
    assert server.registry.subjects == {}
    await BarSchemas(Settings.load()).look()


def test_a_window_of_the_former_format_that_fits_no_bar_stops_the_start() -> None:
    engine = Engine(EngineConfig())
    now = 1_700_000_040_000
    engine.feed_same_arrival([Wire(0, now, b"A|x", b'{"ts":%d,"bid":1.0000000001}' % now)], now)
    settings = Settings.load(bars_format="avro", schema_registry_url="http://x:1")
    with pytest.raises(
        StateError, match=r"A\|x up to 1700000100000 has '1.0000000001', which does not fit bars_scale=9: raise"
    ):
        check_windows(settings, engine.windows.every_window())
    check_windows(Settings.load(), engine.windows.every_window())
    check_windows(settings.model_copy(update={"bars_scale": 10}), engine.windows.every_window())


@pytest.mark.parametrize(
    ("more", "others"),
    [
        ({}, {"correct": True}),
        ({"late": True}, {"correct": True}),
        ({}, {"frames": ("1h",)}),
        ({}, {"flat": ("base",)}),
    ],
    ids=["that can be corrected", "of a revision that is due", "of an open longer bar", "whose close flat bars repeat"],
)
@pytest.mark.parametrize("scope", ["broker", "symbol"])
def test_a_window_that_has_closed_and_fits_no_bar_stops_the_start_where_there_may_be_a_bar_of_it(
    scope: str, more: dict[str, bool], others: dict[str, Any]
) -> None:
    engine = Engine(EngineConfig(scope=scope, **others))
    now = 1_700_000_040_000
    price = "1" if more.get("late") else "1.0000000001"
    for offset, (ts, bid) in enumerate([(now, price), (now + 66_000, "1.5"), *([(now, "1.0000000001")] * bool(more))]):
        engine.feed_same_arrival([Wire(offset, now + 66_000, b"A|x", f'{{"ts":{ts},"bid":{bid}}}'.encode())], now + 66_000)
    assert engine.take_closed()
    settings = Settings.load(bars_format="avro", schema_registry_url="http://x:1")
    check_windows(settings, engine.windows.every_window())
    after = engine.windows.after
    assert after is not None
    with pytest.raises(StateError, match=r"A\|x up to \d+ has '1.0000000001', which does not fit bars_scale=9: raise"):
        check_windows(settings, after.every_window())


def test_rows_of_a_file_that_fit_no_bar_are_counted_before_they_are_sent() -> None:
    settings = Settings.load(bars_format="avro", schema_registry_url="http://x:1", prices="any")
    why = judge(settings)
    row = Row(b"A|x", b'{"ts":1700000040000,"bid":-1.0000000001}', 1_700_000_040_000)
    assert why(row) == ("scale", "bid: '-1.0000000001' has more decimals than bars_scale=9")
    assert judge(Settings.load(prices="any"))(row) is None
    assert judge(Settings.load())(row) == ("price", "bid: '-1.0000000001' is not above 0 and finite")
