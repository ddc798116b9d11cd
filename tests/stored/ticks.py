"""A small seeded market for the stored directories. It imports nothing of the application, so that any version can run it."""

from __future__ import annotations

import random
from collections.abc import Iterator

START_MS = 1_399_248_000_000  # event time of the first tick, epoch ms
MINUTE_MS = 60_000
BROKERS, SYMBOLS, PARTITIONS = ("fxcm", "oanda"), ("AUDUSD", "EURUSD", "USDJPY"), 2
TICKS_A_MINUTE = 4  # of each symbol
DISORDER_MS = 3_000  # below the grace of 5 s
LATE_MS = 30 * MINUTE_MS

Message = tuple[int, bytes, bytes]  # partition, key, value


def names(partition: int) -> list[str]:
    """The keys `broker|symbol` of a partition."""
    everything = [f"{broker}|{symbol}" for broker in BROKERS for symbol in SYMBOLS]
    return everything[partition::PARTITIONS]


def market(begin: float, end: float, *, seed: int) -> list[Message]:
    """All messages of the minutes `begin` to `end`, counted from `START_MS`, partition by partition.

    Ticks come a little out of order. Each partition also gets one late tick and one message that is not JSON.
    """
    return [message for partition in range(PARTITIONS) for message in _partition(partition, begin, end, seed)]


def closing(minute: float) -> list[Message]:
    """A heartbeat for every symbol, which closes all windows up to a minute."""
    value = b'{"ts": %d, "heartbeat": true}' % (START_MS + minute * MINUTE_MS)
    return [(partition, name.encode(), value) for partition in range(PARTITIONS) for name in names(partition)]


def _partition(partition: int, begin: float, end: float, seed: int) -> Iterator[Message]:
    rng = random.Random(f"{seed}/{partition}")
    count = round((end - begin) * TICKS_A_MINUTE)
    moments = [
        (START_MS + int((begin + (end - begin) * (step + rng.random()) / count) * MINUTE_MS), name)
        for step in range(count)
        for name in names(partition)
    ]
    moments.sort(key=lambda moment: moment[0] + rng.randrange(DISORDER_MS))
    for number, (ts, name) in enumerate(moments):
        yield partition, name.encode(), _tick(rng, ts)
        if number == len(moments) // 2:
            yield partition, name.encode(), _tick(rng, ts - LATE_MS)
            yield partition, name.encode(), b'{"ts": %d, "bid": ' % ts


def _tick(rng: random.Random, ts: int) -> bytes:
    bid = f"1.{rng.randrange(100_000):05}"
    qty = f', "qty": {rng.randrange(1, 50)}.{rng.randrange(10)}' if rng.random() < 0.5 else ""
    seq = f', "seq": {rng.randrange(3)}' if rng.random() < 0.3 else ""
    return f'{{"ts": {ts}, "bid": {bid}{qty}{seq}}}'.encode()
