"""The cost of the page: open event streams, a search among many symbols, a chart of many bars, bars beside floods."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from playwright.sync_api import sync_playwright
from rich.console import Console

from benchmarks import floods, live
from benchmarks.synthetic_ticks import create
from benchmarks.throughput import ROOT, Options, broker, delete_topics, free_port, say
from tests.support.chromium import chromium
from tests.support.ticks import Tick, produce

MARKET = live.Pace(rates=(), deliveries=(), symbols=1_000, seconds=60.0, window=5, silences=0)
RATE, LATER_BOUND_MS = 1_000, 100.0  # ticks/s; how much later the bars beside floods may be
STREAMS, STREAMS_BOUND = 500, 6.0  # percent of a core that they take
SYMBOLS, SEARCHES, SEARCH_BOUND_MS = 100_000, 200, 50.0
BARS, CHART_BOUND_MS, CHART_BOUND_KB = 2_000, 1_000.0, 150.0
START_MS = 1_399_248_000_000
DEADLINE = 600.0


def run(options: Options) -> dict[str, Any]:
    """Measure all of it."""
    with tempfile.TemporaryDirectory(prefix="barwheel-bench-") as scratch, broker(options, Path(scratch)) as address:
        name = f"bench-{uuid.uuid4().hex[:8]}"
        try:
            search = _search(address, f"{name}-search", Path(scratch) / "search")
            chart = _chart(address, f"{name}-chart", Path(scratch) / "chart")
            (taken, late), (with_streams, _), (_, flooded) = _running(address, f"{name}-run", Path(scratch) / "run").values()
        finally:
            asyncio.run(delete_topics(address, name))
    rows = [
        _row(f"{STREAMS} event streams take of a core", with_streams - taken, STREAMS_BOUND, "%"),
        _row(f"search among {SYMBOLS:,} symbols, 95 of 100 answered within", search, SEARCH_BOUND_MS, "ms"),
    ]
    flood = f"{floods.SILENT} silent connections, {floods.STREAMS} streams and {floods.SEARCHERS} searches at a time"
    rows.append(_row(f"99 of 100 bars come within {late} ms; beside {flood} later by", flooded - late, LATER_BOUND_MS, "ms"))
    if chart is not None:
        rows.append(_row(f"a chart of {BARS:,} bars is drawn after", chart[0], CHART_BOUND_MS, "ms"))
        rows.append(_row(f"a chart of {BARS:,} bars transfers", chart[1], CHART_BOUND_KB, "kB"))
    return {"rows": rows, "kept": all(row["kept"] for row in rows), "chart": chart is not None}


def _row(what: str, value: float, bound: float, unit: str) -> dict[str, Any]:
    return {"what": what, "value": round(value, 2), "at_most": bound, "unit": unit, "kept": value <= bound}


def show(found: Mapping[str, Any], console: Console) -> None:
    """Print the result as a table."""
    for row in found["rows"]:
        verdict = "kept" if row["kept"] else "[red]missed[/red]"
        console.print(f"{row['what']}: {row['value']:g} {row['unit']} (expected at most {row['at_most']:g}: {verdict})")
    if not found["chart"]:
        console.print("no Chromium: the chart was not measured")


# ---- a running market beside streams and floods


def _running(address: str, name: str, directory: Path) -> dict[str, tuple[float, int]]:
    """What a worker takes of a core in a running market, and the ms from end + grace within which 99 of 100 bars come.

    Alone, beside event streams, and beside floods.
    """
    found = {}
    beside: dict[str, Callable[[int], AbstractContextManager[object]]] = {
        "alone": contextlib.nullcontext,
        "streams": partial(floods.flooded, silent=0, streams=STREAMS, searchers=0),
        "flooded": floods.flooded,
    }
    for what, begin in beside.items():
        one = f"{name}-{what}"
        say(f"a market of {RATE:,} ticks/s, {what}")
        asyncio.run(create(address, f"{one}-ticks"))
        settings = {"WINDOW_SIZE": f"{MARKET.window}s", "GRACE": f"{live.GRACE_MS}ms"}
        steady = live.steady(address, one, directory / what, MARKET, RATE, settings, begin)
        late, share = live.latencies(steady, steady.live), steady.cpu_us * RATE / 1e4
        say(f"  {share:.1f} % of a core, {late} ms from end + grace to a consumer")
        if late["p99"] is None:
            raise RuntimeError("no window ended")
        found[what] = share, late["p99"]
    return found


# ---- a search, a chart


@contextmanager
def _worker(address: str, name: str, directory: Path) -> Iterator[str]:
    """A worker on a topic of its own; its web address."""
    directory.mkdir(parents=True)
    port = free_port()
    ours = {
        "BARWHEEL_APP_ID": name,
        "BARWHEEL_BROKER": f"kafka://{address}",
        "BARWHEEL_TICKS_TOPIC": f"{name}-ticks",
        "BARWHEEL_TOPICS_PREFIX": f"{name}-",
        "BARWHEEL_TOPIC_PARTITIONS": "4",
        "BARWHEEL_WEB_PORT": str(port),
        "BARWHEEL_DATA_DIR": str(directory),
        "PYTHONPATH": str(ROOT),
    }
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen([sys.executable, "-m", "app", "worker"], env={**os.environ, **ours}, stdout=log, stderr=log)
    base = f"http://127.0.0.1:{port}"
    try:
        _wait(lambda: _get(f"{base}/readyz")["state"] == "running", process)
        yield base
    finally:
        process.terminate()
        process.wait()


def _get(url: str) -> dict[str, Any]:
    with urllib.request.urlopen(url, timeout=30) as answer:  # noqa: S310  # our own worker
        found: dict[str, Any] = json.load(answer)
        return found


def _wait(condition: Any, process: subprocess.Popen[bytes] | None = None) -> None:
    until = time.monotonic() + DEADLINE
    while time.monotonic() < until:
        if process is not None and process.poll() is not None:
            raise RuntimeError(f"the worker ended with code {process.returncode}")
        with contextlib.suppress(urllib.error.URLError, ConnectionError, TimeoutError):
            if condition():
                return
        time.sleep(0.2)
    raise RuntimeError("it does not come about")


def _fill(address: str, topic: str, ticks: list[Tick], bars: int, base: str) -> None:
    """Send the ticks and a heartbeat that closes their windows, and wait until the worker can show the bars."""
    produce(address, topic, ticks)
    _wait(lambda: (_get(f"{base}/api/v1/status")["read_model"]["bars"] or 0) >= bars)


def _search(address: str, name: str, directory: Path) -> float:
    """Milliseconds within which 95 of 100 searches are answered."""
    say(f"a worker with {SYMBOLS:,} symbols")
    with _worker(address, name, directory) as base:
        ticks = [Tick(START_MS, "1.5", f"B{number % 3}|S{number:06}") for number in range(SYMBOLS)]
        _fill(address, f"{name}-ticks", ticks, SYMBOLS, base)
        taken = []
        for number in range(SEARCHES):
            began = time.perf_counter()
            found = _get(f"{base}/api/v1/symbols?prefix=S{number * 487 % SYMBOLS:06}"[: -(number % 4) or None])
            taken.append(1_000 * (time.perf_counter() - began))
            if not found["symbols"]:
                raise RuntimeError("a symbol that is there was not found")
    return quantiles(taken, n=20)[-1]


def _chart(address: str, name: str, directory: Path) -> tuple[float, float] | None:
    """Milliseconds until the chart is drawn, and kB that were transferred; None without Chromium."""
    executable = chromium()
    if executable is None:
        return None
    say(f"a chart of {BARS:,} bars")
    with _worker(address, name, directory) as base:
        ticks = [
            Tick(START_MS + 60_000 * n + 10 * at, f"1.{n * 37 % 900 + 100 + at}", "A|x") for n in range(BARS) for at in range(3)
        ]
        _fill(address, f"{name}-ticks", ticks, BARS - 1, base)
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
