"""Live pace: CPU a tick, and how long after its window's end + grace a consumer has a bar."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

from rich import box
from rich.console import Console
from rich.table import Table

from app.settings import Settings
from benchmarks.bursts import Bursts, measure
from benchmarks.subjects.steady_ticks import Plan
from benchmarks.synthetic_ticks import PARTITIONS, create
from benchmarks.throughput import ROOT, Options, accounting, broker, delete_topics, environment, say, started, ticks_read

DELIVERIES = ("idempotent", "transactional")
GRACE_MS = 1_000
CHECKPOINT_MS = 1_000
SILENCE = 3.0  # seconds beyond the window and its grace; idle_margin and the timer take less than one of them
DEADLINE = 120.0
RATIO_RATE = 20_000  # ticks/s: at this pace CPU a tick is compared with that at full speed, on the same topic
RATIO_BOUND = 1.5  # times what the machine takes for the same work in bursts, see `benchmarks.bursts`
LIVE_BOUND_MS = {"idempotent": 250, "transactional": CHECKPOINT_MS + 200}  # 99 of 100 bars, at RATIO_RATE


@dataclass(frozen=True)
class Pace:
    """The options that only this benchmark has."""

    rates: Sequence[int]
    deliveries: Sequence[str]
    symbols: int
    seconds: float
    window: int  # seconds
    silences: int


class Steady(NamedTuple):
    """One worker at one pace. `times`: the end of a window, and its bars by their receipt in ms after it."""

    cpu_us: float
    ticks: int
    times: list[tuple[int, Counter[int]]]
    live: list[range]  # when ticks kept coming, epoch ms
    silent: list[range]
    kept_pace: bool
    behind_ms: int


def run(options: Options, pace: Pace) -> dict[str, Any]:
    """Measure each pace in each mode."""
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="barwheel-bench-") as scratch, broker(options, Path(scratch)) as address:
        name = f"bench-{uuid.uuid4().hex[:8]}"
        try:
            for rate in pace.rates:
                for delivery in pace.deliveries:
                    one = f"{name}-{rate}-{delivery}"
                    say(f"{rate:,} ticks/s, {delivery}")
                    row = _row(address, one, Path(scratch) / one, pace, rate, delivery)
                    say(f"  {row['cpu_us']:.2f} us of CPU a tick, live {row['live_ms']}, in silence {row['silent_ms']}")
                    rows.append(row)
        finally:
            asyncio.run(delete_topics(address, name))
    return {"pace": asdict(pace), "rows": rows, "kept": all(row["kept"] for row in rows)}


def _row(address: str, name: str, directory: Path, pace: Pace, rate: int, delivery: str) -> dict[str, Any]:
    settings = {
        "WINDOW_SIZE": f"{pace.window}s",
        "GRACE": f"{GRACE_MS}ms",
        "CHECKPOINT_INTERVAL": f"{CHECKPOINT_MS}ms",
        "DELIVERY": delivery,
    }
    asyncio.run(create(address, f"{name}-ticks"))
    found = steady(address, name, directory, pace, rate, settings)
    live, silent = latencies(found, found.live), latencies(found, found.silent)
    if live["p99"] is None:
        raise RuntimeError("no window ended at live pace: use more --seconds")
    row: dict[str, Any] = {
        "rate": rate,
        "delivery": delivery,
        "ticks": found.ticks,
        "cpu_us": round(found.cpu_us, 2),
        "live_ms": live,
        "silent_ms": silent,
        "kept_pace": found.kept_pace,
        "behind_ms": found.behind_ms,
        "kept": True,
    }
    if rate == RATIO_RATE:
        with started(address, f"{name}-ticks", f"{name}-full", directory / "full", settings) as (process, port):
            full = process.by_asking(lambda: ticks_read(port), found.ticks).cpu_us
        row |= _verdict(found, full, live["p99"], delivery, measure(rate, pace.symbols))
    return row


def _verdict(found: Steady, full_us: float, p99: int, delivery: str, bursts: Bursts) -> dict[str, Any]:
    """The worker at live pace beside the same worker at full speed, and what the machine alone makes of that."""
    ratio, bound, at_most = found.cpu_us / full_us, LIVE_BOUND_MS[delivery], RATIO_BOUND * max(1.0, bursts.ratio)
    return {
        "full_us": round(full_us, 2),
        "ratio": round(ratio, 2),
        "bursts_ratio": round(bursts.ratio, 2),
        "ratio_at_most": round(at_most, 2),
        "p99_at_most_ms": bound,
        "kept": ratio <= at_most and p99 <= bound and found.kept_pace,
    }


def steady(
    address: str,
    name: str,
    directory: Path,
    pace: Pace,
    rate: int,
    settings: Mapping[str, str],
    beside: Callable[[int], AbstractContextManager[object]] = nullcontext,
) -> Steady:
    """One worker at one pace. `beside`: what runs beside it, from the port of its web server; see `benchmarks.throughput`."""
    span = pace.window + GRACE_MS / 1_000
    finals = Settings.load(window_size=settings["WINDOW_SIZE"], topics_prefix=f"{name}-").finals_topic
    plan = Plan(pace.symbols, rate, span + 1, pace.seconds, pace.silences, span + SILENCE, pace.window)
    with (
        started(address, f"{name}-ticks", name, directory, settings) as (worker, port),
        _python(directory, "bar_times", address, finals) as consumer,
    ):
        worker.wait_until(lambda: ticks_read(port) is not None, "it is up", DEADLINE)
        _line(consumer)
        with (
            beside(port),
            _python(directory, "steady_ticks", address, f"{name}-ticks", json.dumps(plan._asdict())) as generator,
        ):
            began, first = json.loads(_line(generator)), worker.sample(0)
            ended, last = json.loads(_line(generator)), worker.sample(0)
            total = json.loads(_line(generator))
        print(total["windows"], file=consumer.stdin, flush=True)
        bars = json.loads(_line(consumer))
        times = [(end, Counter({int(ms): count for ms, count in found.items()})) for end, found in bars]
        received = sum(found.total() for _, found in times)
        if received != total["windows"]:
            counted = (accounting(port) or {}).get("total")
            raise worker.failed(f"published {received} bars of {total['windows']} windows and counted {counted}")
    return Steady(
        (last.cpu - first.cpu) / (ended["sent"] - began["sent"]) * 1e6,
        total["sent"],
        times,
        [range(began["at_ms"], ended["at_ms"])],
        [range(*silence) for silence in total["silences"]],
        total["kept_pace"],
        ended["behind_ms"],
    )


@contextmanager
def _python(directory: Path, module: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A module of the subjects as a process; on exit it is ended by its id."""
    command = [sys.executable, "-m", f"benchmarks.subjects.{module}", *arguments]
    pipe = subprocess.PIPE
    with (directory / module).open("w") as errors:
        process = subprocess.Popen(
            command, cwd=ROOT, env={**os.environ, **environment()}, stdin=pipe, stdout=pipe, stderr=errors, text=True
        )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def _line(process: subprocess.Popen[str]) -> str:
    if process.stdout is None or not (line := process.stdout.readline()):
        raise RuntimeError(f"{process.args!r} ended with code {process.wait()}")
    return line


def latencies(found: Steady, during: Sequence[range]) -> dict[str, int | None]:
    """Milliseconds from end + grace to the receipt, of the windows whose end + grace came at these times."""
    times: Counter[int] = Counter()
    for end, received in found.times:
        if any(end + GRACE_MS in part for part in during):
            times += Counter({ms - GRACE_MS: count for ms, count in received.items()})
    return _percentiles(times)


def _percentiles(times: Counter[int]) -> dict[str, int | None]:
    ordered, total = sorted(times.items()), times.total()

    def at(share: float) -> int | None:
        seen = 0
        for ms, count in ordered:
            seen += count
            if seen >= share * total:
                return ms
        return None

    return {"p50": at(0.5), "p99": at(0.99), "max": at(1.0)}


def show(report: Mapping[str, Any], console: Console) -> None:
    """Print the result."""
    pace = report["pace"]
    console.print(
        f"{pace['symbols']:,} symbols in {PARTITIONS} partitions, windows of {pace['window']} s, ms after end + grace"
    )
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("\nticks/s", justify="right")
    table.add_column("\ndelivery")
    for name in ("CPU us\na tick", "at full\nspeed", "live\np50", "\np99", "\nmax", "silent\np50", "\np99", "\nmax"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in report["rows"]:
        cpu = (f"{row['cpu_us']:.2f}", f"{row['full_us']:.2f}" if "full_us" in row else "-")
        times = [_ms(row[kind][name]) for kind in ("live_ms", "silent_ms") for name in ("p50", "p99", "max")]
        table.add_row(f"{row['rate']:,}", row["delivery"], *cpu, *times)
    console.print(table)
    console.print("  milliseconds from a window's end + grace until a consumer has its bar")
    for row in report["rows"]:
        what = f"  {row['rate']:,} ticks/s, {row['delivery']}"
        if not row["kept_pace"]:
            console.print(f"{what}: [red]the generator did not keep the pace[/red], it was {row['behind_ms']:,} ms behind")
        if "ratio" in row:
            verdict = "kept" if row["kept"] else "[red]missed[/red]"
            console.print(
                f"{what}: {row['ratio']} times the CPU at full speed (expected at most {row['ratio_at_most']:g}: "
                f"{RATIO_BOUND:g} times the {row['bursts_ratio']:g} that a bare loop takes in such bursts), "
                f"99 of 100 bars within {row['live_ms']['p99']} ms (at most {row['p99_at_most_ms']}): {verdict}",
                highlight=False,
            )


def _ms(value: int | None) -> str:
    return "-" if value is None else f"{value:,}"
