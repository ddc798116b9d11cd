"""`app inspect` on a topic of a broker, as people and as programs read it."""

from __future__ import annotations

import asyncio
import json

from aiokafka import AIOKafkaProducer

from tests.integration.conftest import NewWorker
from tests.support.ticks import create_topic

T0 = 1_399_248_000_000
SYMBOLS = ("AAPL", "X[/red]")


async def _send(bootstrap: str, topic: str) -> None:
    async with AIOKafkaProducer(bootstrap_servers=bootstrap) as producer:
        for n in range(40):
            symbol, ts = SYMBOLS[n % 2], T0 + n * 1_000
            value = json.dumps({"time": ts, "trade": {"price": 1.5 + n}, "code": symbol})
            await producer.send(topic, value.encode(), key=symbol.encode(), timestamp_ms=ts + 80)


def test_a_foreign_topic_is_described_with_settings_that_fit(new_worker: NewWorker) -> None:
    worker = new_worker()
    topic = f"{worker.ticks_topic}-foreign"
    create_topic(worker.bootstrap, topic, 2, message_timestamp_type="CreateTime")
    asyncio.run(_send(worker.bootstrap, topic))
    shown = worker.run("inspect", topic)
    assert shown.returncode == 1, "the broker has no name yet"
    assert f"{topic}: 2 partitions, 40 records, CreateTime; 40 were read" in shown.stdout
    assert "'X[/red]'" in shown.stdout or "'AAPL'" in shown.stdout
    assert "BARWHEEL_TICKS_FIELDS=\"ts=time,last=trade.price,broker='XXXX'\"" in shown.stdout.splitlines()
    found = json.loads(worker.run("inspect", topic, "--json").stdout)
    assert (found["records"], found["formats"], found["parts"]["symbol"]) == (40, {"JSON": 40}, "code")
    assert found["partitioner"] == "murmur2, Kafka's default"
    absent = worker.run("inspect", "nowhere")
    assert (absent.returncode, "there is no topic nowhere on" in absent.stderr) == (2, True)
    assert "Traceback" not in absent.stderr
