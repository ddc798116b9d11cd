"""Ticks of other people's topics, copied to one topic by symbol: the bars are those of the same ticks under their own key."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from decimal import Decimal
from uuid import uuid4

import pytest

from app.kafka.partitioner import partition_of
from tables.bars import Bar
from tables.config import EngineConfig
from tables.engine import Engine
from tests.chaos.copies import check_copies
from tests.chaos.verdict import Verdict
from tests.integration.conftest import NewWorker
from tests.support.schema_registry import running
from tests.support.schema_ticks import TICK, AvroTicks
from tests.support.ticks import Tick, add_partitions, create_topic, delete_topic, now_ms, produce, read
from tests.support.vendor import DAYS, missing
from tests.support.worker import Worker
from tests.unit.model import Wire, take_finals

SYMBOLS = ("EURUSD", "GBPUSD", "USDJPY", "AUDUSD", "XAUUSD", "BRK.B", "7203")
MINUTE = 60_000
STATE_ERROR = 4
GRACE = 30 * MINUTE  # the order between partitions of a source is not told
# of a bar: what says where and when it was closed, and from which offsets it was made
PLACED = {"closed_at", "watermark", "closed_at_offset", "first_offset", "last_offset", "close_reason"}
Quote = tuple[str, int, str]  # symbol, time, price


def content(bars: Iterable[Bar]) -> list[str]:
    """Bars without what depends on offsets and arrival."""
    fields = [name for name in Bar.__struct_fields__ if name not in PLACED]
    return sorted(str([(name, str(getattr(bar, name))) for name in fields]) for bar in bars)


def quotes(start: int, count: int) -> list[Quote]:
    """Ticks in time order, some hundred ms apart."""
    return [(SYMBOLS[n * n % len(SYMBOLS)], start + n * 370 + n % 3, f"1.{n * 7919 % 100_000:05d}") for n in range(count)]


def value_of(symbol: str, ts: int, price: str) -> bytes:
    """A tick that says its symbol."""
    return f'{{"ts":{ts},"bid":{price},"code":"{symbol}"}}'.encode()


def own_bars(ticks: Iterable[Quote], until: int) -> list[Bar]:
    """The bars of the same ticks in the default topic."""
    engine = Engine(EngineConfig(grace=GRACE))
    rows = sorted(ticks, key=lambda tick: tick[1])
    engine.feed(
        Wire(n, until, f"X|{symbol}".encode(), f'{{"ts":{ts},"bid":{price}}}'.encode())
        for n, (symbol, ts, price) in enumerate(rows)
    )
    engine.advance_arrival(until + 10 * GRACE)
    return list(take_finals(engine))


def test_bars_of_several_topics_are_those_of_the_same_ticks_in_one(pocket: str, pocket_worker: NewWorker) -> None:
    unique = uuid4().hex[:8]
    nothing, symbols, later = (f"src-{unique}-{name}" for name in ("nothing", "symbols", "later"))
    worker = pocket_worker(
        ticks_topic=f"^src-{unique}-.*",
        repartition="on",
        ticks_fields="ts=ts,bid=bid,symbol=code,broker='X'",
        ticks_key="",
        grace="30m",
        topic_partitions="3",
    )
    now = now_ms()
    ticks = quotes(now - 120 * MINUTE, 900)
    create_topic(pocket, nothing, 6)
    create_topic(pocket, symbols, 2)
    for number in range(6):  # without keys, over all partitions
        chosen = [tick for n, tick in enumerate(ticks) if n % 3 != 1 and n % 6 == number]
        produce(pocket, nothing, [Tick(value=value_of(*tick)) for tick in chosen], number)
    keyed = [tick for n, tick in enumerate(ticks) if n % 3 == 1]
    for number in range(2):  # by symbol alone
        chosen = [tick for tick in keyed if partition_of(tick[0].encode(), 2) == number]
        produce(pocket, symbols, [Tick(key=tick[0].encode(), value=value_of(*tick)) for tick in chosen], number)
    worker.start()
    worker.wait_read(len(ticks))
    create_topic(pocket, later, 1)  # begins to match while the worker runs: read from its beginning, as are more partitions
    more = [(symbol, now - 100 * MINUTE, "1.5") for symbol in SYMBOLS]
    produce(pocket, later, [Tick(value=value_of(*tick)) for tick in more])
    add_partitions(pocket, symbols, 3)
    more.append(("EURUSD", now - 95 * MINUTE, "1.75"))
    produce(pocket, symbols, [Tick(value=value_of(*more[-1]))], 2)
    worker.wait_read(len(ticks) + len(more))
    closing = [(symbol, now, "2") for symbol in SYMBOLS]
    produce(pocket, nothing, [Tick(value=value_of(*tick)) for tick in closing], 5)

    expected = content(own_bars(ticks + more, now))
    finals = read(pocket, worker.finals_topic, len(expected))
    assert content(seen.bar for seen in finals) == expected
    assert {seen.partition for seen in finals if seen.bar.symbol == "EURUSD"} == {partition_of(b"X|EURUSD", 3)}

    late, rejected = value_of("EURUSD", now - 110 * MINUTE, "3"), b'{"ts":1,"bid":2}'
    (late_at,) = produce(pocket, nothing, [Tick(value=late)], 4)
    rejected_at = produce(pocket, symbols, [Tick(key=b"odd", value=rejected), Tick(key=b"k", value=None)], 1)
    side_outputs_name_the_source(worker, f"{nothing}|4|{late_at}", [f"{symbols}|1|{offset}" for offset in rejected_at])
    total = worker.total()
    assert total["read"] == len(ticks + more + closing) + 3
    assert "Traceback" not in worker.log()
    it_says_how_far_it_is(worker, {nothing: 6, symbols: 3, later: 1}, len(ticks + more + closing) + 3)
    worker.stop()


@pytest.mark.skipif(bool(missing()), reason=missing() or "the test data is there")
def test_an_hour_of_real_ticks_without_keys_over_six_partitions_makes_the_bars_of_the_default_topic(
    pocket: str, pocket_worker: NewWorker
) -> None:
    source = f"real-{uuid4().hex[:8]}"
    worker = pocket_worker(
        ticks_topic=source,
        repartition="on",
        ticks_fields="ts=t,bid=b,seq=n,symbol=code,broker='oanda'",
        ticks_key="",
        grace="2h",  # longer than the hour: the order between partitions is not told
        topic_partitions="2",
    )
    oanda = next(day for day in DAYS if day.broker == "oanda")
    day = list(oanda.quotes())
    hour = [(ts, bid) for ts, bid, _ in day if ts < day[0][0] + 60 * MINUTE]
    closing = (hour[-1][0] + 4 * 60 * MINUTE, hour[-1][1])
    create_topic(pocket, source, 6)
    for number in range(6):
        chosen = [(n, *quote) for n, quote in enumerate(hour) if n % 6 == number]
        made = [Tick(value=f'{{"t":{ts},"b":{bid},"n":{n},"code":"EURUSD"}}'.encode()) for n, ts, bid in chosen]
        produce(pocket, source, made, number)
    worker.start()
    worker.wait_read(len(hour))
    produce(pocket, source, [Tick(value=f'{{"t":{closing[0]},"b":{closing[1]},"code":"EURUSD"}}'.encode())], 0)

    engine = Engine(EngineConfig(grace=120 * MINUTE))
    engine.feed(
        Wire(n, now_ms(), b"oanda|EURUSD", f'{{"ts":{ts},"bid":{bid},"seq":{n}}}'.encode())
        for n, (ts, bid) in enumerate([*hour, closing])
    )
    expected = content(take_finals(engine))
    assert len(expected) == len({ts // MINUTE for ts, _ in hour})
    assert content(seen.bar for seen in read(pocket, worker.finals_topic, len(expected))) == expected
    worker.stop()


def side_outputs_name_the_source(worker: Worker, late_at: str, rejected_at: list[str]) -> None:
    """Their topic, partition and offset, key and value are those of the source."""
    (late,) = read(worker.bootstrap, worker.late_topic, 1)
    assert (late.key, late.headers["reason"]) == (late_at.encode(), b"late")
    rejected = read(worker.bootstrap, worker.rejected_topic, 2)
    assert sorted((seen.key, seen.headers.get("source_key"), seen.headers["reason"], seen.value) for seen in rejected) == [
        (rejected_at[0].encode(), b"odd", b"missing", b'{"ts":1,"bid":2}'),
        (rejected_at[1].encode(), b"k", b"empty", None),
    ]
    for seen in (late, *rejected):
        assert "barwheel-source" not in seen.headers
        assert seen.headers["repartitioned"].startswith(b"%b-ticks-repartition|" % worker.changelog_topic[:-18].encode())
    worker.wait(lambda: len((worker.get("/api/v1/rejected") or {"records": []})["records"]) == 2, "the page has them")
    rows = (worker.get("/api/v1/rejected") or {})["records"]
    assert {f"{row['topic']}|{row['partition']}|{row['offset']}" for row in rows} == set(rejected_at)


def it_says_how_far_it_is(worker: Worker, topics: dict[str, int], copied: int) -> None:
    """In /readyz, the API, the metrics, `app topics` and `app doctor`."""
    shown = (worker.get("/readyz") or {})["repartition"]
    assert shown == {"state": "running", "partitions": sum(topics.values()), "lag": 0}
    sources = (worker.get("/api/v1/status") or {})["repartition"]["sources"]
    assert {(one["topic"], one["partition"]) for one in sources} == {
        (t, n) for t, count in topics.items() for n in range(count)
    }
    assert sum(one["next_offset"] for one in sources) == copied
    metrics = worker.text("/metrics")
    assert (
        sum(float(line.split()[-1]) for line in metrics.splitlines() if line.startswith("barwheel_repartitioned_ticks_total{"))
        == copied
    )
    found = json.loads(worker.run("topics", "--check", "--json").stdout)["topics"]
    assert topics == {name: found[name]["partitions"] for name in topics}
    doctor = json.loads(worker.run("doctor", "--json").stdout)["findings"]
    assert not [item for item in doctor if item["level"] == "wrong"]


def test_a_killed_worker_has_copied_each_record_once(pocket: str, pocket_worker: NewWorker) -> None:
    worker = pocket_worker(repartition="on", topic_partitions="3", grace="30m")
    start, sent = now_ms() - 60 * MINUTE, 0
    create_topic(pocket, worker.ticks_topic, 4)
    worker.spawn()
    for _ in range(2):
        for number in range(4):
            ticks = [(SYMBOLS[n % 7], start + n, "1.5") for n in range(500 * number, 500 * number + 500)]
            produce(pocket, worker.ticks_topic, [Tick(ts, price, f"X|{symbol}") for symbol, ts, price in ticks], number)
        sent += 2_000
        copied = f"{worker.settings['topics_prefix']}{worker.settings['app_id']}-ticks-repartition"
        read(pocket, copied, sent - 1_500)  # it is at work
        if sent == 2_000:
            worker.kill()
            worker.spawn()
    worker.wait_read(sent)
    verdict = Verdict()
    check_copies(worker.ticks_topic, read(pocket, worker.ticks_topic), read(pocket, copied), 3, verdict)
    assert verdict.violations == []
    assert worker.total()["read"] == sent
    worker.wait(worker.ready, "it is ready")
    assert worker.run("flush", "--yes").returncode == 0  # into the copies: no source is that of a symbol
    assert {seen.bar.symbol for seen in read(pocket, worker.finals_topic, len(SYMBOLS))} == set(SYMBOLS)
    worker.stop()


def test_a_symbol_in_an_avro_value_is_found_by_the_schema_that_the_record_names(pocket: str, pocket_worker: NewWorker) -> None:
    ticks = AvroTicks({"code": "string", **TICK})
    with running() as server:
        worker = pocket_worker(
            repartition="on",
            topic_partitions="2",
            ticks_format="avro",
            ticks_fields="ts=ts,bid=bid,symbol=code,broker='X'",
            ticks_key="",
            schema_registry_url=server.url,
            idle_close="off",
        ).start()
        known = replace(ticks, number=server.registry.register("any", {"schema": ticks.text, "schemaType": "AVRO"}))
        start = now_ms() // MINUTE * MINUTE - 10 * MINUTE
        moves = [(symbol, start + minute * MINUTE, Decimal(minute + 1)) for minute in (0, 1, 3) for symbol in SYMBOLS]
        values = [known.framed(ts=ts, bid=bid, code=symbol) for symbol, ts, bid in moves]
        unknown = replace(ticks, number=99).framed(ts=start, bid=Decimal(1), code="EURUSD")
        produce(pocket, worker.ticks_topic, [Tick(value=value) for value in [*values, unknown]])
        worker.wait_read(len(values) + 1)
        bars = [seen.bar for seen in read(pocket, worker.finals_topic, 2 * len(SYMBOLS))]
        assert sorted((bar.symbol, bar.bucket_start, bar.ticks) for bar in bars) == sorted(
            (symbol, start + minute * MINUTE, 1) for symbol in SYMBOLS for minute in (0, 1)
        )
        (rejected,) = read(pocket, worker.rejected_topic, 1)
        assert (rejected.key, rejected.value) == (f"{worker.ticks_topic}|0|{len(values)}".encode(), unknown)
        assert (rejected.headers["reason"], rejected.headers["detail"]) == (
            b"schema",
            b"schema 99: Schema Registry does not know it",
        )
        worker.stop()


def end_of(worker: Worker) -> int:
    """The exit code of a worker that ends by itself."""
    process, worker.process = worker.process, None
    assert process is not None
    return process.wait(60)


def test_a_source_that_was_created_again_is_not_read_as_if_nothing_had_happened(pocket: str, pocket_worker: NewWorker) -> None:
    worker = pocket_worker(repartition="on", topic_partitions="1", idle_close="off", grace="0s")
    now = now_ms() // MINUTE * MINUTE - 10 * MINUTE
    worker.start()
    produce(pocket, worker.ticks_topic, [Tick(now), Tick(now + 1)])
    worker.wait_checkpointed(2)
    worker.stop()
    delete_topic(pocket, worker.ticks_topic)
    create_topic(pocket, worker.ticks_topic, 1)
    produce(pocket, worker.ticks_topic, [Tick(now + 2), Tick(now + 3), Tick(now + 5 * MINUTE), Tick(now + 7 * MINUTE)])
    findings = json.loads(worker.run("doctor", "--json").stdout)["findings"]
    (said,) = [item["text"] for item in findings if item["level"] == "wrong"]
    assert f"{worker.ticks_topic}[0] was created again" in said
    worker.spawn()
    assert end_of(worker) == STATE_ERROR
    last = worker.log().strip().splitlines()[-1]
    assert f"{worker.ticks_topic}[0] was created again" in last
    assert "set on_gap=continue to go on from offset 0" in last

    worker.settings["on_gap"] = "continue"
    worker.start()
    bars = [seen.bar for seen in read(pocket, worker.finals_topic, 2)]
    assert [(bar.bucket_start, bar.ticks, bool(bar.partial)) for bar in bars] == [
        (now, 4, True),
        (now + 5 * MINUTE, 1, True),
    ]
    worker.stop()
    delete_topic(pocket, f"{worker.settings['topics_prefix']}{worker.settings['app_id']}-repartition-positions")
    worker.spawn()
    assert end_of(worker) == STATE_ERROR
    assert "holds no positions, though" in worker.log().strip().splitlines()[-1]
