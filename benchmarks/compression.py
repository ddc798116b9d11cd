"""What each `compression` costs and saves: CPU a tick, and bytes, of the bars and states that a worker's partition writes."""

from __future__ import annotations

import gc
import time
from collections.abc import Iterable, Iterator
from statistics import median
from typing import Any, NamedTuple

from aiokafka import AIOKafkaProducer
from aiokafka.record.memory_records import MemoryRecords
from rich.console import Console
from rich.table import Table

from app.kafka.batches import Outgoing, Run, flat, pack
from app.settings import Settings
from app.settings.clients import Compression
from benchmarks.synthetic_ticks import PARTITIONS
from benchmarks.worker_core import BATCH, core_name, feed, market_batches, new_batch, new_engine, opened
from tables.checkpoint_plan import CheckpointPlan
from tables.config import EngineConfig
from tables.emission import take_runs

SYMBOLS = (1_000, 100_000)
SEND = 5  # batches of ticks whose bars are sent together
CHECKPOINT = 20_000  # ticks of all partitions: a second at a pace at which CPU counts
NS_A_BYTE = 10.0  # CPU that a byte less may take: a core then saves 100 MB/s, which is what a network of 1 Gbit/s carries


class Sends(NamedTuple):
    """What is sent together: the bars of some ticks, and the states of a checkpoint. Each can be written once."""

    bars: Iterable[Outgoing | Run]
    states: Iterable[Outgoing | Run]


class Pass(NamedTuple):
    """One pass over the ticks: CPU seconds of reading, folding, packing and compressing, and the bytes that would be sent."""

    seconds: float
    size: int
    ticks: int


def run(ticks: int, repeat: int) -> dict[str, Any]:
    """Measure every codec on markets of few and of many symbols: in each turn one after the other."""
    rows: list[dict[str, Any]] = []
    kinds: list[dict[str, Any]] = []
    for symbols in SYMBOLS:
        batches = market_batches(symbols, ticks)
        gc.collect()
        gc.freeze()
        turns = [{codec: _pass(batches, codec) for codec in Compression} for _ in range(repeat + 1)][1:]
        for codec in Compression:
            one = turns[0][codec]
            rows.append(
                {
                    "symbols": symbols,
                    "compression": codec.value,
                    "cpu_us": round(median(turn[codec].seconds for turn in turns) / one.ticks * 1e6, 3),
                    "ratio": round(median(turn[codec].seconds / turn[Compression.none].seconds for turn in turns), 3),
                    "bytes_a_tick": round(one.size / one.ticks, 1),
                }
            )
        kinds += [_kind(symbols, name, sends, repeat) for name, sends in _alone(batches).items()]
    best = worth(rows)
    default = Settings.model_fields["compression"].default
    return {
        "ticks": ticks,
        "repeat": repeat,
        "core": core_name(),
        "rows": rows,
        "records": kinds,
        "bound": NS_A_BYTE,
        "best": best.value,
        "default": default.value,
        "kept": best is default,
    }


def worth(rows: list[dict[str, Any]]) -> Compression:
    """The codec whose CPU is worth its bytes on every market; a dearer codec must be worth it beside the cheaper one."""
    markets: dict[Compression, dict[int, tuple[float, float]]] = {codec: {} for codec in Compression}
    for row in rows:
        markets[row["compression"]][row["symbols"]] = row["cpu_us"], row["bytes_a_tick"]

    def pays(codec: Compression, other: Compression) -> bool:
        pairs = [(markets[codec][symbols], markets[other][symbols]) for symbols in markets[codec]]
        return all((cpu - less_cpu) * 1_000 <= NS_A_BYTE * (more - size) for (cpu, size), (less_cpu, more) in pairs)

    best = Compression.none
    for codec in sorted(Compression, key=lambda codec: sum(cpu for cpu, _ in markets[codec].values())):
        if codec is not best and pays(codec, best):
            best = codec
    return best


def _worked(batches: list[bytes]) -> Iterator[Sends]:
    """Let the engine of one partition work, and give what it writes."""
    engine = new_engine(EngineConfig())
    plan = CheckpointPlan(engine.snapshots, 0, 0)
    ticks_left = 0  # until the next checkpoint
    for begin in range(0, len(batches), SEND):
        for data in batches[begin : begin + SEND]:
            feed(engine, opened(data))
        states: list[Outgoing | Run] = []
        if ticks_left <= 0:
            ticks_left += CHECKPOINT // PARTITIONS
            found = [*plan.runs()]
            plan.end += sum(1 if isinstance(some, tuple) else len(some) for some in found)
            states += [(*some, None, []) if isinstance(some, tuple) else some for some in found]
        ticks_left -= SEND * BATCH
        yield Sends(take_runs(engine.take_closed(), []), states)


def _pass(batches: list[bytes], codec: Compression) -> Pass:
    size = 0
    began = time.process_time()
    for sends in _worked(batches):
        size += sum(len(batch) for some in sends for batch in _built(some, codec))
    return Pass(time.process_time() - began, size, sum(1 for data in batches for _ in _records(data)))


def _alone(batches: list[bytes]) -> dict[str, list[list[Outgoing]]]:
    """Each kind of records, send by send: the ticks that `app replay` sends as well."""
    ticks: list[Outgoing] = [(record.key, record.value, None, []) for data in batches for record in _records(data)]
    bars, states = [], []
    for sends in _worked(batches):
        bars.append([*flat(sends.bars)])
        states.append([*flat(sends.states)])
    return {"tick": [ticks], "bar": [*filter(None, bars)], "state": [*filter(None, states)]}


def _built(records: Iterable[Outgoing | Run], codec: Compression) -> list[bytes]:
    number = 0 if codec is Compression.none else AIOKafkaProducer._COMPRESSORS[codec.value][1]  # noqa: SLF001
    return [bytes(batch._build()) for batch in pack(lambda: new_batch(number), records)]  # noqa: SLF001  # as the sender does


def _seconds(sends: list[list[Outgoing]], codec: Compression, repeat: int) -> float:
    """CPU time to pack and compress everything, the median."""
    found = []
    for _ in range(repeat):
        began = time.process_time()
        for records in sends:
            _built(records, codec)
        found.append(time.process_time() - began)
    return median(found)


def _kind(symbols: int, name: str, sends: list[list[Outgoing]], repeat: int) -> dict[str, Any]:
    """One kind of records alone: what a record takes in each codec."""
    count = sum(map(len, sends))
    row: dict[str, Any] = {"symbols": symbols, "record": name}
    for codec in Compression:
        built = [batch for records in sends for batch in _built(records, codec)]
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
    title = f"{found['ticks']:,} ticks, one of {PARTITIONS} partitions: the {found['core']}, and packing its bars and states"
    table = Table("symbols", "compression", "CPU a tick, us", "times none", "bytes a tick", title=title, title_justify="left")
    for row in found["rows"]:
        numbers = (f"{row['cpu_us']:.3f}", f"{row['ratio']:.3f}", f"{row['bytes_a_tick']:.1f}")
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
        f"each byte less for at most {found['bound']:.0f} ns of CPU: {found['best']}; "
        f"the default is {found['default']}: {'kept' if found['kept'] else 'missed'}"
    )
