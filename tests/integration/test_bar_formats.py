"""Bars in Avro and Protobuf by a running worker, as the deserializers of confluent-kafka and our own readers see them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from tests.integration.conftest import NewWorker
from tests.integration.test_schemas import not_ready
from tests.support.protobuf_text import message_class, values_of
from tests.support.schema_registry import RegistryServer, running
from tests.support.ticks import Tick, heartbeat, produce, read, windows
from tests.support.worker import ROOT, Worker

confluent_kafka = pytest.importorskip("confluent_kafka", reason="confluent-kafka is not installed")
pytest.importorskip("pyarrow", reason="pyarrow is not installed")

T0 = 1_399_248_000_000
MINUTE = 60_000
TICKS = [  # a minute each; the second has two, and no quantities
    Tick(T0, "1.123456789", more=', "qty": 0.1'),
    Tick(T0 + 1_000, "-37.63", more=', "qty": "12345678901234567.000000001"'),
    Tick(T0 + MINUTE + 6_000, "1.50"),
    Tick(T0 + MINUTE + 6_500, "9999999999999999.5"),
    Tick(T0 + 2 * MINUTE + 6_000, "2"),
]
UNFIT = [Tick(T0 + 2 * MINUTE + 6_000, "1.1234567891"), Tick(T0 + 2 * MINUTE + 6_000, "1", more=', "qty": 1E17')]
END = heartbeat(T0 + 3 * MINUTE + 5_000)


@pytest.fixture
def server() -> Iterator[RegistryServer]:
    with running() as found:
        yield found


def new(pocket_worker: NewWorker, server: RegistryServer, name: str, **more: str) -> Worker:
    return pocket_worker(
        topic_partitions="1", prices="any", idle_close="off", bars_format=name, schema_registry_url=server.url, **more
    )


def consumed(worker: Worker, count: int) -> list[Any]:
    """The values of the first bars, by librdkafka."""
    consumer = confluent_kafka.Consumer(
        {
            "bootstrap.servers": worker.bootstrap,
            "group.id": "test",
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
        }
    )
    consumer.assign([confluent_kafka.TopicPartition(worker.finals_topic, 0, confluent_kafka.OFFSET_BEGINNING)])
    values: list[Any] = []
    try:
        while len(values) < count:
            message = consumer.poll(30)
            assert message is not None, f"{len(values)} bars, not {count}"
            assert message.error() is None
            values.append(message.value())
    finally:
        consumer.close()
    return values


def deserialized(worker: Worker, count: int) -> list[dict[str, Any]]:
    """The first bars, by confluent-kafka's deserializers with the schema that the registry has."""
    from confluent_kafka.schema_registry import SchemaRegistryClient  # noqa: PLC0415  # may not be installed
    from confluent_kafka.schema_registry.avro import AvroDeserializer  # noqa: PLC0415
    from confluent_kafka.schema_registry.protobuf import ProtobufDeserializer  # noqa: PLC0415
    from confluent_kafka.serialization import MessageField, SerializationContext  # noqa: PLC0415

    client = SchemaRegistryClient({"url": worker.settings["schema_registry_url"]})
    context = SerializationContext(worker.finals_topic, MessageField.VALUE)
    if worker.settings["bars_format"] == "avro":
        avro = AvroDeserializer(client)
        return [dict(avro(value, context)) for value in consumed(worker, count)]
    printed = worker.run("topics", "--schema").stdout
    protobuf = ProtobufDeserializer(message_class(printed, "barwheel.Bar"), {"use.deprecated.format": False}, client)
    return [values_of(protobuf(value, context)) for value in consumed(worker, count)]


@pytest.mark.parametrize("name", ["avro", "protobuf"])
def test_the_deserializers_of_other_programs_read_each_bar_once_and_exactly(
    pocket_worker: NewWorker, server: RegistryServer, name: str
) -> None:
    worker = new(pocket_worker, server, name, checkpoint_interval="10m").start()
    produce(worker.bootstrap, worker.ticks_topic, TICKS[:4])
    read(worker.bootstrap, worker.finals_topic, 1)
    worker.kill()
    worker.start()  # the first bar is in its tail
    produce(worker.bootstrap, worker.ticks_topic, [TICKS[4], *UNFIT, END])
    worker.wait_closed(8)
    worker.stop()
    seen = read(worker.bootstrap, worker.finals_topic, 3)
    assert windows(seen) == [("A", "x", T0 + minute * MINUTE) for minute in range(3)]
    rejected = read(worker.bootstrap, worker.rejected_topic, len(UNFIT))
    assert [one.headers["reason"] for one in rejected] == [b"scale", b"scale"]
    assert [one.headers["detail"].split(b" has ")[1] for one in rejected] == [
        b"more decimals than bars_scale=9",
        b"more than 17 digits before the point, with bars_scale=9",
    ]
    first, second, third = deserialized(worker, 3)
    assert server.registry.subjects == {f"{worker.finals_topic}-value": [1]}
    assert {field: first[field] for field in ("broker", "symbol", "ticks", "revision", "partial", "corrected", "frame")} == {
        "broker": "A",
        "symbol": "x",
        "ticks": 2,
        "revision": 0,
        "partial": False,
        "corrected": None,
        "frame": None,
    }
    assert (first["bucket_start"], second["last_ts"]) == (
        datetime.fromtimestamp(T0 / 1_000, UTC),
        datetime.fromtimestamp((T0 + MINUTE + 6_500) / 1_000, UTC),
    )
    numbers = ("open", "high", "low", "close", "volume", "vwap")
    volume = Decimal("12345678901234567.100000001")
    assert [first[field] for field in numbers] == [
        *map(Decimal, ("1.123456789", "1.123456789", "-37.63", "-37.63")),
        volume,
        Decimal("-37.63"),
    ]
    assert [second[field] for field in numbers] == [
        *map(Decimal, ("1.5", "9999999999999999.5", "1.5", "9999999999999999.5")),
        None,
        None,
    ]
    assert (third["close_reason"], third["closed_at_offset"]) == ("watermark", 7)
    if name == "avro":
        example = [sys.executable, "examples/confluent_schema_bars.py", worker.bootstrap, worker.finals_topic, server.url, "3"]
        done = subprocess.run(example, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
        assert done.stdout.splitlines()[0] == f"A x {T0} -37.630000000 2", done.stderr


def test_a_topic_may_hold_bars_of_two_formats_and_our_readers_read_them(
    pocket_worker: NewWorker, server: RegistryServer
) -> None:
    worker = new(pocket_worker, server, "json", checkpoint_interval="10m").start()
    produce(worker.bootstrap, worker.ticks_topic, TICKS[:3])
    read(worker.bootstrap, worker.finals_topic, 1)
    worker.kill()
    worker.settings["bars_format"] = "avro"
    worker.start()  # what it published as JSON is in its tail
    produce(worker.bootstrap, worker.ticks_topic, [*TICKS[3:], END])
    worker.wait_closed(6)
    server.stop()  # nobody needs it any more
    seen = read(worker.bootstrap, worker.finals_topic, 3)
    assert [(one.value or b"")[:1] for one in seen] == [b"{", b"\0", b"\0"]
    assert windows(seen) == [("A", "x", T0 + minute * MINUTE) for minute in range(3)]
    printed = worker.run("bars", "--json")
    assert [json.loads(line)["close"] for line in printed.stdout.splitlines()] == [-37.63, 9999999999999999.5, 2]
    worker.wait(lambda: len((worker.get("/api/v1/bars?broker=A&symbol=x") or {"bars": []})["bars"]) == 3, "the API has them")
    exported = worker.run("export", str(worker.directory / "exported"))
    assert exported.returncode == 0, exported.stderr
    assert "3 bars" in exported.stdout
    worker.stop()


def test_a_start_waits_for_the_registry_and_is_stopped_by_its_refusal(pocket_worker: NewWorker, server: RegistryServer) -> None:
    worker = new(pocket_worker, server, "avro")
    server.stop()
    worker.spawn()
    worker.wait(lambda: bool(not_ready(worker).get("schema_registry")), "/readyz says what the partitions wait for")
    server.start()
    worker.wait(worker.ready, "it is ready")
    worker.stop()
    server.registry.subjects.clear()
    theirs = json.dumps({"type": "record", "name": "Bar", "fields": [{"name": "x", "type": "long"}]})
    server.registry.register(f"{worker.finals_topic}-value", {"schema": theirs})
    ended = worker.run("worker")
    assert ended.returncode == 3
    (line,) = [line for line in ended.stderr.splitlines() if "answers 409" in line]
    assert f"beside those that subject {worker.finals_topic}-value describes: set the former bars_format" in line
