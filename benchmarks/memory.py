"""Memory of open windows, and whether it is freed: symbols that tick once, and symbols that trade for an hour."""

from __future__ import annotations

import gc
import os
import random
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

from rich import box
from rich.console import Console
from rich.table import Table

from app.worker import GC_THRESHOLDS
from benchmarks.worker_core import core_name, new_engine
from tables.checkpoint_plan import CheckpointPlan
from tables.config import EngineConfig
from tables.emission import take_records

SEED = 20140505
START_MS = 1_399_248_000_000
MINUTE_MS = 60_000
CHECKPOINTS_A_MINUTE = 12
BATCH = 2_000
LEFT_BOUND = 0.2  # of what the open windows took
GROWTH_BOUND = 0.1  # of what the process took after five minutes
_PAGE = os.sysconf("SC_PAGE_SIZE")


class Arrived(NamedTuple):
    """A record, as the engine expects it."""

    offset: int
    timestamp: int
    key: bytes
    value: bytes
    headers: tuple[tuple[str, bytes], ...] = ()


class PartitionTask:
    """The engine and its changelog. Their output is encoded and freed, as after an acknowledgment."""

    def __init__(self, config: EngineConfig | None = None) -> None:
        self.engine = new_engine(config or EngineConfig())
        self.changelog = CheckpointPlan(self.engine.snapshots, 0, 0)
        self.bars = 0
        self._offset = 0

    def tick(self, ticks: Iterator[tuple[int, int]]) -> None:
        """Feed ticks as `(symbol, event time)`; each arrives at its event time."""
        batch: list[Arrived] = []
        for symbol, ts in ticks:
            batch.append(
                Arrived(self._offset, ts, b"alpha|SYM%06d" % symbol, b'{"ts":%d,"bid":1.%05d}' % (ts, self._offset % 99_991))
            )
            self._offset += 1
            if len(batch) == BATCH:
                self.engine.feed(batch)
                batch.clear()
        self.engine.feed(batch)
        self._publish()

    def pause(self, until: int) -> None:
        """Let arrival time pass without ticks; checkpoints continue."""
        self.engine.advance_arrival(until)
        self._publish()
        while self.changelog.overdue:
            self.checkpoint()

    def checkpoint(self) -> None:
        """Write the states."""
        self.changelog.end += sum(1 for _ in self.changelog.round())

    def _publish(self) -> None:
        self.bars += sum(1 for _ in take_records(self.engine.take_closed(), []))


def run(symbols: int, minutes: int) -> dict[str, Any]:
    """Measure both, each in a process of its own."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn"), max_tasks_per_child=1) as fresh:
        once = fresh.submit(_once, symbols).result()
        hour = fresh.submit(_hour, symbols, minutes).result()
    left = round((once["after_mb"] - once["before_mb"]) / (once["open_mb"] - once["before_mb"]), 3)
    growth = round(hour["last_mb"] / hour["fifth_mb"] - 1, 3)
    return {
        "symbols": symbols,
        "minutes": minutes,
        "core": core_name(),
        "once": {**once, "left": left},
        "hour": {**hour, "growth": growth},
        "kept": left < LEFT_BOUND and growth < GROWTH_BOUND,
    }


def _once(symbols: int) -> dict[str, Any]:
    gc.set_threshold(*GC_THRESHOLDS)
    partition = PartitionTask()
    before = resident_mb()
    partition.tick((n, START_MS) for n in range(symbols))
    partition.checkpoint()
    opened = resident_mb()
    partition.pause(START_MS + 10 * MINUTE_MS)
    if partition.bars != symbols:
        raise RuntimeError(f"{partition.bars} of {symbols} windows closed: the benchmark measures something else")
    return {"before_mb": before, "open_mb": opened, "after_mb": resident_mb()}


def _hour(symbols: int, minutes: int) -> dict[str, Any]:
    gc.set_threshold(*GC_THRESHOLDS)
    rng, partition = random.Random(SEED), PartitionTask()
    turn = list(range(symbols))
    resident = []
    for minute in range(minutes):
        rng.shuffle(turn)
        share = symbols // CHECKPOINTS_A_MINUTE + 1
        for part in range(CHECKPOINTS_A_MINUTE):
            ts = START_MS + minute * MINUTE_MS + part * MINUTE_MS // CHECKPOINTS_A_MINUTE
            partition.tick((symbol, ts) for symbol in turn[part * share : (part + 1) * share])
            partition.checkpoint()
        resident.append(resident_mb())
    return {"windows": partition.bars + partition.engine.open_windows, "fifth_mb": resident[4], "last_mb": resident[-1]}


def resident_mb() -> float:
    """Resident memory of this process, without what the collector frees."""
    gc.collect()
    return round(int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE / 1e6, 1)


def show(report: Mapping[str, Any], console: Console) -> None:
    """Print the result."""
    once, hour = report["once"], report["hour"]
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("")
    table.add_column("MB", justify="right")
    table.add_row("before", f"{once['before_mb']:,.0f}")
    table.add_row("each has ticked once, all windows open", f"{once['open_mb']:,.0f}")
    table.add_row("all closed and checkpointed", f"{once['after_mb']:,.0f}")
    table.add_row("trading on, after 5 minutes", f"{hour['fifth_mb']:,.0f}")
    table.add_row(f"after {report['minutes']} minutes and {hour['windows']:,} windows", f"{hour['last_mb']:,.0f}")
    console.print(f"resident memory, {report['symbols']:,} symbols in one partition, {report['core']}")
    console.print(table)
    verdict = "kept" if report["kept"] else "missed"
    console.print(
        f"  left of what the open windows took: {once['left']:.0%}; growth after five minutes: {hour['growth']:.0%} "
        f"(expected below {LEFT_BOUND:.0%} and {GROWTH_BOUND:.0%}: {verdict})"
    )
