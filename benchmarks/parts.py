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

from aiokafka.producer.message_accumulator import BatchBuilder
from rich.console import Console
from rich.table import Table

from app.kafka.batches import ENCODERS, BuiltBatch, Header, pack
from app.kafka.producers import BATCH_BYTES
from app.kafka.raw_batches import RawBatch
from benchmarks.synthetic_ticks import GRACE_MS, PARTITIONS, Market, generate
from tables.config import EngineConfig
from tables.emission import take_runs
from tables.engine import Engine
from tables.native import batch_builder, checksum
from tests.support.raw_batches import read_by_aiokafka, stored

SYMBOLS = (1_000, 100_000)
BATCH = 800  # ticks: about 64 kB
ARRIVED = 1_700_000_000_000
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
    for symbols in SYMBOLS:
        batches = _batches(symbols, ticks)
        gc.collect()
        gc.freeze()
        runs = [_measured(batches) for _ in range(repeat)]
        rows.append({"symbols": symbols, **{part: round(median(one[part] for one in runs), 3) for part in (*PARTS, "bars")}})
    core = "python" if batch_builder("auto") is None else "native"
    return {"ticks": ticks, "repeat": repeat, "core": core, "rows": rows, "kept": True}  # there is no bound


def _batches(symbols: int, ticks: int) -> list[bytes]:
    """The batches of one partition, as the broker stores them."""
    market = generate(Market("", symbols, ticks))
    contents: list[Any] = [(key, value, []) for partition, key, value in market if partition == 0]
    return [stored(contents[at : at + BATCH], at, ARRIVED + at) for at in range(0, len(contents), BATCH)]


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
    engine = Engine(EngineConfig(scope="broker", grace=GRACE_MS), native="auto")
    check, new_builder = checksum("auto"), batch_builder("auto")
    clock, bars, first = _Clock(), 0, 0
    for number, data in enumerate(batches):
        if number == int(WARM * len(batches)):
            clock, bars, first = _Clock(), 0, engine.next_offset
        if check is None:
            with clock.of("check"):
                batch: Any = read_by_aiokafka(data)
                batch.validate_crc()
            with clock.of("fold"):
                engine.feed_same_arrival(batch, batch.max_timestamp)
        else:
            with clock.of("check"):
                batch = RawBatch(read_by_aiokafka(data), memoryview(data), check, "")
            with clock.of("fold"):
                engine.feed_batch(batch, 0)
        bars += engine.bars_waiting
        _send(clock, new_builder, take_runs(engine.take_closed(), HEADERS))
    count = engine.next_offset - first
    return {**{part: seconds / count * 1e6 for part, seconds in clock.spent.items()}, "bars": bars / count}


def _send(clock: _Clock, new_builder: Any, records: Any) -> None:
    """Pack records as a producer does, and compress them."""

    def new_batch() -> Any:
        if new_builder is None:
            return BatchBuilder(BATCH_BYTES, SNAPPY)
        return BuiltBatch(new_builder(BATCH_BYTES, SNAPPY, ENCODERS[SNAPPY], False))

    with clock.of("write"):
        packed = list(pack(new_batch, records))
    with clock.of("compress"):
        for batch in packed:
            batch._build()  # noqa: SLF001  # as the sender does


def show(found: dict[str, Any], console: Console) -> None:
    """Print the table."""
    title = f"us of CPU a tick in the engine of one of {PARTITIONS} partitions, {found['core']} core, {found['ticks']:,} ticks"
    table = Table("part", *(f"{row['symbols']:,} symbols" for row in found["rows"]), title=title, title_justify="left")
    for part, text in PARTS.items():
        table.add_row(text, *(f"{row[part]:.3f}" for row in found["rows"]))
    table.add_row("together", *(f"{sum(row[part] for part in PARTS):.3f}" for row in found["rows"]))
    table.add_row("bars a tick", *(f"{row['bars']:.3f}" for row in found["rows"]))
    console.print(table)
