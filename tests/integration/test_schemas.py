"""Ticks in Avro and Protobuf through a running worker: the bars of JSON, schemas that change, and a registry that is away."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from tables.bars import Bar
from tests.integration.conftest import NewWorker
from tests.support.real_formats import Quote, real_formats, without_zeros
from tests.support.schema_registry import RegistryServer, running
from tests.support.schema_ticks import OPTIONAL, TICK, AvroTicks, ProtobufTicks
from tests.support.ticks import Tick, produce, read
from tests.support.vendor import DAYS, missing
from tests.support.worker import Worker

T0 = 1_399_248_000_000
V1 = AvroTicks({**TICK, **OPTIONAL})
V2 = AvroTicks({"venue": ["null", "string"], **OPTIONAL, **TICK})
V3 = AvroTicks({**TICK, **OPTIONAL, "venue": ["null", "string"], "note": ["null", "string"]})


@pytest.fixture
def server() -> Iterator[RegistryServer]:
    with running() as found:
        yield found


def register(server: RegistryServer, subject: str, ticks: Any, kind: str = "AVRO") -> Any:
    return replace(ticks, number=server.registry.register(subject, {"schema": ticks.text, "schemaType": kind}))


def framed(ticks: Any, second: int, price: int, **more: Any) -> Tick:
    """A tick at a second, in a schema. Prices have no trailing zeros."""
    record = {"ts": T0 + second * 1_000, "bid": Decimal(price * 10 + 1) / 1_000, "qty": None, "seq": 0, "heartbeat": False}
    return Tick(key=b"A|x", value=ticks.framed(**record, **more))


def in_json(second: int, price: int) -> Tick:
    return Tick(T0 + second * 1_000, str(Decimal(price * 10 + 1) / 1_000))


def content(bar: Bar) -> tuple[Any, ...]:
    """What of a bar does not come from the moment at which the test ran."""
    return tuple(
        map(
            str,
            (
                bar.broker,
                bar.symbol,
                bar.bucket_start,
                bar.open,
                bar.high,
                bar.low,
                bar.close,
                bar.volume,
                bar.ticks,
                bar.first_ts,
                bar.last_ts,
                bar.first_offset,
                bar.last_offset,
            ),
        )
    )


def bars_of(worker: Worker, count: int) -> list[tuple[Any, ...]]:
    return [content(seen.bar) for seen in read(worker.bootstrap, worker.finals_topic, count)]


def not_ready(worker: Worker) -> dict[str, Any]:
    """What /readyz says while it does not succeed; empty: it succeeds, or does not answer."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{worker.settings['web_port']}/readyz", timeout=5):
            return {}
    except urllib.error.HTTPError as error:
        found: dict[str, Any] = json.load(error)
        return found
    except OSError:
        return {}


MOVES = [(second, 1_000 + (second * 37) % 90) for second in range(0, 249, 3)]  # the last one closes the fourth window


def test_avro_and_protobuf_make_the_bars_of_json_also_when_the_schema_changes(
    pocket_worker: NewWorker, server: RegistryServer
) -> None:
    plain = pocket_worker(topic_partitions="1").start()
    avro = pocket_worker(topic_partitions="1", ticks_format="avro", schema_registry_url=server.url)
    protobuf = pocket_worker(topic_partitions="1", ticks_format="protobuf", schema_registry_url=server.url)
    old = register(server, f"{avro.ticks_topic}-value", V1)
    message = register(server, f"{protobuf.ticks_topic}-value", ProtobufTicks(), "PROTOBUF")
    for worker in (avro, protobuf):
        worker.start()
    new = register(server, f"{avro.ticks_topic}-value", V2)
    half = len(MOVES) // 2
    produce(plain.bootstrap, plain.ticks_topic, [in_json(*move) for move in MOVES])
    produce(
        avro.bootstrap,
        avro.ticks_topic,
        [framed(old, *move) for move in MOVES[:half]] + [framed(new, *move, venue="XNAS") for move in MOVES[half:]],
    )
    produce(protobuf.bootstrap, protobuf.ticks_topic, [framed(message, *move) for move in MOVES])
    wanted = bars_of(plain, 4)
    assert len(wanted) == 4
    assert bars_of(avro, 4) == wanted
    assert bars_of(protobuf, 4) == wanted


@pytest.mark.skipif(bool(missing()), reason=missing() or "the test data is there")
def test_an_hour_of_real_ticks_in_avro_makes_the_bars_of_json(pocket_worker: NewWorker, server: RegistryServer) -> None:
    plain, avro = (form for form in real_formats() if form.name in ("default", "Avro with decimals"))
    oanda = next(day for day in DAYS if day.broker == "oanda")
    quotes = [Quote(ts, without_zeros(bid), without_zeros(ask)) for ts, bid, ask in oanda.quotes()]
    hour = [quote for quote in quotes if quote.ts < quotes[0].ts + 3_600_000]
    assert avro.schema is not None
    more = {"ticks_format": "avro", "ticks_fields": avro.config.fields, "schema_registry_url": server.url}
    workers = pocket_worker(topic_partitions="1"), pocket_worker(topic_partitions="1", **more)
    assert server.registry.register(f"{workers[1].ticks_topic}-value", {"schema": avro.schema[2]}) == avro.schema[0]
    for worker, form in zip(workers, (plain, avro), strict=True):
        worker.start()
        produce(worker.bootstrap, worker.ticks_topic, [Tick(key=key, value=value) for key, value, _ in map(form.record, hour)])
    closed = len({quote.ts // 60_000 for quote in hour}) - 1  # the last window stays open
    wanted = bars_of(workers[0], closed)
    assert len(wanted) == closed
    assert bars_of(workers[1], closed) == wanted


def test_ticks_wait_for_a_registry_that_is_away_and_none_is_lost(pocket_worker: NewWorker, server: RegistryServer) -> None:
    worker = pocket_worker(topic_partitions="1", ticks_format="avro", schema_registry_url=server.url)
    subject = f"{worker.ticks_topic}-value"
    first, unfit = register(server, subject, V1), register(server, "other", AvroTicks({"ts": "long"}))
    server.stop()
    worker.start()  # the registry is away, which a start survives
    assert "slices wait for it" in worker.log()
    produce(worker.bootstrap, worker.ticks_topic, [framed(first, 0, 1)])
    worker.wait(lambda: "schema_registry" in not_ready(worker), "/readyz says that ticks wait for the registry")
    state = not_ready(worker)
    assert (state["state"], server.url in state["schema_registry"]) == ("waiting", True)
    assert worker.total().get("read") == 0
    server.start()
    worker.wait_read(1)
    worker.wait(worker.ready, "it is ready again")
    server.stop()
    later = register(server, subject, V3)
    unknown = replace(V1, number=99)
    bad = [
        Tick(key=b"A|x", value=b"\0\0\0\0" + bytes([unfit.number]) + b"\2"),
        framed(unknown, 2, 9),
        Tick(key=b"A|x", value=b"{}"),
    ]
    produce(worker.bootstrap, worker.ticks_topic, [framed(first, 1, 2), framed(later, 2, 3, venue="v", note=None), *bad, *bad])
    worker.wait(lambda: "schema_registry" in not_ready(worker), "ticks wait for the registry again")
    worker.kill()  # and a successor finds them
    server.start()
    worker.start()
    worker.wait_read(9)
    total = worker.total()
    assert (total["binned"], total["rejected"]) == (3, 6)
    rejected = read(worker.bootstrap, worker.rejected_topic, 6)
    assert [seen.headers["reason"] for seen in rejected] == [b"schema", b"schema", b"framing"] * 2
    assert rejected[0].headers["detail"].startswith(b"schema %d: bid=bid: record Tick has no such field" % unfit.number)
    log = worker.log()
    assert log.count(f"schema {unfit.number}: bid=bid") == 1
    assert log.count("Schema 99 not found") == 1
    worker.stop()


def test_a_start_that_could_read_no_tick_ends_with_one_line(pocket_worker: NewWorker, server: RegistryServer) -> None:
    worker = pocket_worker(topic_partitions="1", ticks_format="avro", schema_registry_url=server.url)
    register(server, f"{worker.ticks_topic}-value", AvroTicks({"ts": "long", "ask": "double"}))
    ended = worker.run("worker")
    assert ended.returncode == 2
    (line,) = [line for line in ended.stderr.splitlines() if "bid=bid" in line]
    assert f"schema {worker.ticks_topic}-value version 1: bid=bid: record Tick has no such field; it has ask, ts" in line
