"""What longer bars cost, and late ticks that revise bars: CPU a tick, the memory of the horizon, and recovery with it."""

from __future__ import annotations

import asyncio
import gc
import random
import tempfile
import time
import uuid
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from agents.recovery import recover
from app.kafka.cluster import Cluster
from app.kafka.reader import Reader
from app.settings import Settings
from app.worker import GC_THRESHOLDS
from benchmarks.memory import MINUTE_MS, SEED, START_MS, PartitionTask, resident_mb
from benchmarks.synthetic_ticks import PARTITIONS, Market, write
from benchmarks.throughput import Options, Run, broker, delete_topics, say, settings_of, worker
from tables import native
from tables.config import EngineConfig

LATE_EVERY = 100  # one in so many ticks is late
NONE = "none"
FRAMES = {"FRAMES": "5m,15m,1h,4h,1d"}
CORRECT = {"LATE_POLICY": "correct"}
KINDS = {
    NONE: {},
    "five frames": FRAMES,
    "late_policy=correct": CORRECT,
    "both": FRAMES | CORRECT,
}
BOUNDS = {1_000: 1.15, 100_000: 1.4}  # times the CPU a tick of none, by the number of symbols
HORIZON_MINUTES = 10
HORIZON_BOUND = 400.0  # MB, for 100,000 symbols


def run(options: Options) -> dict[str, Any]:
    """Measure each kind in turn on the same topics, `repeat` times; then the memory, in processes of their own."""
    results = []
    with tempfile.TemporaryDirectory(prefix="barwheel-bench-") as scratch, broker(options, Path(scratch)) as address:
        name = f"bench-{uuid.uuid4().hex[:8]}"
        try:
            for symbols in options.symbols:
                say(f"writing {options.ticks:,} ticks of {symbols:,} symbols, one in {LATE_EVERY} of them late")
                topic = f"{name}-ticks-{symbols}"
                market = asyncio.run(write(address, topic, symbols, options.ticks, late_every=LATE_EVERY))
                results.append(_of_market(options, address, market, f"{name}-{symbols}", Path(scratch) / str(symbols)))
        finally:
            asyncio.run(delete_topics(address, name))
    memory = _memory(max(options.symbols))
    return {
        "ticks": options.ticks,
        "late_every": LATE_EVERY,
        "results": results,
        "horizon": memory,
        "kept": memory["kept"] and all(row["kept"] for result in results for row in result["rows"]),
    }


def _of_market(options: Options, address: str, market: Market, name: str, scratch: Path) -> dict[str, Any]:
    found: dict[str, list[Run]] = {kind: [] for kind in KINDS}
    read: dict[str, dict[str, Any]] = {}
    for turn in range(options.repeat):
        for number, (kind, settings) in enumerate(KINDS.items()):
            app = f"{name}-{number}-{turn}"
            result = worker(address, market, app, scratch / f"{number}-{turn}", settings)
            found[kind].append(result)
            say(f"  {kind}: {result.measured.cpu_us:.2f} us of CPU a tick")
            if not turn:
                read[kind] = asyncio.run(_recovery(Settings.load(**_lower(settings_of(address, market.topic, app) | settings))))
    bound = BOUNDS.get(market.symbols)
    rows: list[dict[str, Any]] = []
    for kind, runs in found.items():
        # each run beside that of none in the same turn: a machine is not as fast at one time as at another
        ratio = median(one.measured.cpu_us / none.measured.cpu_us for one, none in zip(runs, found[NONE], strict=True))
        rows.append(
            {
                "kind": kind,
                "cpu_us": round(median(one.measured.cpu_us for one in runs), 2),
                "ratio": round(ratio, 2),
                "peak_mb": round(max(one.measured.peak_mb for one in runs)),
                **read[kind],
                "kept": bound is None or kind == NONE or ratio <= bound,
            }
        )
    return {"symbols": market.symbols, "bound": bound, "rows": rows}


def _lower(settings: Mapping[str, str]) -> dict[str, Any]:
    return {key.lower(): value for key, value in settings.items()}


async def _recovery(settings: Settings) -> dict[str, Any]:
    """Read the state of every partition as an assignment does."""
    states = correctable = 0
    async with Reader(Cluster(settings.bootstrap), frozenset(settings.recovered_topics)) as reader:
        began = time.monotonic()
        for number in range(PARTITIONS):
            found = await recover(reader, settings, number, PARTITIONS)
            states += len(found.states) + len(found.beyond.states)
            correctable += len(found.beyond.published)
        seconds = time.monotonic() - began
    return {"states": states, "correctable": correctable, "recovery_seconds": round(seconds, 2)}


def _memory(symbols: int) -> dict[str, Any]:
    """What the closed windows of the horizon take: a process with them less one without."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn"), max_tasks_per_child=1) as fresh:
        without, kept = (fresh.submit(_trading, symbols, correct).result() for correct in (False, True))
    horizon = round(kept["mb"] - without["mb"], 1)
    bound = HORIZON_BOUND * symbols / 100_000
    return {"symbols": symbols, "windows": kept["windows"], "mb": horizon, "bound": bound, "kept": horizon <= bound}


def _trading(symbols: int, correct: bool) -> dict[str, Any]:  # noqa: FBT001  # it crosses processes
    gc.set_threshold(*GC_THRESHOLDS)
    native.use_large_pages()  # as a worker
    config = EngineConfig(correct=correct, correction_horizon=HORIZON_MINUTES * MINUTE_MS)
    rng, partition = random.Random(SEED), PartitionTask(config)
    turn: Sequence[int] = range(symbols)
    for minute in range(HORIZON_MINUTES + 2):
        turn = rng.sample(turn, symbols)
        ts = START_MS + minute * MINUTE_MS
        partition.tick((symbol, ts) for symbol in turn)
        partition.checkpoint()
    after = partition.engine.windows.after
    windows = 0 if after is None or after.corrections is None else after.corrections.kept.count
    return {"mb": resident_mb(), "windows": windows}


def show(found: Mapping[str, Any], console: Console) -> None:
    """Print the result."""
    for result in found["results"]:
        title = f"{result['symbols']:,} symbols, {found['ticks']:,} ticks, one in {found['late_every']} late"
        table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
        table.add_column("")
        for name in ("CPU us/tick", "times none", "peak MB", "states", "correctable", "recovery s"):
            table.add_column(name, justify="right")
        for row in result["rows"]:
            numbers = (f"{row['cpu_us']:.2f}", f"{row['ratio']:.2f}", *(f"{row[key]:,}" for key in ("peak_mb", "states")))
            table.add_row(row["kind"], *numbers, f"{row['correctable']:,}", f"{row['recovery_seconds']:.2f}")
        console.print(table)
        if result["bound"] is not None:
            verdict = "kept" if all(row["kept"] for row in result["rows"]) else "missed"
            console.print(f"  expected at most {result['bound']:g} times the CPU of none: {verdict}")
    horizon = found["horizon"]
    console.print(
        f"the horizon: {horizon['windows']:,} closed windows of {horizon['symbols']:,} symbols take {horizon['mb']:,.0f} MB "
        f"(expected at most {horizon['bound']:,.0f}: {'kept' if horizon['kept'] else 'missed'})"
    )
