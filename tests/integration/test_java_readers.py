"""Programs of the Java world read the bars: Kafka's console consumer, and Kafka Connect with an example's configuration."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.conftest import skip_without_kafka
from tests.integration.conftest import NewWorker
from tests.support.kafka_connect import Connect, connect_unavailable, console_consumer
from tests.support.ticks import Tick, produce, read
from tests.support.waiting import until_sync
from tests.support.worker import ROOT

T0 = 1_399_248_000_000
BARS = 3


@pytest.mark.kafka
def test_the_console_consumer_and_kafka_connect_read_each_bar_once(pocket_worker: NewWorker, tmp_path: Path) -> None:
    skip_without_kafka(connect_unavailable())
    worker = pocket_worker(topic_partitions="1", idle_close="off").start()
    ticks = [Tick(T0 + minute * 60_000 + 6_000, bid=f"1.3869000000000000{minute}") for minute in range(BARS + 1)]
    produce(worker.bootstrap, worker.ticks_topic, ticks)
    published = [(seen.value or b"").decode() for seen in read(worker.bootstrap, worker.finals_topic, BARS)]
    assert console_consumer(worker.bootstrap, worker.finals_topic, BARS) == published
    written = tmp_path / "bars.txt"
    example = json.loads((ROOT / "examples/connect/file-json.json").read_text())
    connector = {"name": example["name"], **example["config"], "topics": worker.finals_topic, "file": str(written)}
    with Connect(worker.bootstrap, tmp_path, connector) as connect:
        until_sync(
            lambda: not connect.alive or (written.exists() and len(written.read_text().splitlines()) >= BARS),
            deadline=60,
            what="Kafka Connect has written the bars",
        )
    assert written.read_text().splitlines() == published
    worker.stop()
