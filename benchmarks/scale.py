"""Several workers that share a topic: CPU a tick by their number and by that of the partitions, and what a large market needs.

The ticks are written in a transaction that stays open until every worker has its partitions, so that all of them begin at the
same moment and no rebalance is measured.
"""

from __future__ import annotations

import asyncio
import itertools
import math
import tempfile
import time
import uuid
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

from rich import box
from rich.console import Console
from rich.table import Table

from benchmarks.measure import Subject
from benchmarks.synthetic_ticks import Market, create, generate, market_producer, send
from benchmarks.throughput import Options, accounting, broker, delete_topics, records_in, say, started

CONSTANT = 1.1  # times the CPU a tick of one worker that each number of workers may take
TRANSACTION_MS = 900_000  # as long as a broker allows by default
LOAD = 0.6  # of what a worker can do: the rest is for catching up, and for the partitions of a worker that is lost
PARTITIONS_A_WORKER = 4  # at least, so that those of a lost worker are spread over the others


class Large(NamedTuple):
    """A market to plan for."""

    symbols: int
    ticks_per_second: int


class _Worker(NamedTuple):
    subject: Subject
    port: int

    def counted(self) -> tuple[int, int]:
        """How many partitions it has, and how many ticks it has read."""
        if self.subject.process.poll() is not None:
            raise self.subject.failed(f"ended with exit code {self.subject.process.returncode}")
        found = accounting(self.port)
        return (0, 0) if found is None else (len(found["partitions"]), found["total"]["read"])


def run(options: Options, workers: Sequence[int], partitions: Sequence[int], large: Large) -> dict[str, Any]:
    """Measure each number of workers with each number of partitions; progress goes to standard error."""
    rows: list[dict[str, Any]] = []
    (symbols,) = options.symbols
    with tempfile.TemporaryDirectory(prefix="barwheel-bench-") as scratch, broker(options, Path(scratch)) as address:
        for _, parts, count in itertools.product(range(options.repeat), partitions, workers):
            name = f"bench-{uuid.uuid4().hex[:8]}"
            market = Market(f"{name}-ticks", symbols, options.ticks, partitions=parts)
            say(f"{parts} partitions, {count} workers")
            try:
                rows.append(asyncio.run(_measure(address, name, market, count, Path(scratch) / name)))
            finally:
                asyncio.run(delete_topics(address, name))
            say(f"  {rows[-1]['cpu_us']:.2f} us of CPU a tick, {rows[-1]['ticks_per_second']:,} ticks/s")
    least = min(workers)
    for row in rows:
        alone = [other["cpu_us"] for other in rows if (other["partitions"], other["workers"]) == (row["partitions"], least)]
        row["ratio"] = round(row["cpu_us"] / (sum(alone) / len(alone)), 3)
    kept = all(row["ratio"] <= CONSTANT for row in rows)
    sample = list(itertools.islice(generate(Market("", symbols, options.ticks)), 1_000))
    size = sum(len(key) + len(value) for _, key, value in sample) / len(sample)
    return {"symbols": symbols, "ticks": options.ticks, "rows": rows, "needs": needs(rows, symbols, size, large), "kept": kept}


async def _measure(address: str, name: str, market: Market, count: int, directory: Path) -> dict[str, Any]:
    await create(address, market.topic, market.partitions)
    producer = market_producer(address, transactional_id=name, transaction_timeout_ms=TRANSACTION_MS)
    await producer.start()
    with ExitStack() as stack:
        try:
            await producer.begin_transaction()
            await send(producer, market.topic, generate(market))
            workers = [
                _Worker(*stack.enter_context(started(address, market.topic, name, directory / str(number))))
                for number in range(count)
            ]
            fair = market.partitions // count
            await asyncio.to_thread(
                workers[0].subject.wait_until,
                lambda: all(worker.counted()[0] == fair for worker in workers),
                f"each has {fair} partitions",
            )
            idle = [worker.subject.resident_mb() for worker in workers]
            before, began = _cpu(workers), time.perf_counter()
            await producer.commit_transaction()
        finally:
            await producer.stop()
        await asyncio.to_thread(
            workers[0].subject.wait_until,
            lambda: sum(worker.counted()[1] for worker in workers) >= market.ticks,
            "all is read",
        )
        cpu, seconds = _cpu(workers) - before, time.perf_counter() - began
        peak = [worker.subject.peak_mb() for worker in workers]
    bars = await records_in(address, f"{name}-bar_1m_final", market.partitions)
    if not market.fewest_bars <= bars <= market.most_bars:
        raise RuntimeError(f"{bars} bars, expected {market.fewest_bars} to {market.most_bars}: {directory}")
    return {
        "partitions": market.partitions,
        "workers": count,
        "cpu_us": round(cpu / market.ticks * 1e6, 3),
        "ticks_per_second": round(market.ticks / seconds),
        "idle_mb": round(max(idle), 1),
        "peak_mb": round(max(peak), 1),
    }


def _cpu(workers: Sequence[_Worker]) -> float:
    return sum(worker.subject.sample(0).cpu for worker in workers)


def needs(rows: Sequence[Mapping[str, Any]], symbols: int, tick_bytes: float, large: Large) -> dict[str, Any]:
    """What a large market needs, from the dearest row and the memory of one worker with all symbols."""
    fewest = min(row["workers"] for row in rows)
    alone = [row for row in rows if row["workers"] == fewest]
    cpu_us = max(row["cpu_us"] for row in rows)
    idle, peak = max(row["idle_mb"] for row in alone), max(row["peak_mb"] for row in alone)
    kb_a_symbol = (peak - idle) * 1024 * fewest / symbols
    workers = math.ceil(large.ticks_per_second * cpu_us / 1e6 / LOAD)
    return {
        "symbols": large.symbols,
        "ticks_per_second": large.ticks_per_second,
        "cpu_us": cpu_us,
        "idle_mb": idle,
        "kb_a_symbol": round(kb_a_symbol, 2),
        "workers": workers,
        "mb_a_worker": round(idle + large.symbols / workers * kb_a_symbol / 1024),
        "partitions": 1 << (workers * PARTITIONS_A_WORKER - 1).bit_length(),
        "input_mb_per_second": round(large.ticks_per_second * tick_bytes / 1e6),
        "bars_per_second": round(large.symbols / 60),
    }


def show(report: Mapping[str, Any], console: Console) -> None:
    """Print the result."""
    console.print(f"{report['symbols']:,} symbols, {report['ticks']:,} ticks")
    table = Table(box=box.SIMPLE_HEAD)
    for heading in ("partitions", "workers", "CPU us/tick", "of one worker", "ticks/s", "peak MB of a worker"):
        table.add_column(heading, justify="right")
    for row in report["rows"]:
        table.add_row(
            str(row["partitions"]),
            str(row["workers"]),
            f"{row['cpu_us']:.2f}",
            f"{row['ratio']:.2f}",
            f"{row['ticks_per_second']:,}",
            f"{row['peak_mb']:,.0f}",
        )
    console.print(table)
    verdict = "kept" if report["kept"] else "[red]missed[/red]"
    console.print(f"  at most {CONSTANT:g} times the CPU a tick of one worker: {verdict}", highlight=False)
    need = report["needs"]
    console.print(
        f"\n{need['symbols']:,} symbols and {need['ticks_per_second']:,} ticks/s need, with {need['cpu_us']:.2f} us of CPU"
        f" a tick and workers at {LOAD:.0%} of a core:\n"
        f"  {need['workers']:,} workers with a core and {need['mb_a_worker']:,} MB each"
        f" ({need['idle_mb']:,.0f} MB, and {need['kb_a_symbol']:.2f} KB a symbol)\n"
        f"  {need['partitions']:,} partitions, {PARTITIONS_A_WORKER} or more a worker\n"
        f"  {need['input_mb_per_second']:,} MB/s of ticks from Kafka before compression, and {need['bars_per_second']:,} bars/s"
        " of one minute to it",
        highlight=False,
    )
