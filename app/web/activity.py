"""What a worker did in the last hour, in steps of ten seconds: records read, bars published, lag, and how late bars were.

The steps begin at multiples of ten seconds on the clock, so that those of several workers can be added.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import accumulate
from typing import NamedTuple

from agents.metrics import Metrics
from app.kafka.clock import now_ms

EVERY_MS = 10_000
STEPS = 360
LOOK_MS = 1_000  # between two looks at the partitions


class Step(NamedTuple):
    """The sums of one step. `lag`: records not read at its end; `late`: bars by bucket of how late they were."""

    start: int  # epoch ms
    read: int
    bars: int
    lag: int
    late: tuple[int, ...]


class Activity:
    """The steps of this worker. `bounds` are the upper ends (s) of the buckets of `Step.late`; one more takes the rest."""

    def __init__(self, metrics: Metrics, read: Callable[[], Mapping[int, int]], lag: Callable[[], int]) -> None:
        """`read`: the records read, by partition that runs here; `lag`: those that have not been read."""
        self._metrics, self._count_read, self._count_lag = metrics, read, lag
        self._steps: deque[Step] = deque(maxlen=STEPS)
        self._read: Mapping[int, int] = {}
        self._bars = 0
        self._late = [0] * (len(self.bounds) + 1)
        self._task: asyncio.Task[None] | None = None

    @property
    def bounds(self) -> Sequence[float]:
        """The upper ends of the buckets (s)."""
        return self._metrics.due_to_bar.bounds

    @property
    def steps(self) -> list[Step]:
        """The steps of the last hour, oldest first."""
        oldest = now_ms() - STEPS * EVERY_MS
        return [step for step in self._steps if step.start >= oldest]

    def start(self) -> None:
        """Begin to measure."""
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """End it."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        self.measure(now_ms())
        self._steps.clear()  # what was read before is of no step
        step = now_ms() // EVERY_MS
        while True:
            await asyncio.sleep(min(LOOK_MS, EVERY_MS - now_ms() % EVERY_MS) / 1_000)
            if now_ms() // EVERY_MS != step:
                step = now_ms() // EVERY_MS
                self.measure(now_ms())
            else:
                self.look()

    def look(self) -> None:
        """See which partitions have come. What they had read before is of another worker, or of another run."""
        self._read = {number: self._read.get(number, count) for number, count in self._count_read().items()}

    def measure(self, now: int) -> None:
        """Add the step that has ended at this time (epoch ms)."""
        read, late, bars = self._count_read(), list(self._metrics.due_to_bar.counts), sum(self._metrics.bars.values())
        self._steps.append(
            Step(
                start=(now + EVERY_MS // 2) // EVERY_MS * EVERY_MS - EVERY_MS,
                read=grown(self._read, read),
                bars=bars - self._bars,
                lag=self._count_lag(),
                late=tuple(new - old for old, new in zip(self._late, late, strict=True)),
            )
        )
        self._read, self._bars, self._late = read, bars, late


def grown(before: Mapping[int, int], now: Mapping[int, int]) -> int:
    """By how much the counts grew, of partitions that were there before: the count of another one is that of its past."""
    return sum(max(0, count - before[number]) for number, count in now.items() if number in before)


def added(steps: Iterable[Step]) -> list[Step]:
    """The steps of several workers as those of one, oldest first."""
    sums: dict[int, Step] = {}
    for step in steps:
        other = sums.get(step.start)
        sums[step.start] = step if other is None else _sum(step, other)
    return [sums[start] for start in sorted(sums)]


def _sum(one: Step, other: Step) -> Step:
    late = tuple(map(sum, zip(one.late, other.late, strict=True)))
    return Step(one.start, one.read + other.read, one.bars + other.bars, one.lag + other.lag, late)


def quantile(bounds: Sequence[float], counts: Sequence[int], share: float) -> float | None:
    """The value (s) below which this share of the counted values lies, as Prometheus estimates it: linear in a bucket.

    None if there are no values; the greatest bound, if it is above all of them.
    """
    total = sum(counts)
    if not total:
        return None
    at, below = next((at, below) for at, below in enumerate(accumulate(counts)) if below >= share * total)
    if at >= len(bounds):
        return bounds[-1]
    lower = bounds[at - 1] if at else 0.0
    return lower + (bounds[at] - lower) * (share * total - (below - counts[at])) / counts[at]
