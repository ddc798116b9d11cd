"""The cost of safety: a checkpoint every second, every five seconds, `delivery=transactional`, and no checkpoint."""

from __future__ import annotations

import asyncio
import tempfile
import uuid
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from benchmarks.synthetic_ticks import write
from benchmarks.throughput import Options, Run, broker, delete_topics, say, worker

COST_BOUND = 1.25  # CPU a tick with a checkpoint every second, divided by that without
NONE = "none"
KINDS = {
    NONE: {"CHECKPOINT_INTERVAL": "1d"},
    "every 5 s": {"CHECKPOINT_INTERVAL": "5s"},
    "every 1 s": {"CHECKPOINT_INTERVAL": "1s"},
    "every 1 s, transactional": {"CHECKPOINT_INTERVAL": "1s", "DELIVERY": "transactional"},
}


def run(options: Options) -> dict[str, Any]:
    """Measure each kind in turn on the same topic, `repeat` times."""
    symbols = options.symbols[0]
    found: dict[str, list[Run]] = {kind: [] for kind in KINDS}
    with tempfile.TemporaryDirectory(prefix="barwheel-bench-") as scratch, broker(options, Path(scratch)) as address:
        name = f"bench-{uuid.uuid4().hex[:8]}"
        try:
            say(f"writing {options.ticks:,} ticks of {symbols:,} symbols")
            market = asyncio.run(write(address, f"{name}-ticks", symbols, options.ticks))
            for turn in range(options.repeat):
                for number, (kind, settings) in enumerate(KINDS.items()):
                    directory = Path(scratch) / f"{number}-{turn}"
                    result = worker(address, market, f"{name}-{number}-{turn}", directory, settings)
                    found[kind].append(result)
                    say(f"  {kind}: {result.measured.cpu_us:.2f} us of CPU a tick")
        finally:
            asyncio.run(delete_topics(address, name))
    rows: list[dict[str, Any]] = [
        {
            "checkpoint": kind,
            "ticks_per_second": round(median(r.measured.ticks_per_second for r in runs)),
            "cpu_us": round(median(r.measured.cpu_us for r in runs), 2),
            "peak_mb": round(max(r.measured.peak_mb for r in runs)),
        }
        for kind, runs in found.items()
    ]
    least = next(row["cpu_us"] for row in rows if row["checkpoint"] == NONE)
    for row in rows:
        row["ratio"] = round(row["cpu_us"] / least, 2)
    kept = next(row["ratio"] for row in rows if row["checkpoint"] == "every 1 s") <= COST_BOUND
    return {"symbols": symbols, "ticks": options.ticks, "rows": rows, "kept": kept}


def show(report: Mapping[str, Any], console: Console) -> None:
    """Print the result."""
    console.print(f"{report['symbols']:,} symbols, {report['ticks']:,} ticks")
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("checkpoint")
    for name in ("ticks/s", "CPU us/tick", "times the CPU of none", "peak MB"):
        table.add_column(name, justify="right")
    for row in report["rows"]:
        numbers = (f"{row['ticks_per_second']:,}", f"{row['cpu_us']:.2f}", f"{row['ratio']:.2f}", f"{row['peak_mb']:,}")
        table.add_row(row["checkpoint"], *numbers)
    console.print(table)
    console.print(f"  every second: expected at most {COST_BOUND} times: {'kept' if report['kept'] else 'missed'}")
