"""Compare both cores on many hostile random logs: `python -m tests.compare_cores 100000 [first seed]`.

Each log goes through both, as it is and with spoilt batches. Stops at the first difference and shows its seed.
"""

from __future__ import annotations

import random
import sys
import time

from tests.support.both_cores import compare
from tests.support.hostile_logs import Source, spoilt

SHOW_EVERY = 5_000


def one(seed: int) -> None:
    """One log; each core goes on from the other's state now and then, where all of it is in the states."""
    source = Source(seed)
    config = source.config()
    pick = random.Random(seed)
    switches = [] if config.correct else [number for number in range(12) if pick.random() < 0.3]
    compare(config, source.log(config, spoilt if seed % 2 else None), switches)


def main(logs: int, first: int = 0) -> None:
    """Compare so many logs, from a seed on."""
    began = time.monotonic()
    for number, seed in enumerate(range(first, first + logs), 1):
        try:
            one(seed)
        except AssertionError:
            print(f"seed {seed}: the cores differ", file=sys.stderr)
            raise
        if not number % SHOW_EVERY:
            print(f"{number:,} logs, the same bytes, {time.monotonic() - began:.0f} s", flush=True)
    print(f"{logs:,} logs: the same bytes from both cores")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
