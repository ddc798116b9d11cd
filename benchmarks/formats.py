"""CPU a tick by the layout of the ticks: the same synthetic ticks through the engine, beside the default layout."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from statistics import median
from typing import Any, NamedTuple

from rich.console import Console
from rich.table import Table

from benchmarks.avro_decoders import avro_decoders
from benchmarks.schema_formats import schema_formats
from benchmarks.synthetic_ticks import START_MS, Market, generate
from tables.config import EngineConfig
from tables.engine import Engine
from tables.layouts.config import LayoutConfig
from tables.layouts.layout import TickLayout
from tables.layouts.make import make_layout
from tables.native import NATIVE
from tables.repartitioned import SOURCE_HEADER, RepartitionedLayout

BOUND = 2.0  # times the default's CPU a tick
SYMBOLS = 1_000
SLICE = 2_000  # records
TOGETHER = 20  # copies with one arrival time
ARRIVED = START_MS + 86_400_000


class Synthetic(NamedTuple):
    """One tick."""

    broker: str
    symbol: str
    ts: int
    bid: str
    ask: str
    seq: int


@dataclass(frozen=True, slots=True)
class Record:
    """A record as the engine takes it."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes
    headers: tuple[tuple[str, bytes | None], ...] = ()


@dataclass(frozen=True)
class Format:
    """A layout, and how a tick is written in it."""

    name: str
    layout: Callable[[], TickLayout]
    encode: Callable[[Synthetic], tuple[bytes | None, bytes]]
    avro: str = ""  # the schema
    copied: bool = False  # by `repartition=on`
    native: str = "off"  # the core


def _json(name: str, config: LayoutConfig, key: str, value: str) -> Format:
    """A format whose records are made of templates."""

    def encode(tick: Synthetic) -> tuple[bytes | None, bytes]:
        parts = {
            **tick._asdict(),
            "seconds": f"{tick.ts // 1_000}.{tick.ts % 1_000:03}",
            "time": datetime.fromtimestamp(tick.ts // 1_000, UTC).strftime("%Y-%m-%d %H:%M:%S") + f".{tick.ts % 1_000:03}",
        }
        return (key % parts).encode() if key else None, (value % parts).encode()

    return Format(name, lambda: make_layout(config), encode)


def _copies() -> TickLayout:
    return RepartitionedLayout(make_layout(LayoutConfig()))


def _sent(one: Format, number: int, tick: Synthetic) -> Record:
    """The record of a tick. Copies arrived as some records of a batch of their source did: together."""
    key, value = one.encode(tick)
    if not one.copied:
        return Record(number, ARRIVED, key, value)
    arrived = ARRIVED + number // TOGETHER
    return Record(number, ARRIVED, key, value, ((SOURCE_HEADER, b"ticks|0|%d|%d" % (number, arrived)),))


OWN_KEY = "%(broker)s|%(symbol)s"
OWN = '{"ts":%(ts)d,"bid":%(bid)s,"ask":%(ask)s,"seq":%(seq)d}'
FORMATS = [  # the default is the first one
    _json("default", LayoutConfig(), OWN_KEY, OWN),
    _json(
        "JSON, other names",
        LayoutConfig(fields="ts=time,bid=b,seq=n"),
        OWN_KEY,
        '{"time":%(ts)d,"b":%(bid)s,"a":%(ask)s,"n":%(seq)d}',
    ),
    _json("JSON, keyed by symbol", LayoutConfig(fields="ts=ts,bid=bid,seq=seq,broker='X'", key="{symbol}"), "%(symbol)s", OWN),
    _json(
        "JSON, nested",
        LayoutConfig(fields="ts=ts,bid=quote.bid,seq=seq"),
        OWN_KEY,
        '{"ts":%(ts)d,"quote":{"bid":%(bid)s,"ask":%(ask)s},"seq":%(seq)d}',
    ),
    _json(
        "JSON, names in the value",
        LayoutConfig(fields="ts=ts,bid=bid,seq=seq,broker=venue,symbol=code", key=""),
        "",
        '{"ts":%(ts)d,"bid":%(bid)s,"ask":%(ask)s,"seq":%(seq)d,"venue":"%(broker)s","code":"%(symbol)s"}',
    ),
    _json(
        "JSON, seconds with a fraction",
        LayoutConfig(number_unit="s"),
        OWN_KEY,
        '{"ts":%(seconds)s,"bid":%(bid)s,"ask":%(ask)s,"seq":%(seq)d}',
    ),
    _json(
        "JSON, local time, prices as text",
        LayoutConfig(zone="America/New_York"),
        OWN_KEY,
        '{"ts":"%(time)s","bid":"%(bid)s","ask":"%(ask)s","seq":%(seq)d}',
    ),
    *(Format(*one) for one in schema_formats()),
]
FORMATS.append(Format("default, repartition=on", _copies, FORMATS[0].encode, copied=True))
if NATIVE is not None:
    FORMATS.append(Format("default, native core", FORMATS[0].layout, FORMATS[0].encode, native="on"))


def run(ticks: int, repeat: int) -> dict[str, Any]:
    """Measure every format `repeat` times, one after the other in each turn."""
    market = list(_ticks(ticks))
    sent = [[_sent(one, n, tick) for n, tick in enumerate(market)] for one in FORMATS]
    gc.freeze()
    turns = [[_seconds(one, records) for one, records in zip(FORMATS, sent, strict=True)] for _ in range(repeat + 1)][1:]
    rows: list[dict[str, Any]] = [
        {
            "format": one.name,
            "us_a_tick": round(median(turn[n] for turn in turns) * 1e6 / ticks, 3),
            "ratio": round(median(turn[n] / turn[0] for turn in turns), 2),
        }
        for n, one in enumerate(FORMATS)
    ]
    decoders = {
        one.name: avro_decoders(one.avro, [record.value for record in records], repeat)
        for one, records in zip(FORMATS, sent, strict=True)
        if one.avro
    }
    return {
        "ticks": ticks,
        "repeat": repeat,
        "formats": rows,
        "avro_decoders": decoders,
        "bound": BOUND,
        "kept": all(row["ratio"] <= BOUND for row in rows),
    }


def _ticks(count: int) -> Iterable[Synthetic]:
    for _, key, value in generate(Market("", SYMBOLS, count)):
        broker, _, symbol = key.decode().partition("|")
        ts, bid, ask, seq = (part.partition(":")[2] for part in value.decode()[1:-1].split(","))
        yield Synthetic(broker, symbol, int(ts), bid, ask, int(seq))


def _seconds(one: Format, records: list[Record]) -> float:
    """CPU time of one run."""
    engine = Engine(EngineConfig(), 0, one.layout(), native=one.native)
    began = time.process_time()
    for begin in range(0, len(records), SLICE):
        if one.copied:
            engine.feed(records[begin : begin + SLICE], 2 * ARRIVED)
        else:
            engine.feed_same_arrival(records[begin : begin + SLICE], ARRIVED)
    spent = time.process_time() - began
    if engine.counters.binned != len(records):
        why = engine.take_side()[:1]
        raise RuntimeError(f"{one.name}: {engine.counters.binned} of {len(records)} ticks were binned: {why}")
    return spent


def show(found: dict[str, Any], console: Console) -> None:
    """Print the table."""
    title = f"{found['ticks']:,} ticks of {SYMBOLS:,} symbols through the engine, medians of {found['repeat']} runs"
    table = Table("ticks", "CPU a tick, us", "times the default in Python", title=title, title_justify="left")
    for row in found["formats"]:
        table.add_row(row["format"], f"{row['us_a_tick']:.3f}", f"{row['ratio']:.2f}")
    console.print(table)
    names = list(next(iter(found["avro_decoders"].values())))
    alone = Table("decoding alone, us a record", *names)
    for kind, taken in found["avro_decoders"].items():
        alone.add_row(kind, *("not installed" if taken[name] is None else f"{taken[name]:.3f}" for name in names))
    console.print(alone)
    console.print(f"bound: {found['bound']} times the default: {'kept' if found['kept'] else 'missed'}")
