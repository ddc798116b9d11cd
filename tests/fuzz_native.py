"""Fuzzes the native core against msgspec and the core in Python: `python -m tests.fuzz_native --seconds 3600 [--seed N]`.

Values: one that the native parser takes for a usual tick must make the very window that the rules make of what msgspec reads.
Batches: bytes are changed, cut off and added; both cores must give the same bytes, or refuse the batch in the same words.
It stops at the first difference and shows the seed, which makes the same input again.
"""

from __future__ import annotations

import argparse
import random
import sys
import time

from tables.config import EngineConfig
from tables.engine import Engine
from tests.compare_cores import one
from tests.support.both_cores import outcome
from tests.support.hostile_logs import T0, Source

PIECES = (
    *(b'"', b"\\", b"{", b"}", b",", b":", b"0", b"-", b".", b"e", b"E", b" ", b"\n", b"\x00", b"\x7f", b"\xff", b"1" * 20),
    *(
        b'"ts":',
        b'"bid":',
        b'"qty":',
        b'"seq":',
        b"null",
        b"true",
        b"false",
        b"\xc3\xa9",
        b"\\u0031",
        b"\\",
        b"//",
        b"\xef\xbb\xbf",
    ),
)
VALUES = 40  # for each seed


class Record:
    """A record of one key that arrived at `T0`."""

    headers: tuple[()] = ()

    def __init__(self, offset: int, value: bytes | None) -> None:
        self.offset, self.timestamp, self.key, self.value = offset, T0, b"A|x", value


def mutated(pick: random.Random, value: bytes) -> bytes:
    """A value with a few bytes changed."""
    made = bytearray(value)
    for _ in range(pick.choice((0, 1, 1, 2, 4))):
        at = pick.randrange(len(made) + 1)
        chance = pick.random()
        if chance < 0.4:
            made[at:at] = pick.choice(PIECES)
        elif chance < 0.7:
            del made[at : at + pick.choice((1, 1, 2, 5))]
        elif at < len(made):
            made[at] = pick.choice((pick.randrange(256), pick.randrange(0x20, 0x7F)))
    return bytes(made)


def values(seed: int) -> None:
    """Some values through both cores, one at a time. Raises `AssertionError` where they differ."""
    source = Source(seed)
    pick, source.now = source.random, T0
    config = EngineConfig(positive=pick.random() < 0.5, bar_scale=pick.choice((None, 2, 18)))
    engines = Engine(config, native="off"), Engine(config, native="on")
    for offset in range(VALUES):
        value = source.value(config.price)
        changed = None if value is None else mutated(pick, value)
        for engine in engines:
            engine.feed_same_arrival([Record(offset, changed)], T0)
        plain, native = map(outcome, engines)
        assert plain == native, changed
    for engine in engines:
        engine.advance_arrival(T0 + 10**6)
    assert outcome(engines[0]) == outcome(engines[1])


def fuzz(seconds: float, seed: int) -> int:
    """Fuzz for so long, from a seed on. Returns how many seeds there were. Raises `AssertionError` at the first difference."""
    until, first = time.monotonic() + seconds, seed
    while time.monotonic() < until:
        try:
            values(seed)
            one(2 * seed + 1)
        except AssertionError:
            print(f"seed {seed}: the cores differ", file=sys.stderr)
            raise
        seed += 1
    return seed - first


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**12))
    asked = parser.parse_args()
    print(f"{fuzz(asked.seconds, asked.seed):,} seeds from {asked.seed} on, {VALUES} values and one log each: no difference")
