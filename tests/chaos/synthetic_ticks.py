"""A seeded market that labels each record: a valid tick, an invalid one, or a heartbeat.

Every partition has symbols of three brokers. `north` ticks all the time and sends heartbeats. The clock of `south` is ahead,
and it sends no heartbeats. `isle` falls silent again and again, so that its windows close by idle timeout. `north|quiet` ticks
for a few seconds and then never again. `north|both` lies in two partitions, as where two producers have different partitioners.
Some ticks arrive out of order within the grace, some late, some with equal times.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import NamedTuple

from tests.chaos.sent import Label, Sent

AHEAD_MS = 3_000  # south's clock: above the grace, far below max_future
QUIET_AFTER_MS = 4_000
ISLE_CYCLE_MS, ISLE_ACTIVE_MS = 7_000, 3_000
TICKS_A_SECOND = 10.0  # of a symbol
HEARTBEAT_MS = 1_000
LATE_MS = 20_000
DISORDER_MS = 450
YEAR_MS = 31_536_000_000

# what a broken sender makes of a tick; `price` is the price as text
BREAKERS: dict[str, Callable[[int, str], str]] = {
    "not JSON": lambda ts, price: f'{{"ts":{ts},"bid":{price}',
    "empty": lambda _ts, _price: "",
    "no ts": lambda _ts, price: f'{{"bid":{price}}}',
    "no price": lambda ts, _price: f'{{"ts":{ts}}}',
    "NaN": lambda ts, _price: f'{{"ts":{ts},"bid":NaN}}',
    "text for a price": lambda ts, _price: f'{{"ts":{ts},"bid":"n/a"}}',
    "negative price": lambda ts, price: f'{{"ts":{ts},"bid":-{price}}}',
    "zero price": lambda ts, _price: f'{{"ts":{ts},"bid":0}}',
    "400 digits": lambda ts, _price: f'{{"ts":{ts},"bid":{"7" * 400}}}',
    "negative quantity": lambda ts, price: f'{{"ts":{ts},"bid":{price},"qty":-1}}',
    "seconds for milliseconds": lambda ts, price: f'{{"ts":{ts // 1_000},"bid":{price}}}',
    "a year ahead": lambda ts, price: f'{{"ts":{ts + YEAR_MS},"bid":{price}}}',
    "another broker in the value": lambda ts, price: f'{{"ts":{ts},"bid":{price},"broker":"nobody"}}',
}


class Pair(NamedTuple):
    """A symbol of a broker, in its partition."""

    broker: str
    symbol: str
    partition: int


def pairs(partitions: int) -> list[Pair]:
    """All symbols. Those of one broker share a stream time within a partition."""
    found = [Pair("north", "quiet", 0), *(Pair("north", "both", number) for number in range(min(2, partitions)))]
    for number in range(partitions):
        found += [Pair("north", f"a{number}", number), Pair("north", f"b{number}", number)]
        found += [Pair("south", f"s{number}", number), Pair("isle", f"i{number}", number)]
    return found


def market(seed: int, start_ms: int, partitions: int) -> Iterator[Sent]:
    """An endless stream of records in order of `at_ms`."""
    rng = random.Random(seed)
    known = pairs(partitions)
    prices = {pair: rng.randrange(50_000, 200_000) for pair in known}  # in units of the last decimal
    last: dict[Pair, int] = {}
    at, beat = float(start_ms), start_ms
    while True:
        at += rng.expovariate(len(known) * TICKS_A_SECOND) * 1_000
        now = int(at)
        while beat <= now:
            for number in range(partitions):
                value = b'{"ts":%d,"heartbeat":true}' % (beat - 100)
                yield Sent(beat, number, b"north|a%d" % number, value, Label.heartbeat)
            beat += HEARTBEAT_MS
        pair = rng.choice(known)
        if not _is_active(pair, now - start_ms):
            continue
        prices[pair] = max(1_000, prices[pair] + rng.randint(-12, 12))
        yield _record(rng, now, pair, prices[pair], last)


def _is_active(pair: Pair, elapsed_ms: int) -> bool:
    if pair.symbol == "quiet":
        return elapsed_ms < QUIET_AFTER_MS
    return pair.broker != "isle" or elapsed_ms % ISLE_CYCLE_MS < ISLE_ACTIVE_MS


def _record(rng: random.Random, now: int, pair: Pair, price: int, last: dict[Pair, int]) -> Sent:
    ts = now + (AHEAD_MS if pair.broker == "south" else 0) - rng.randrange(60)
    chance = rng.random()
    text = f"{price // 100_000}.{price % 100_000:05d}"
    key = f"{pair.broker}|{pair.symbol}".encode()
    if chance < 0.02:
        value = BREAKERS[rng.choice(list(BREAKERS))](ts, text)
        return Sent(now, pair.partition, key, value.encode(), Label.invalid)
    if chance < 0.04:
        ts -= LATE_MS + rng.randrange(1_000)
    elif chance < 0.14:
        ts -= rng.randrange(100, DISORDER_MS)
    elif chance < 0.20:
        ts = last.get(pair, ts)
    last[pair] = ts
    bid = f'"{text}"' if chance > 0.9 else text
    more = "" if pair.symbol.startswith("b") else f',"qty":{rng.randrange(50)}.{rng.randrange(10)}'
    more += f',"seq":{rng.randrange(3)}' if rng.random() < 0.5 else ""
    return Sent(now, pair.partition, key, f'{{"ts":{ts},"bid":{bid}{more}}}'.encode(), Label.tick)
