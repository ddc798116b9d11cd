"""`app reconcile`: each kind of difference between the bars is found and explained."""

from __future__ import annotations

import asyncio
import json

from aiokafka import AIOKafkaProducer

from tests.integration.conftest import NewWorker
from tests.support.ticks import Tick, create_topic, heartbeat, produce
from tests.support.worker import Worker

T0 = 1_399_248_000_000
MINUTE = 60_000
Row = tuple[int, list[str], int]  # minute; open, high, low, close; ticks


def as_ksqldb(worker: Worker, rows: list[Row]) -> None:
    """Write bars as ksqlDB does, with a delimited key and upper-case names."""
    topic = f"{worker.settings['topics_prefix']}ksql_bar_1m_final"

    async def send() -> None:
        async with AIOKafkaProducer(bootstrap_servers=worker.bootstrap) as producer:
            for minute, prices, count in rows:
                o, h, low, c = prices
                value = f'{{"BUCKET_END":1,"O":{o},"H":{h},"L":{low},"C":{c},"VOLUME":null,"VWAP":null,"N":{count}}}'.encode()
                key = f"A|x|{T0 + minute * MINUTE}".encode()
                await producer.send_and_wait(topic, value, key)

    create_topic(worker.bootstrap, topic, 1)
    asyncio.run(send())


def test_differences_between_the_bars_are_found_and_explained(new_worker: NewWorker) -> None:
    worker = new_worker(topic_partitions="1").start()
    ticks = [
        *(Tick(T0 + 1_000, "1.1"), Tick(T0 + 2_000, "1.2")),
        *(Tick(T0 + MINUTE + 2_000, "1.4"), Tick(T0 + MINUTE + 1_000, "1.3"), Tick(T0 + MINUTE + 3_000, "1.35")),
        Tick(T0 + 2 * MINUTE, "1.5"),
        Tick(T0 + 30_000, "9.9"),  # late
        Tick(T0 + 3 * MINUTE, "1.6"),
        Tick(T0 + 4 * MINUTE, "1.123456789"),
        *(Tick(T0 + 5 * MINUTE, "1.7"), heartbeat(T0 + 6 * MINUTE + 4_000)),
        Tick(T0 + 6 * MINUTE + 4_500, "1.8"),
        Tick(key=b"A|x", value=b'{"ts": "2014-05-05T00:07:10Z", "bid": 1.9}'),
        Tick(T0 + 9 * MINUTE + 10_000, "2.0", name="B|x"),  # advances the stream time of the partition, and not of A
        *(Tick(T0 + 8 * MINUTE, "2.1"), heartbeat(T0 + 9 * MINUTE + 5_000)),
    ]
    produce(worker.bootstrap, worker.ticks_topic, ticks)
    worker.wait_closed(len(ticks))
    worker.stop()
    rows: list[Row] = [
        (0, ["1.1", "9.9", "1.1", "9.9"], 3),
        (1, ["1.4", "1.4", "1.3", "1.35"], 3),
        (2, ["1.5", "1.5", "1.5", "1.5"], 1),
        (4, ["1.12345678", "1.12345678", "1.12345678", "1.12345678"], 1),
    ]
    missing = worker.run("reconcile")
    assert (missing.returncode, "has the plan bar1m been applied?" in missing.stderr) == (2, True)
    as_ksqldb(worker, rows)
    found = worker.run("reconcile", "--json")
    assert found.returncode == 1, found.stderr
    data = json.loads(found.stdout)
    causes = {(row["bucket_start"] - T0) // MINUTE: row["cause"] for row in data["differences"] if row["broker"] == "A"}
    assert causes == {
        0: "late ticks",
        1: "order",
        3: "lost",
        4: "digits",
        5: "lost",
        6: "lost",
        7: "unfit there",
        8: "late there",
    }
    assert data["windows_of_both"] == 4
    shown = worker.run("reconcile").stdout
    assert "3 lost: ksqlDB kept ticks of it and has emitted no bar" in shown
    assert "1 late there: ticks are late by the stream time of their partition" in shown


def test_bars_of_another_price_are_not_compared(new_worker: NewWorker) -> None:
    worker = new_worker(price="ask")
    refused = worker.run("reconcile")
    assert (refused.returncode, "makes its bars with price=bid" in refused.stderr) == (2, True)


def test_equal_bars_do_not_differ_and_what_is_not_compared_is_told(new_worker: NewWorker) -> None:
    worker = new_worker(topic_partitions="1", late_policy="correct", frames="1h").start()
    produce(worker.bootstrap, worker.ticks_topic, [Tick(T0, "1.10"), heartbeat(T0 + 66_000)])
    worker.wait_closed(2)
    worker.stop()
    as_ksqldb(worker, [(0, ["1.1", "1.1", "1.1", "1.1"], 1)])
    found = worker.run("reconcile")
    assert (found.returncode, found.stdout.strip()) == (0, "1 windows, all equal")
    assert "compared: the bars of 1m as they were first published, and not their revisions and 1h" in found.stderr
    told = worker.run("reconcile", "--json")
    assert (told.returncode, json.loads(told.stdout)) == (0, {"windows_of_both": 1, "differences": []})
