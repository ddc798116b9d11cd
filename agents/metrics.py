"""The measurements of a worker: histograms of durations, and counts. They are updated once a batch, never once a tick."""

from __future__ import annotations

import asyncio
import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from tables.emission import Closed
from tables.records import SideRecord

SHORT = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)  # seconds
LONG = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 3600.0)


class Histogram:
    """Durations in seconds, counted in buckets. `bounds` are the upper ends; one more bucket takes what is longer."""

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def add(self, seconds: float, times: int = 1) -> None:
        """Count a duration, or several equal ones. A negative one, from clocks that differ, counts as 0."""
        seconds = max(0.0, seconds)
        self.counts[bisect_left(self.bounds, seconds)] += times
        self.sum += seconds * times

    def buckets(self) -> list[tuple[str, int]]:
        """Upper end and cumulative count of each bucket, as Prometheus wants them."""
        total, rows = 0, []
        for bound, count in zip((*self.bounds, float("inf")), self.counts, strict=True):
            total += count
            rows.append(("+Inf" if bound == float("inf") else str(bound), total))
        return rows


class Metrics:
    """The measurements of one worker since it started."""

    def __init__(self, grace: int = 0, clock: Callable[[], float] = time.time) -> None:
        """`grace` in ms; `clock` gives epoch seconds."""
        self.arrival_to_bar = Histogram(SHORT)
        self.due_to_bar = Histogram(LONG)
        self.checkpoint = Histogram(SHORT)
        self.recovery = Histogram(LONG)
        self.timer_lag = Histogram(SHORT)
        self.timer_lag_last = 0.0  # seconds
        self.timer_lag_worst = 0.0
        self.bars: Counter[str] = Counter()  # by close_reason
        self.side: Counter[tuple[str, str]] = Counter()  # by (kind, reason)
        self.longer_bars: Counter[str] = Counter()  # by frame
        self.corrections: Counter[str] = Counter()  # revised bars, by frame; empty: base bars
        self._grace = grace
        self._clock = clock
        self._turned: float | None = None

    def count_side(self, records: list[SideRecord]) -> list[SideRecord]:
        """Count late and rejected records; return them."""
        if records:
            self.side.update((record.kind, record.reason) for record in records)
        return records

    def count_beyond(self, steps: list[Closed]) -> list[Closed]:
        """Count longer bars and revised bars; return them."""
        for step in steps:
            if step.revision:
                self.corrections[step.frame] += 1
            else:
                self.longer_bars[step.frame] += len(step.symbols)
        return steps

    def sent(self, closed: Sequence[Closed], acknowledged: asyncio.Future[Any]) -> None:
        """Count bars once the broker has acknowledged the last of them. Bars that closed in one step share one duration."""
        steps = [(step.at, step.end, step.reason, len(step.symbols), step.closes is None) for step in closed]

        def count(future: asyncio.Future[Any]) -> None:
            if future.cancelled() or future.exception() is not None:
                return
            now = self._clock()
            for closed_at, end, reason, bars_closed, traded in steps:
                self.bars[reason] += bars_closed
                if not traded:  # flat bars wait for a step
                    continue
                self.arrival_to_bar.add(now - closed_at / 1_000, bars_closed)
                self.due_to_bar.add(now - (end + self._grace) / 1_000, bars_closed)

        acknowledged.add_done_callback(count)

    def timer_turned(self, every: float) -> None:
        """Measure how late the timer turns the wheel. It should do so `every` so many seconds."""
        now = time.monotonic()
        if self._turned is not None:
            lag = max(0.0, now - self._turned - every)
            self.timer_lag.add(lag)
            self.timer_lag_last = lag
            self.timer_lag_worst = max(self.timer_lag_worst, lag)
        self._turned = now
