"""Sends ticks at a steady pace, with silences at the end. A process of its own, so that its CPU time is not the worker's.

It prints a line of JSON when the steady part begins, one when it ends, and one at the end of all.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from typing import Any, NamedTuple

from aiokafka import AIOKafkaProducer

from benchmarks.synthetic_ticks import BROKERS, PARTITIONS, SEED

STEP_SECONDS = 0.010  # between two requests
JITTER_MS = 100  # how far ticks are out of order; less than the grace
BURST_SECONDS = (1.0, 3.0)  # ticks before each silence: its length is random, as the phase of the worker's timer is
MOST_BEHIND_MS = 500  # further behind, the pace was not kept
BATCH_BYTES = 512 * 1024


class Plan(NamedTuple):
    """What to send. Times are seconds."""

    symbols: int
    rate: int  # ticks/s
    warm_up: float
    steady: float
    silences: int
    silence: float
    window: float


class Generator:
    """Sends ticks of now, as many as are due."""

    def __init__(self, producer: AIOKafkaProducer, topic: str, plan: Plan) -> None:
        self.sent = 0
        self.behind_ms = 0.0  # the furthest
        self.windows: set[tuple[int, int]] = set()  # (symbol, number of the window)
        self._producer = producer
        self._topic = topic
        self._plan = plan
        self._draw = random.Random(SEED)
        self._turn = list(range(plan.symbols))
        self._draw.shuffle(self._turn)  # every symbol once a round: 10,000 symbols at 20,000 ticks/s tick twice a second
        self._keys = [f"{BROKERS[i // PARTITIONS % len(BROKERS)]}|SYM{i:06d}".encode() for i in range(plan.symbols)]
        self._prices = [self._draw.randrange(50_000, 500_000) for _ in range(plan.symbols)]

    async def run(self, seconds: float) -> None:
        """Keep the pace for so many seconds."""
        rate, done, began = self._plan.rate, 0, time.perf_counter()
        total = int(seconds * rate)
        while done < total:
            elapsed = time.perf_counter() - began
            due = min(total, int(elapsed * rate) + 1)
            self.behind_ms = max(self.behind_ms, 1_000 * (elapsed - done / rate - STEP_SECONDS))
            await self._send(due - done)
            done = due
            passed = time.perf_counter() - began
            await asyncio.sleep(max(0.0, STEP_SECONDS - passed % STEP_SECONDS))

    async def _send(self, count: int) -> None:
        batches = [self._producer.create_batch() for _ in range(PARTITIONS)]
        now, draw, symbols = int(time.time() * 1_000), self._draw.random, self._plan.symbols
        size = int(self._plan.window * 1_000)
        for number in range(self.sent, self.sent + count):
            symbol = self._turn[number % symbols]
            ts = now - int(draw() * JITTER_MS)
            bid = self._prices[symbol] = max(1_000, self._prices[symbol] + int(draw() * 21) - 10)
            value = b'{"ts":%d,"bid":%d.%05d,"ask":%d.%05d,"seq":%d}' % (
                ts,
                *divmod(bid, 100_000),
                *divmod(bid + 6, 100_000),
                number,
            )
            self.windows.add((symbol, ts // size))
            batch = batches[symbol % PARTITIONS]
            if batch.append(key=self._keys[symbol], value=value, timestamp=None) is None:
                await self._producer.send_batch(batch, self._topic, partition=symbol % PARTITIONS)
                batch = batches[symbol % PARTITIONS] = self._producer.create_batch()
                batch.append(key=self._keys[symbol], value=value, timestamp=None)
        self.sent += count
        for partition, batch in enumerate(batches):
            if batch.record_count():
                await self._producer.send_batch(batch, self._topic, partition=partition)

    def say(self, **more: Any) -> None:
        """Print how far it is."""
        behind = round(self.behind_ms)
        print(json.dumps({"sent": self.sent, "at_ms": int(time.time() * 1_000), "behind_ms": behind, **more}), flush=True)


async def run(bootstrap: str, topic: str, plan: Plan) -> None:
    """Warm up, keep the pace, then fall silent several times."""
    producer = AIOKafkaProducer(
        bootstrap_servers=bootstrap, enable_idempotence=True, max_batch_size=BATCH_BYTES, max_request_size=4 * BATCH_BYTES
    )
    await producer.start()
    try:
        generator = Generator(producer, topic, plan)
        await generator.run(plan.warm_up)
        generator.behind_ms = 0.0
        generator.say()
        await generator.run(plan.steady)
        generator.say()
        kept = generator.behind_ms <= MOST_BEHIND_MS
        lengths = random.Random(SEED)
        silences = []
        for _ in range(plan.silences):
            await generator.run(lengths.uniform(*BURST_SECONDS))
            began = int(time.time() * 1_000)
            await asyncio.sleep(plan.silence)
            silences.append((began, int(time.time() * 1_000)))
        generator.say(windows=len(generator.windows), kept_pace=kept, silences=silences)
    finally:
        await producer.stop()


if __name__ == "__main__":
    asyncio.run(run(sys.argv[1], sys.argv[2], Plan(**json.loads(sys.argv[3]))))
