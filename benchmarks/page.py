"""The cost of the page: open event streams, a search among many symbols, a chart of many bars, bars beside floods."""

from __future__ import annotations

import asyncio
import contextlib
import json
import tempfile
import time
import urllib.request
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from statistics import median, quantiles
from typing import Any, NamedTuple

from playwright.sync_api import sync_playwright
from rich import box
from rich.console import Console
from rich.table import Table

from benchmarks import floods, live
from benchmarks.measure import DEADLINE, Subject
from benchmarks.synthetic_ticks import BROKERS, START_MS, WINDOW_MS, create
from benchmarks.throughput import Options, broker, delete_topics, say, started
from tests.support.chromium import MISSING, chromium
from tests.support.ticks import Tick, heartbeat, produce

MARKET = live.Pace(rates=(), deliveries=(), symbols=1_000, seconds=25.0, window=5, silences=0)
RATE, LATER_BOUND_MS = 1_000, 100.0  # ticks/s; how much later the bars beside floods may be
STREAMS, STREAMS_BOUND = 500, 6.0  # percent of a core that they take
SYMBOLS, SEARCHES, SEARCH_BOUND_MS = 100_000, 200, 50.0
BARS, CHART_BOUND_MS, CHART_BOUND_KB = 2_000, 1_000.0, 150.0


def run(options: Options) -> dict[str, Any]:
    """Measure all of it."""
    with tempfile.TemporaryDirectory(prefix="barwheel-bench-") as scratch, broker(options, Path(scratch)) as address:
        name = f"bench-{uuid.uuid4().hex[:8]}"
        try:
            search = _search(address, f"{name}-search", Path(scratch) / "search")
            chart = _chart(address, f"{name}-chart", Path(scratch) / "chart")
            market = _market(address, f"{name}-run", Path(scratch) / "run")
        finally:
            asyncio.run(delete_topics(address, name))
    alone, streams, flooded = market["alone"], market["streams"], market["flooded"]
    rows = [
        _row(f"search among {SYMBOLS:,} symbols: 95 of 100 answers within", search, SEARCH_BOUND_MS, "ms"),
        _row(f"{STREAMS} event streams take of a core", streams.percent - alone.percent, STREAMS_BOUND, "%"),
        _row("bars beside the flood come later by (p99)", flooded.p99 - alone.p99, LATER_BOUND_MS, "ms"),
    ]
    if chart is not None:
        rows.append(_row(f"chart of {BARS:,} bars: drawn after", chart[0], CHART_BOUND_MS, "ms"))
        rows.append(_row(f"chart of {BARS:,} bars: transferred", chart[1], CHART_BOUND_KB, "kB"))
    return {
        "rows": rows,
        "market": {what: one._asdict() for what, one in market.items()},
        "kept": all(row["kept"] for row in rows),
        "chart": chart is not None,
    }


def _row(what: str, value: float, bound: float, unit: str) -> dict[str, Any]:
    return {"what": what, "value": round(value, 2), "at_most": bound, "unit": unit, "kept": value <= bound}


def show(found: Mapping[str, Any], console: Console) -> None:
    """Print the result as two tables."""
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("")
    for heading in ("measured", "at most", "verdict"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in found["rows"]:
        measured, bound = (f"{row[name]:g} {row['unit']}" for name in ("value", "at_most"))
        table.add_row(row["what"], measured, bound, "kept" if row["kept"] else "[red]missed[/red]")
    console.print(table)
    table = Table(title=f"a market of {RATE:,} ticks/s", title_justify="left", box=box.SIMPLE_HEAD)
    for heading in ("beside", "worker, % of a core", "bars, ms after end + grace: p50", "p99", "max"):
        table.add_column(heading, justify="left" if heading == "beside" else "right")
    for what, one in found["market"].items():
        table.add_row(BESIDE[what], f"{one['percent']:.1f}", *(f"{one[name]:,}" for name in ("p50", "p99", "max")))
    console.print(table)
    if not found["chart"]:
        console.print(f"The chart was not measured: {MISSING}.")


# ---- a running market beside streams and floods

BESIDE = {
    "alone": "nothing",
    "streams": f"{STREAMS} event streams",
    "flooded": f"{floods.SILENT} silent connections, {floods.STREAMS} streams, {floods.SEARCHERS} searches at a time",
}


class Running(NamedTuple):
    """A worker in a running market: what it takes of a core, and the ms from end + grace until a consumer has a bar."""

    percent: float
    p50: int
    p99: int
    max: int


def _market(address: str, name: str, directory: Path) -> dict[str, Running]:
    """The same market three times, beside what `BESIDE` names."""
    begin: dict[str, Callable[[int], AbstractContextManager[object]]] = {
        "alone": contextlib.nullcontext,
        "streams": partial(floods.flooded, silent=0, streams=STREAMS, searchers=0),
        "flooded": floods.flooded,
    }
    return {what: _beside(address, f"{name}-{what}", directory / what, what, begin[what]) for what in BESIDE}


def _beside(
    address: str, name: str, directory: Path, what: str, begin: Callable[[int], AbstractContextManager[object]]
) -> Running:
    say(f"a market of {RATE:,} ticks/s for {MARKET.seconds:g} s; beside it: {BESIDE[what]}")
    asyncio.run(create(address, f"{name}-ticks"))
    settings = {"WINDOW_SIZE": f"{MARKET.window}s", "GRACE": f"{live.GRACE_MS}ms"}
    steady = live.steady(address, name, directory, MARKET, RATE, settings, begin)
    times = live.latencies(steady, steady.live)
    p50, p99, most = (times[one] for one in ("p50", "p99", "max"))
    if p50 is None or p99 is None or most is None:
        raise RuntimeError("no window ended")
    return Running(round(steady.cpu_us * RATE / 1e4, 2), p50, p99, most)


# ---- a search, a chart


@contextmanager
def _worker(address: str, name: str, directory: Path) -> Iterator[tuple[Subject, str]]:
    """A worker on a topic of its own, and its web address."""
    asyncio.run(create(address, f"{name}-ticks"))
    with started(address, f"{name}-ticks", name, directory) as (worker, port):
        base = f"http://127.0.0.1:{port}"
        worker.wait_until(lambda: (_get(f"{base}/readyz") or {}).get("state") == "running", "it is ready")
        yield worker, base


def _get(url: str) -> dict[str, Any] | None:
    """The answer; None without a successful one."""
    try:
        with urllib.request.urlopen(url, timeout=30) as answer:  # noqa: S310  # our own worker
            found: dict[str, Any] = json.load(answer)
            return found
    except OSError:
        return None


def _kept_bars(base: str) -> int:
    """Bars in the worker's local copy."""
    status = _get(f"{base}/api/v1/status")
    return 0 if status is None else status["read_model"]["bars"] or 0


def _fill(worker: Subject, base: str, address: str, topic: str, ticks: Iterable[Tick], bars: int) -> None:
    """Send ticks, and wait until the worker can show so many bars."""
    produce(address, topic, ticks)
    worker.wait_until(lambda: _kept_bars(base) >= bars, f"{bars:,} bars are in its copy")


def _search(address: str, name: str, directory: Path) -> float:
    """Milliseconds within which 95 of 100 searches are answered."""
    say(f"searches among {SYMBOLS:,} symbols")
    with _worker(address, name, directory) as (worker, base):
        ticks = [Tick(START_MS, "1.5", f"{BROKERS[number % len(BROKERS)]}|S{number:06}") for number in range(SYMBOLS)]
        # without them only elapsed time would close the windows, after more than a minute
        later = [heartbeat(START_MS + 2 * WINDOW_MS, f"{one}|any") for one in BROKERS]
        _fill(worker, base, address, f"{name}-ticks", [*ticks, *later], SYMBOLS)
        taken = []
        for number in range(SEARCHES):
            began = time.perf_counter()
            found = _get(f"{base}/api/v1/symbols?prefix=S{number * 487 % SYMBOLS:06}"[: -(number % 4) or None])
            taken.append(1_000 * (time.perf_counter() - began))
            if not found or not found["symbols"]:
                raise worker.failed("a symbol that is there was not found")
    return quantiles(taken, n=20)[-1]


def _chart(address: str, name: str, directory: Path) -> tuple[float, float] | None:
    """Milliseconds until the chart is drawn, and kB that were transferred; None without Chromium."""
    executable = chromium()
    if executable is None:
        return None
    say(f"a chart of {BARS:,} bars")
    with _worker(address, name, directory) as (worker, base):
        times = [(n, START_MS + WINDOW_MS * n + 10 * at, at) for n in range(BARS) for at in range(3)]
        ticks = [Tick(ts, f"1.{n * 37 % 900 + 100 + at}", "A|x") for n, ts, at in times]
        _fill(worker, base, address, f"{name}-ticks", ticks, BARS - 1)  # the last window stays open
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=executable)
            took = [_drawn(browser.new_page(), f"{base}/chart/A/x") for _ in range(3)]
            browser.close()
    return median(ms for ms, _ in took), max(kb for _, kb in took)


def _drawn(page: Any, url: str) -> tuple[float, float]:
    page.goto(url)
    asked = "performance.getEntriesByName('drawn')[0]?.startTime ?? 0"
    until = time.monotonic() + DEADLINE
    while not (ms := page.evaluate(asked)) and time.monotonic() < until:
        page.wait_for_timeout(20)
    size = "performance.getEntries().reduce((sum, one) => sum + (one.transferSize ?? 0), 0)"
    kb = page.evaluate(size) / 1_000
    page.close()
    return float(ms), float(kb)
