"""Notes when each bar of a finals topic is received. A process of its own.

It prints `READY` when it reads. A number on its standard input says how many bars there are; when it has them, it prints
JSON: a list of [end of the window in epoch ms, {receipt in ms after the end: bars}]. Records are decoded only then.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections import Counter
from typing import Any

import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition

from app.kafka.fetcher import RawTopics
from app.kafka.records import Skipped
from benchmarks.synthetic_ticks import PARTITIONS

POLL_MS = 200
PATIENCE_SECONDS = 20.0  # for the last bars


class BarTimes(msgspec.Struct):
    """What counts of a bar."""

    bucket_end: int


async def run(bootstrap: str, topic: str) -> None:
    """Read the topic until it has as many bars as standard input says."""
    received: list[tuple[int, Any]] = []
    count, expected, deadline = 0, None, 0.0
    wanted = asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
    async with AIOKafkaConsumer(
        bootstrap_servers=bootstrap,
        isolation_level="read_committed",
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        max_partition_fetch_bytes=4 << 20,
        key_deserializer=RawTopics(frozenset({topic})),
    ) as consumer:
        consumer.assign([TopicPartition(topic, number) for number in range(PARTITIONS)])
        print("READY", flush=True)
        while expected is None or (count < expected and time.monotonic() < deadline):
            found = await consumer.getmany(timeout_ms=POLL_MS)
            now = int(time.time() * 1_000)
            for batches in found.values():
                received += [(now, batch) for batch in batches if not isinstance(batch, Skipped)]
                count += sum(batch.next_offset - batch.base_offset for batch in batches if not isinstance(batch, Skipped))
            if expected is None and wanted.done():
                expected, deadline = int(wanted.result() or 0), time.monotonic() + PATIENCE_SECONDS
    times: dict[int, Counter[int]] = {}
    decode = msgspec.json.Decoder(BarTimes).decode
    for now, batch in received:
        for record in batch:
            bar = decode(record.value)
            times.setdefault(bar.bucket_end, Counter())[now - bar.bucket_end] += 1
    print(json.dumps(list(times.items())), flush=True)


if __name__ == "__main__":
    asyncio.run(run(sys.argv[1], sys.argv[2]))
