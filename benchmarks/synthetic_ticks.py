"""The synthetic market that all subjects read: from a seed, one topic per number of symbols."""

from __future__ import annotations

import logging
import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import for_code

SEED = 20140505
PARTITIONS = 4
BROKERS = ("alpha", "beta")
START_MS = 1_399_248_000_000
WINDOW_MS, GRACE_MS = 60_000, 5_000
LATE_MS = 90_000  # how much earlier a late tick is
JITTER_MS = 400  # how far ticks of different symbols are out of order; much less than the grace
BATCH_BYTES = 64 * 1024
# Ticks of a symbol in a minute, by the number of symbols.
TICKS_A_BAR = {1_000: 200.0, 100_000: 2.4}


Produced = tuple[int, bytes, bytes]  # partition, key and value


@dataclass
class Market:
    """The topic that was written, and the windows that its ticks open."""

    topic: str
    symbols: int
    ticks: int
    late_every: int = 0  # one in so many ticks is late; 0: none is
    partitions: int = PARTITIONS
    windows: set[tuple[int, int]] = field(default_factory=set)  # (symbol, window end)
    stream_time: dict[tuple[int, int], int] = field(default_factory=dict)  # by (partition, broker)

    @property
    def most_bars(self) -> int:
        """All windows, including those that only idle close can close."""
        return len(self.windows)

    @property
    def fewest_bars(self) -> int:
        """The windows that the ticks themselves close under scope `broker`."""
        watermark = {scope: ts - GRACE_MS for scope, ts in self.stream_time.items()}
        return sum(end <= watermark[self.scope(symbol)] for symbol, end in self.windows)

    def scope(self, symbol: int) -> tuple[int, int]:
        """The partition of a symbol, and the number of its broker."""
        return symbol % self.partitions, symbol // self.partitions % len(BROKERS)


def ticks_a_bar(symbols: int) -> float:
    """Ticks of a symbol in a minute, for the nearest known number of symbols."""
    return TICKS_A_BAR[min(TICKS_A_BAR, key=lambda known: abs(known - symbols))]


def generate(market: Market) -> Iterator[Produced]:
    """Yield the ticks in the order of production, and note the windows."""
    rng = random.Random(SEED)  # the same market in every run
    keys = [f"{BROKERS[market.scope(i)[1]]}|SYM{i:06d}".encode() for i in range(market.symbols)]
    prices = [rng.randrange(50_000, 500_000) for _ in range(market.symbols)]
    step = WINDOW_MS / (market.symbols * ticks_a_bar(market.symbols))
    turn = list(range(market.symbols))
    windows, stream_time = market.windows, market.stream_time
    draw = rng.random
    done = 0
    while done < market.ticks:
        rng.shuffle(turn)  # each symbol once a round, in random order
        for symbol in turn[: market.ticks - done]:
            ts = START_MS + int(done * step + draw() * JITTER_MS)
            late = market.late_every and done % market.late_every == 0 and ts >= START_MS + 2 * LATE_MS
            bid = prices[symbol] = max(1_000, prices[symbol] + int(draw() * 21) - 10)
            ask = bid + 6
            value = b'{"ts":%d,"bid":%d.%05d,"ask":%d.%05d,"seq":%d}' % (
                ts - LATE_MS if late else ts,
                *divmod(bid, 100_000),
                *divmod(ask, 100_000),
                done,
            )
            scope = market.scope(symbol)
            if not late:
                windows.add((symbol, ts - ts % WINDOW_MS + WINDOW_MS))
                if ts > stream_time.get(scope, 0):
                    stream_time[scope] = ts
            yield scope[0], keys[symbol], value
            done += 1


async def write(bootstrap: str, topic: str, symbols: int, ticks: int, late_every: int = 0) -> Market:
    """Create the topic and write the market into it."""
    market = Market(topic, symbols, ticks, late_every)
    await publish(bootstrap, topic, generate(market))
    return market


async def publish(bootstrap: str, topic: str, records: Iterable[Produced]) -> None:
    """Create the topic and write records into it."""
    await create(bootstrap, topic)
    producer = market_producer(bootstrap)
    await producer.start()
    try:
        await send(producer, topic, records)
    finally:
        await producer.stop()


def market_producer(bootstrap: str, **options: Any) -> AIOKafkaProducer:
    """A producer for `send`."""
    return AIOKafkaProducer(
        bootstrap_servers=bootstrap,
        enable_idempotence=True,
        max_batch_size=BATCH_BYTES,
        max_request_size=4 * BATCH_BYTES,
        **options,
    )


async def send(producer: AIOKafkaProducer, topic: str, records: Iterable[Produced]) -> None:
    """Send records, and wait until all of them are acknowledged."""
    batches: dict[int, Any] = {}
    sent = []
    for partition, key, value in records:
        if partition not in batches:
            batches[partition] = producer.create_batch()
        if batches[partition].append(key=key, value=value, timestamp=None) is None:
            sent.append(await producer.send_batch(batches[partition], topic, partition=partition))
            batches[partition] = producer.create_batch()
            batches[partition].append(key=key, value=value, timestamp=None)
    sent += [await producer.send_batch(batch, topic, partition=partition) for partition, batch in batches.items()]
    for acknowledged in sent:
        await acknowledged


async def create(bootstrap: str, topic: str, partitions: int = PARTITIONS) -> None:
    """Create a topic of ticks."""
    # partitions of a new topic may have no leader yet; the client logs that and retries
    logging.getLogger("aiokafka").setLevel(logging.ERROR)
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        # arrival is the broker's time: with the producer's time, retention would delete ticks of 2014
        configs = {"message.timestamp.type": "LogAppendTime"}
        answer = await admin.create_topics([NewTopic(topic, partitions, 1, topic_configs=configs)])
        for _, code, *message in answer.topic_errors:
            if code:
                raise for_code(code)(*message)
    finally:
        await admin.close()
