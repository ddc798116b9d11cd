"""Where the CPU of a tick goes: the parts of the engine of one partition, without its consumer and producers.

What a worker takes more, see `throughput`, is the rest: fetching, Faust, asyncio and sockets, and checkpoints.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

from app.kafka.batches import BuiltBatch, Header, pack
from benchmarks.synthetic_ticks import GRACE_MS, PARTITIONS
from benchmarks.worker_core import core_name, feed, market_batches, new_batch, new_engine, opened
from tables.config import EngineConfig
from tables.emission import take_runs
from tables.native import use_large_pages

SYMBOLS = (1_000, 100_000)
SNAPPY = 2  # the default
HEADERS: list[Header] = [("app", b"barwheel"), ("leader_epoch", b"0")]
WARM = 0.25  # of the ticks: until then symbols are new
PARTS = {
    "check": "header and CRC-32C of a batch",
    "fold": "records, JSON, fold, close",
    "write": "bars into record batches",
    "compress": "those, by snappy",
}


def run(ticks: int, repeat: int) -> dict[str, Any]:
    """Measure every part on markets of few and of many symbols."""
    rows = []
    use_large_pages()  # as a worker does
    for symbols in SYMBOLS:
        batches = market_batches(symbols, ticks)
        gc.collect()
        gc.freeze()
        runs = [_measured(batches) for _ in range(repeat)]
        rows.append({"symbols": symbols, **{part: round(median(one[part] for one in runs), 3) for part in (*PARTS, "bars")}})
    return {"ticks": ticks, "repeat": repeat, "core": core_name(), "rows": rows, "kept": True}  # there is no bound


class _Clock:
    """CPU time by part."""

    def __init__(self) -> None:
        self.spent = dict.fromkeys(PARTS, 0.0)

    @contextmanager
    def of(self, part: str) -> Iterator[None]:
        began = time.process_time()
        yield
        self.spent[part] += time.process_time() - began


def _measured(batches: list[bytes]) -> dict[str, float]:
    """Microseconds a tick by part, and how many bars a tick there were."""
    engine = new_engine(EngineConfig(scope="broker", grace=GRACE_MS))
    clock, bars, first = _Clock(), 0, 0
    for number, data in enumerate(batches):
        if number == int(WARM * len(batches)):
            clock, bars, first = _Clock(), 0, engine.next_offset
        with clock.of("check"):
            batch = opened(data)
        with clock.of("fold"):
            feed(engine, batch)
        bars += engine.bars_waiting
        _send(clock, take_runs(engine.take_closed(), HEADERS))
    count = engine.next_offset - first
    return {**{part: seconds / count * 1e6 for part, seconds in clock.spent.items()}, "bars": bars / count}


class _Written(BuiltBatch):
    """A batch that is compressed when it is built, not when it is full, so that the two can be measured apart."""

    def close(self) -> None:
        """Only note it."""
        self._closed = True


def _send(clock: _Clock, records: Any) -> None:
    """Pack records as a producer does, and compress them."""
    with clock.of("write"):
        packed = list(pack(lambda: new_batch(SNAPPY, _Written), records))
    with clock.of("compress"):
        for batch in packed:
            batch._build()  # noqa: SLF001  # as the sender does


def show(found: dict[str, Any], console: Console) -> None:
    """Print the table."""
    title = f"us of CPU a tick in the engine of one of {PARTITIONS} partitions, {found['core']}, {found['ticks']:,} ticks"
    table = Table("part", *(f"{row['symbols']:,} symbols" for row in found["rows"]), title=title, title_justify="left")
    for part, text in PARTS.items():
        table.add_row(text, *(f"{row[part]:.3f}" for row in found["rows"]))
    table.add_row("together", *(f"{sum(row[part] for part in PARTS):.3f}" for row in found["rows"]))
    table.add_row("bars a tick", *(f"{row['bars']:.3f}" for row in found["rows"]))
    console.print(table)
