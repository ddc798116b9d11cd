"""What each `compression` costs and saves: CPU a tick, and bytes, of the bars and states that the engine writes."""

from __future__ import annotations

import gc
import json
import time
from collections.abc import Iterable
from statistics import median
from typing import Any, NamedTuple

from aiokafka import AIOKafkaProducer
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.record.memory_records import MemoryRecords
from rich.console import Console
from rich.table import Table

from app.kafka.batches import Outgoing, pack
from app.kafka.producers import BATCH_BYTES
from app.settings import Settings
from app.settings.clients import Compression
from benchmarks.formats import Record
from benchmarks.synthetic_ticks import PARTITIONS, Market, generate
from tables.checkpoint_plan import CheckpointPlan
from tables.config import EngineConfig
from tables.emission import take_records
from tables.engine import Engine

SYMBOLS = (1_000, 100_000)
SLICE = 2_000  # records
CHECKPOINT = 20_000  # ticks of all partitions: a second at a pace at which CPU counts
BOUND = 1.10  # times the CPU a tick without compression: the default may take so much


class Written(NamedTuple):
    """What the engine of one partition writes, send by send, and the CPU that it takes to make it, in seconds."""

    ticks: list[list[Outgoing]]
    bars: list[list[Outgoing]]
    states: list[list[Outgoing]]
    ticks_read: int
    seconds: float


def run(ticks: int, repeat: int) -> dict[str, Any]:
    """Measure every codec on markets of few and of many symbols."""
    rows: list[dict[str, Any]] = []
    kinds: list[dict[str, Any]] = []
    for symbols in SYMBOLS:
        gc.disable()  # everything is kept here, so each collection would look at more
        written = _written(symbols, ticks)
        gc.freeze()
        gc.enable()
        plain = written.seconds + _seconds([*written.bars, *written.states], Compression.none, repeat)
        for codec in Compression:
            spent = written.seconds + _seconds([*written.bars, *written.states], codec, repeat)
            size = sum(map(len, _built([*written.bars, *written.states], codec)))
            rows.append(
                {
                    "symbols": symbols,
                    "compression": codec.value,
                    "cpu_us": round(spent / written.ticks_read * 1e6, 2),
                    "ratio": round(spent / plain, 2),
                    "bytes_a_tick": round(size / written.ticks_read, 1),
                }
            )
        kinds += [
            _kind(symbols, name, sends, repeat)
            for name, sends in (("tick", written.ticks), ("bar", written.bars), ("state", written.states))
        ]
    dearest = {codec: max(row["ratio"] for row in rows if row["compression"] == codec) for codec in Compression}
    total = {codec: sum(row["bytes_a_tick"] for row in rows if row["compression"] == codec) for codec in Compression}
    best = min((codec for codec in Compression if dearest[codec] <= BOUND), key=lambda codec: total[codec])
    default = Settings.model_fields["compression"].default
    return {
        "ticks": ticks,
        "repeat": repeat,
        "rows": rows,
        "records": kinds,
        "bound": BOUND,
        "best": best.value,
        "default": default.value,
        "kept": best is default,
    }


def _written(symbols: int, ticks: int) -> Written:
    """Let the engine of one partition work. It is measured without the making of the records it gets."""
    market = [(key, value) for partition, key, value in generate(Market("", symbols, ticks)) if partition == 0]
    records = [Record(n, json.loads(value)["ts"], key, value) for n, (key, value) in enumerate(market)]
    engine = Engine(EngineConfig())
    plan = CheckpointPlan(engine.snapshots, 0, 0)
    bars: list[list[Outgoing]] = []
    states: list[list[Outgoing]] = []
    began = time.process_time()
    for begin in range(0, len(records), SLICE):
        arrived = records[begin : begin + SLICE]
        engine.feed_same_arrival(arrived, arrived[-1].timestamp)  # as with LogAppendTime
        bars.append([*take_records(engine.take_closed(), [])])
        if begin // SLICE % (CHECKPOINT // PARTITIONS // SLICE or 1) == 0:
            states.append([(key, value, None, []) for key, value in plan.round()])
            plan.end += len(states[-1])
    seconds = time.process_time() - began
    sent: list[Outgoing] = [(key, value, None, []) for key, value in market]
    return Written([sent], [*filter(None, bars)], [*filter(None, states)], len(records), seconds)


def _built(sends: Iterable[Iterable[Outgoing]], codec: Compression) -> list[bytes]:
    attributes = 0 if codec is Compression.none else AIOKafkaProducer._COMPRESSORS[codec.value][1]  # noqa: SLF001
    return [
        bytes(batch._build())  # noqa: SLF001  # as the sender does
        for records in sends
        for batch in pack(lambda: BatchBuilder(BATCH_BYTES, attributes), records)
    ]


def _seconds(sends: list[list[Outgoing]], codec: Compression, repeat: int) -> float:
    """CPU time to pack and compress everything, the median."""
    found = []
    for _ in range(repeat):
        began = time.process_time()
        _built(sends, codec)
        found.append(time.process_time() - began)
    return median(found)


def _kind(symbols: int, name: str, sends: list[list[Outgoing]], repeat: int) -> dict[str, Any]:
    """One kind of records alone: what a record takes in each codec."""
    count = sum(map(len, sends))
    row: dict[str, Any] = {"symbols": symbols, "record": name}
    for codec in Compression:
        built = _built(sends, codec)
        began = time.process_time()
        read = sum(1 for batch in built for _ in _records(batch))
        reading = time.process_time() - began
        if read != count:
            raise RuntimeError(f"{read} of {count} records of {codec.value} were read")
        row[codec.value] = {
            "bytes": round(sum(map(len, built)) / count, 1),
            "write_us": round(_seconds(sends, codec, repeat) / count * 1e6, 2),
            "read_us": round(reading / count * 1e6, 2),
        }
    return row


def _records(batch: bytes) -> Iterable[Any]:
    records = MemoryRecords(batch)
    while records.has_next():
        yield from records.next_batch()


def show(found: dict[str, Any], console: Console) -> None:
    """Print the tables."""
    title = f"{found['ticks']:,} ticks, one of {PARTITIONS} partitions: the engine, and packing its bars and states"
    table = Table("symbols", "compression", "CPU a tick, us", "times none", "bytes a tick", title=title, title_justify="left")
    for row in found["rows"]:
        numbers = (f"{row['cpu_us']:.2f}", f"{row['ratio']:.2f}", f"{row['bytes_a_tick']:.1f}")
        table.add_row(f"{row['symbols']:,}", row["compression"], *numbers)
    console.print(table)
    alone = Table("symbols", "a record", *(f"{codec.value}: bytes, us to write, to read" for codec in Compression))
    for row in found["records"]:
        cells = (row[codec.value] for codec in Compression)
        alone.add_row(
            f"{row['symbols']:,}",
            row["record"],
            *(f"{cell['bytes']:.0f}, {cell['write_us']:.2f}, {cell['read_us']:.2f}" for cell in cells),
        )
    console.print(alone)
    console.print(
        f"fewest bytes of those at most {found['bound']} times the CPU of none: {found['best']}; "
        f"the default is {found['default']}: {'kept' if found['kept'] else 'missed'}"
    )
