"""A synthetic market: the same seed and start give the same records.

It has the faults of real feeds: jitter, ticks out of order, late ticks, crossed quotes, malformed records, one broker
whose clock is ahead, and one broker whose only symbol falls silent. Pure: no clock, no I/O.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from enum import StrEnum
from typing import NamedTuple
from zlib import crc32

NORTH, SOUTH, ISLE = "north", "south", "isle"  # invented names
SKEW_MS = 20_000  # SOUTH's clock is this far ahead: less than max_future, far more than the grace
SILENT = (ISLE, "SILENT")
PACE = {NORTH: 2.0, SOUTH: 2.0, ISLE: 4.0}  # ticks per second and symbol
JITTER_MS = 120
DISORDER_MS = 400  # an out-of-order tick is at most this old, which is within the demo's grace
LATE_MS = 60_000  # a late tick is at least this old, older than every open window
HEARTBEAT_MS = 5_000
_DECIMALS = 5


class Kind(StrEnum):
    """The kinds of record."""

    tick = "tick"
    disorder = "out of order"
    crossed = "crossed"
    late = "late"
    broken = "broken"
    heartbeat = "heartbeat"


class Record(NamedTuple):
    """One record, to be sent at `at_ms` (epoch ms)."""

    at_ms: int
    broker: str
    symbol: str
    key: bytes
    value: bytes
    kind: Kind


Breaker = Callable[[int, str], bytes]  # from event time (epoch ms) and a valid price to a value that must be rejected
BREAKERS: dict[str, Breaker] = {
    "not JSON": lambda ts, price: b'{"ts":%d,"bid":%s' % (ts, price.encode()),
    "empty": lambda _ts, _price: b"",
    "no ts": lambda _ts, price: b'{"bid":%s}' % price.encode(),
    "no price": lambda ts, _price: b'{"ts":%d}' % ts,
    "NaN": lambda ts, _price: b'{"ts":%d,"bid":NaN}' % ts,
    "text for a price": lambda ts, _price: b'{"ts":%d,"bid":"n/a"}' % ts,
    "negative price": lambda ts, price: b'{"ts":%d,"bid":-%s}' % (ts, price.encode()),
    "zero price": lambda ts, _price: b'{"ts":%d,"bid":0}' % ts,
    "400 digits": lambda ts, _price: b'{"ts":%d,"bid":%s}' % (ts, b"7" * 400),
    "seconds for milliseconds": lambda ts, price: b'{"ts":%d,"bid":%s}' % (ts // 1000, price.encode()),
    "an hour ahead": lambda ts, price: b'{"ts":%d,"bid":%s}' % (ts + 3_600_000, price.encode()),
    "another broker in the value": lambda ts, price: b'{"ts":%d,"bid":%s,"broker":"nobody"}' % (ts, price.encode()),
}


def symbols(count: int) -> list[tuple[str, str]]:
    """`count` (broker, symbol) pairs, at least 3: two thirds NORTH, the rest SOUTH, and the one that falls silent."""
    others = max(2, count - 1)
    north = max(1, others * 2 // 3)
    return [
        *((NORTH, f"N{i:03d}") for i in range(north)),
        *((SOUTH, f"S{i:03d}") for i in range(others - north)),
        SILENT,
    ]


def market(seed: int, start_ms: int, *, count: int = 300, silent_after_ms: int = 6_000) -> Iterator[Record]:
    """Endless records in order of `at_ms`; `start_ms` is epoch ms, `count` the number of symbols."""
    rng = random.Random(seed)  # noqa: S311 - not for cryptography
    pairs = symbols(count)
    # In units of the last decimal. They depend on the name only, so that another seed goes on at similar prices.
    prices = {pair: 50_000 + crc32("|".join(pair).encode()) % 150_000 for pair in pairs}
    ticked: set[tuple[str, str]] = set()
    live, weights = pairs, [PACE[broker] for broker, _ in pairs]
    at, beat = float(start_ms), start_ms + HEARTBEAT_MS
    while True:
        at += rng.expovariate(sum(weights)) * 1000
        now = int(at)
        while beat <= now:
            yield from _heartbeats(pairs, beat)
            beat += HEARTBEAT_MS
        if live is pairs and now >= start_ms + silent_after_ms:
            live = [pair for pair in pairs if pair != SILENT]
            weights = [PACE[broker] for broker, _ in live]
        pair = rng.choices(live, weights)[0]
        prices[pair] = max(1_000, prices[pair] + rng.randint(-12, 12))
        yield _record(rng, now, pair, prices[pair], known=pair in ticked)
        ticked.add(pair)


def _record(rng: random.Random, now: int, pair: tuple[str, str], price: int, *, known: bool) -> Record:
    """One record of a symbol. Only a symbol that has ticked before (`known`) has faults, so that a late tick is surely late."""
    broker, symbol = pair
    clock = now + (SKEW_MS if broker == SOUTH else 0)
    ts = clock - rng.randrange(JITTER_MS)
    spread = rng.randint(1, 9)
    kind = Kind.tick
    if known and pair != SILENT:
        kind = rng.choices((Kind.tick, Kind.disorder, Kind.crossed, Kind.late, Kind.broken), weights=(900, 50, 30, 10, 10))[0]
    if kind is Kind.disorder:
        ts = clock - rng.randrange(JITTER_MS, DISORDER_MS)
    elif kind is Kind.late:
        ts = clock - LATE_MS - rng.randrange(1_000)
    elif kind is Kind.crossed:
        spread = -spread
    if kind is Kind.broken:
        value = BREAKERS[rng.choice(list(BREAKERS))](ts, _text(price))
    else:
        quantity = rng.randint(1, 50)
        value = f'{{"ts":{ts},"bid":{_text(price)},"ask":{_text(price + spread)},"qty":{quantity}}}'.encode()
    return Record(now, broker, symbol, f"{broker}|{symbol}".encode(), value, kind)


def _heartbeats(pairs: list[tuple[str, str]], at: int) -> Iterator[Record]:
    """One per symbol of NORTH. SOUTH sends none, and ISLE must be able to fall silent."""
    for broker, symbol in pairs:
        if broker == NORTH:
            value = b'{"ts":%d,"heartbeat":true}' % (at - JITTER_MS)
            yield Record(at, broker, symbol, f"{broker}|{symbol}".encode(), value, Kind.heartbeat)


def _text(price: int) -> str:
    """A price with all its decimals, trailing zeros included."""
    whole, rest = divmod(price, 10**_DECIMALS)
    return f"{whole}.{rest:0{_DECIMALS}d}"
