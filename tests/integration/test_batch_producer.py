"""A producer that is stopped: its sends must have ended before the log is read."""

from __future__ import annotations

import asyncio
import signal

from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from app.kafka.cluster import Cluster
from app.kafka.producers import BatchProducer
from tests.conformance.pocket_process import PocketProcess


async def _create(bootstrap: str) -> None:
    client = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await client.start()
    try:
        await client.create_topics([NewTopic("t", 1, 1)])
    finally:
        await client.close()


async def test_a_stop_that_was_cancelled_continues_and_the_next_one_waits_for_its_end(own_pocket: PocketProcess) -> None:
    await _create(own_pocket.bootstrap)
    producer = BatchProducer(Cluster(own_pocket.bootstrap), max_request=1 << 20)
    await producer.start()
    (first,) = await producer.send("t", 0, [(b"k", b"1", None, [])])
    await first.acknowledged  # connected, and the topic is known
    own_pocket.send_signal(signal.SIGSTOP)
    try:
        (sent,) = await producer.send("t", 0, [(b"k", b"2", None, [])])
        cancelled = asyncio.ensure_future(producer.stop())
        await asyncio.sleep(0)
        cancelled.cancel()
        await asyncio.gather(cancelled, return_exceptions=True)
        again = asyncio.ensure_future(producer.stop())
        await asyncio.wait([again], timeout=0.2)  # a stop that does not wait is done by then
        assert sent.acknowledged.done() or not again.done()
    finally:
        own_pocket.send_signal(signal.SIGCONT)
    await again
    assert sent.acknowledged.result().offset == 1
