"""What this machine takes for work in bursts, compared with the same work without pauses.

A CPU that slept has cold caches and may have a lower clock. So the same Python code takes more CPU time a tick where ticks come
a few at a time. The figures of `live` are held against this.
"""

from __future__ import annotations

import time
from typing import NamedTuple

from app.kafka.fetch_pace import LONG_MS
from benchmarks.subjects.fold import Folding

TICKS = 100_000
START_MS = 1_399_248_000_000


class Bursts(NamedTuple):
    """CPU a tick of the least that any program must do for a bar, in us."""

    steady_us: float
    bursts_us: float

    @property
    def ratio(self) -> float:
        """How many times as much the same work takes in bursts."""
        return self.bursts_us / self.steady_us


def measure(rate: int, symbols: int) -> Bursts:
    """Fold ticks of so many symbols: without pauses, and as many in each `LONG_MS` as come at `rate` (ticks/s)."""
    ticks = [
        (b"alpha|SYM%06d" % (n * 7_919 % symbols), b'{"ts":%d,"bid":1.%05d,"ask":2.0,"seq":%d}' % (START_MS + n, n % 99_999, n))
        for n in range(TICKS)
    ]
    _fold(ticks, TICKS, 0.0)  # a warm-up
    return Bursts(_fold(ticks, TICKS, 0.0), _fold(ticks, max(1, rate * LONG_MS // 1_000), LONG_MS / 1_000))


def _fold(ticks: list[tuple[bytes, bytes]], at_once: int, pause: float) -> float:
    folding = Folding()
    began = time.thread_time()
    for first in range(0, len(ticks), at_once):
        for key, value in ticks[first : first + at_once]:
            folding.fold(key, value)
        time.sleep(pause)
    return (time.thread_time() - began) / len(ticks) * 1e6
