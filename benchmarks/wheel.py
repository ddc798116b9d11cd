"""The timing wheel, compared with a heap and one `call_later` a scope; and the engine that uses the wheel."""

from __future__ import annotations

import asyncio
import gc
import heapq
import random
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from statistics import median
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from app.kafka.batches import pack
from app.worker import GC_THRESHOLDS
from benchmarks.worker_core import core_name, new_batch, new_engine
from tables.config import EngineConfig
from tables.emission import take_runs
from tables.wheel import Wheel

SEED = 20140505
TICK_MS = 200
PERIOD_MS = 65_000  # how often a scope is checked: a window and its grace
IDLE_MS = 10_000  # how long the idle process is measured
IDLE_BOUND, STALL_BOUND = 2.0, 250.0  # % of a core, ms
START_MS = 1_399_248_000_000


@dataclass(slots=True)
class Arrived:
    """A record, as the engine expects it."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Iterable[tuple[str, bytes | None]] = ()


def run(scopes: int, repeat: int) -> dict[str, Any]:
    """Run all measurements. Times are CPU times of this process."""
    kinds: dict[str, tuple[Callable[[int], float], Callable[[int], float]]] = {
        "timing wheel": (_wheel_idle, _wheel_stall),
        "heap": (_heap_idle, _heap_stall),
        "one call_later a scope": (_loop_idle, _loop_stall),
    }
    thresholds = gc.get_threshold()
    gc.set_threshold(*GC_THRESHOLDS)  # as in the worker
    try:
        timers = [
            {
                "what": name,
                "idle_percent": round(median(idle(scopes) for _ in range(repeat)), 3),
                "stall_ms": round(median(stall(scopes) for _ in range(repeat)), 1),
            }
            for name, (idle, stall) in kinds.items()
        ]
        engine = [_engine(scopes, kind, repeat) for kind in ("symbol", "broker")]
    finally:
        gc.set_threshold(*thresholds)
    kept = all(one["idle_percent"] < IDLE_BOUND and one["stall_ms"] < STALL_BOUND for one in engine)
    return {"scopes": scopes, "core": core_name(), "timers": timers, "engine": engine, "kept": kept}


def show(report: Mapping[str, Any], console: Console) -> None:
    """Print the tables."""
    table = Table(title=f"{report['scopes']:,} deadlines", title_justify="left", box=box.SIMPLE_HEAD)
    for heading in ("", "idle, % of a core", "all due at once, ms"):
        table.add_column(heading, justify="right" if heading else "left")
    for row in report["timers"]:
        table.add_row(row["what"], f"{row['idle_percent']:.2f}", f"{row['stall_ms']:.1f}")
    console.print(table)
    title = f"the engine, {report['scopes']:,} symbols, {report['core']}"
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    for heading in ("scope", "idle, % of a core", "closing all at one boundary, ms", "encoding them, ms"):
        table.add_column(heading, justify="right" if heading != "scope" else "left")
    for row in report["engine"]:
        table.add_row(row["scope"], f"{row['idle_percent']:.2f}", f"{row['stall_ms']:.1f}", f"{row['encode_ms']:.1f}")
    console.print(table)
    verdict = "kept" if report["kept"] else "[red]missed[/red]"
    console.print(f"  expected below {IDLE_BOUND:g}% and {STALL_BOUND:g} ms: {verdict}\n", highlight=False)


def _deadlines(scopes: int) -> list[int]:
    rng = random.Random(SEED)
    return [rng.randrange(PERIOD_MS) for _ in range(scopes)]


def _percent(cpu_seconds: float) -> float:
    return cpu_seconds * 1_000 / IDLE_MS * 100


def _wheel_idle(scopes: int) -> float:
    wheel: Wheel[int] = Wheel(TICK_MS)
    for scope, due in enumerate(_deadlines(scopes)):
        wheel.add(scope, due)
    started = time.process_time()
    for now in range(0, IDLE_MS, TICK_MS):
        for due, scope in wheel.advance(now):
            wheel.add(scope, due + PERIOD_MS)
    return _percent(time.process_time() - started)


def _wheel_stall(scopes: int) -> float:
    wheel: Wheel[int] = Wheel(TICK_MS)
    for scope in range(scopes):
        wheel.add(scope, TICK_MS)
    started = time.perf_counter()
    fired = wheel.advance(2 * TICK_MS)
    stalled = time.perf_counter() - started
    _all_fired(len(fired), scopes)
    return stalled * 1_000


def _heap_idle(scopes: int) -> float:
    heap = [(due, scope) for scope, due in enumerate(_deadlines(scopes))]
    heapq.heapify(heap)
    started = time.process_time()
    for now in range(0, IDLE_MS, TICK_MS):
        while heap[0][0] < now:
            due, scope = heap[0]
            heapq.heapreplace(heap, (due + PERIOD_MS, scope))
    return _percent(time.process_time() - started)


def _heap_stall(scopes: int) -> float:
    heap = [(TICK_MS, scope) for scope in range(scopes)]
    heapq.heapify(heap)
    fired = []
    started = time.perf_counter()
    while heap and heap[0][0] < 2 * TICK_MS:
        fired.append(heapq.heappop(heap))
    stalled = time.perf_counter() - started
    _all_fired(len(fired), scopes)
    return stalled * 1_000


def _loop_idle(scopes: int) -> float:
    async def live() -> float:
        loop = asyncio.get_running_loop()

        def again() -> None:
            loop.call_later(PERIOD_MS / 1_000, again)

        for due in _deadlines(scopes):
            loop.call_later(due / 1_000, again)
        await asyncio.sleep(0)
        started = time.process_time()
        await asyncio.sleep(IDLE_MS / 1_000)  # the loop's timers follow the real clock
        return time.process_time() - started

    return _percent(asyncio.run(live()))


def _loop_stall(scopes: int) -> float:
    async def live() -> float:
        loop = asyncio.get_running_loop()
        fired: list[int] = []
        when = loop.time() + 3 + scopes / 200_000  # after the last timer has been added
        for scope in range(scopes):
            loop.call_at(when, fired.append, scope)
        last, longest = time.perf_counter(), 0.0
        while len(fired) < scopes:
            await asyncio.sleep(0.001)
            now = time.perf_counter()
            last, longest = now, max(longest, now - last)
        return longest

    return asyncio.run(live()) * 1_000


def _engine(scopes: int, kind: str, repeat: int) -> dict[str, Any]:
    runs = [_engine_once(scopes, kind) for _ in range(repeat)]
    names = ("idle_percent", "stall_ms", "encode_ms")
    return {"scope": kind} | {name: round(median(r[i] for r in runs), 2) for i, name in enumerate(names)}


def _engine_once(scopes: int, kind: str) -> tuple[float, float, float]:
    """Give every symbol one tick in the same minute, idle for 10 s, then let the minute end by the clock."""
    config = EngineConfig(scope=kind, wheel_tick=TICK_MS)
    engine = new_engine(config)
    engine.feed(
        Arrived(
            n,
            START_MS + 1_000,
            b"alpha|SYM%06d" % n,
            b'{"ts":%d,"bid":1.38691,"ask":1.38697}' % (START_MS + 1_000),
        )
        for n in range(scopes)
    )
    engine.snapshots.take_changed()
    now = START_MS + 2_000
    started = time.process_time()
    for now in range(START_MS + 2_000, START_MS + 2_000 + IDLE_MS, TICK_MS):
        engine.advance_arrival(now)
    idle = _percent(time.process_time() - started)
    started = time.perf_counter()
    engine.advance_arrival(START_MS + config.window_size + config.grace + TICK_MS)
    stalled = time.perf_counter() - started
    closed = engine.take_closed()
    _all_fired(sum(len(step.windows) for step in closed), scopes)
    started = time.perf_counter()
    deque(pack(lambda: new_batch(0), take_runs(closed, [])), maxlen=0)
    return idle, stalled * 1_000, (time.perf_counter() - started) * 1_000


def _all_fired(fired: int, scopes: int) -> None:
    if fired != scopes:
        raise RuntimeError(f"{fired} of {scopes} fired: the benchmark measures something else")
