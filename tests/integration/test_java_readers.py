"""Programs of the Java world read the bars: Kafka's console consumer, and Kafka Connect with the files of examples/connect."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import skip_without_kafka
from tests.integration.conftest import NewWorker
from tests.support.kafka_connect import (
    DEADLINE,
    Connect,
    connect_unavailable,
    console_consumer,
    jdbc_sink,
    jdbc_sink_unavailable,
)
from tests.support.postgres import Postgres, postgres_unavailable
from tests.support.ticks import Tick, produce, read
from tests.support.waiting import until_sync
from tests.support.worker import ROOT

T0 = 1_399_248_000_000
NO_LOCAL_TIME = 1_394_332_200_000  # 2014-03-09T02:30Z: New York's clocks skip this hour of that day
BARS = 3
TIMES = ("bucket_start", "bucket_end", "first_ts", "last_ts", "closed_at", "watermark")
EXAMPLES = ROOT / "examples/connect"


@pytest.mark.kafka
def test_the_console_consumer_and_kafka_connect_read_each_bar_once(pocket_worker: NewWorker, tmp_path: Path) -> None:
    skip_without_kafka(connect_unavailable())
    worker = pocket_worker(topic_partitions="1", idle_close="off").start()
    ticks = [Tick(T0 + minute * 60_000 + 6_000, bid=f"1.3869000000000000{minute}") for minute in range(BARS + 1)]
    produce(worker.bootstrap, worker.ticks_topic, ticks)
    published = [(seen.value or b"").decode() for seen in read(worker.bootstrap, worker.finals_topic, BARS)]
    assert console_consumer(worker.bootstrap, worker.finals_topic, BARS) == published
    written = tmp_path / "bars.txt"
    with Connect(worker.bootstrap, tmp_path) as connect:
        connect.add("bars-to-a-file", {**example("file-json"), "topics": worker.finals_topic, "file": str(written)})

        def enough() -> bool:
            connect.check("bars-to-a-file")
            return written.exists() and len(written.read_text().splitlines()) >= BARS

        until_sync(enough, deadline=DEADLINE, what="Kafka Connect has written the bars")
    assert written.read_text().splitlines() == published
    worker.stop()


@pytest.mark.kafka
def test_kafka_connect_keeps_one_exact_row_of_each_bar_in_postgresql(
    pocket_worker: NewWorker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if reason := postgres_unavailable():
        pytest.skip(reason)
    skip_without_kafka(jdbc_sink_unavailable())
    monkeypatch.setenv("TZ", "America/New_York")  # times must not depend on where Connect runs
    worker = pocket_worker(topic_partitions="1", idle_close="off").start()
    bids = ["1.386900000000000001", "1386900", "1.3869000000", "1"]
    more = ["", ', "qty": 3', ', "qty": 0.123456789012345678', ""]
    ticks = [Tick(NO_LOCAL_TIME + n * 60_000 + 6_789, bid=bids[n], more=more[n]) for n in range(BARS + 1)]
    produce(worker.bootstrap, worker.ticks_topic, ticks)
    published = [digits(seen.value or b"") for seen in read(worker.bootstrap, worker.finals_topic, BARS)]
    ours = {"topics": worker.finals_topic, "connection.password": "unused"}
    with Postgres(tmp_path) as postgres, Connect(worker.bootstrap, tmp_path, jdbc_sink()) as connect:
        postgres.query((EXAMPLES / "jdbc-debezium-postgresql.sql").read_text())

        def deliver(name: str) -> None:
            """Read all bars from the beginning, as a connector that is new does, and wait until they are written."""
            connect.add(name, {**example("jdbc-debezium-postgresql"), **ours, "connection.url": postgres.url})

            def all_written() -> bool:
                connect.check(name)
                return postgres.query("SELECT count(*) FROM bar_1m WHERE ticks > 0") == [(str(BARS),)]

            until_sync(all_written, deadline=DEADLINE, every=0.2, what=f"{name} has written the bars")
            rows = postgres.query("SELECT row_to_json(bar_1m) FROM bar_1m ORDER BY bucket_start")
            assert [in_ms(digits(text)) for (text,) in rows] == published

        deliver("bars-to-postgresql")
        postgres.query("UPDATE bar_1m SET close = 0, ticks = 0")
        deliver("bars-to-postgresql-again")
    worker.stop()


def example(name: str) -> dict[str, str]:
    """The settings of an example's connector."""
    config: dict[str, str] = json.loads((EXAMPLES / f"{name}.json").read_text())["config"]
    return config


def digits(text: bytes | str) -> dict[str, Any]:
    """A bar with its prices as they are written; `partial` may be absent."""
    bar: dict[str, Any] = json.loads(text, parse_float=str)
    return {"partial": None, **bar}


def in_ms(row: dict[str, Any]) -> dict[str, Any]:
    """The same row with its times as epoch ms. They are written in UTC."""
    return row | {name: round(datetime.fromisoformat(row[name] + "+00:00").timestamp() * 1000) for name in TIMES}
