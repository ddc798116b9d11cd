"""`app bars`: read the final bars of this app from their topic."""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from operator import attrgetter
from typing import TYPE_CHECKING, Any

import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError
from faust.cli.base import argument, option
from rich.console import Console
from rich.table import Table

from app.commands import base
from app.errors import BrokerError, InputError
from app.kafka.bootstrap import admin
from app.kafka.cluster import Cluster
from app.kafka.topics import partition_counts
from app.settings import Settings
from tables.bars import Bar, decode_bar, encode_bar

if TYPE_CHECKING:
    import faust

TABLE_ROWS = 20
_CSV = [
    "broker",
    "symbol",
    "bucket_start",
    "bucket_end",
    "open",
    "high",
    "low",
    "close",
    "volume",
    "vwap",
    "ticks",
    "first_ts",
    "last_ts",
    "close_reason",
]


@dataclass(frozen=True)
class Wanted:
    """Which bars; times are epoch ms of a bar's start, `until` excluded."""

    app_id: str
    broker: str | None = None
    symbol: str | None = None
    since: int | None = None
    until: int | None = None

    def bar(self, record: Any) -> Bar | None:
        """The record's bar where it is one of ours and wanted; another app's, and what is no bar, is None."""
        if record.value is None or not any(k == "app_id" and v == self.app_id.encode() for k, v in record.headers):
            return None
        try:
            bar = decode_bar(record.value)
        except msgspec.MsgspecError:
            return None
        fits = (
            self.broker in (None, bar.broker)
            and self.symbol in (None, bar.symbol)
            and (self.since is None or bar.bucket_start >= self.since)
            and (self.until is None or bar.bucket_start < self.until)
        )
        return bar if fits else None


def register(app: faust.App) -> None:
    """Add the command."""

    @app.command(
        argument("broker", required=False),
        argument("symbol", required=False),
        option("--from", "since", help="First bar start: 2014-05-05T00:00:00Z or epoch ms."),
        option("--to", "until", help="Bars that start before this."),
        option("--last", type=int, help="The newest N.  [default: 20 in a table, else all]"),
        option(
            "--follow",
            is_flag=True,
            default=False,
            show_default=False,
            help="Go on with new bars until Ctrl-C.",
        ),
        option("--csv", "as_csv", is_flag=True, default=False, show_default=False, help="Print CSV."),
        option("--json", "as_json", is_flag=True, default=False, show_default=False, help="Print JSON lines."),
        base=base.BarwheelCommand,
    )
    async def bars(self: base.BarwheelCommand, **given: Any) -> int:  # noqa: ARG001 - Faust passes itself
        """Print final bars, in order of time.

        \b
        Example:
          app bars                          the newest 20 of all symbols
          app bars fxcm EURUSD --last 5
          app bars fxcm EURUSD --from 2014-05-05 --to 2014-05-06 --csv
          app bars --follow --json
        """  # noqa: D301 - click reads \b
        return await run(Settings.load(), given)


async def run(settings: Settings, given: dict[str, Any]) -> int:
    """Read to the end, print, and with --follow go on; 0 also where there are no bars (a line says so)."""
    last = given["last"]
    if last is not None and last < 1:
        raise InputError(f"--last {last}: must be 1 or more")
    if given["as_csv"] and given["as_json"]:
        raise InputError("--csv and --json: choose one")
    wanted = Wanted(
        settings.app_id,
        given["broker"],
        given["symbol"],
        base.time_ms(given["since"], "--from") if given["since"] else None,
        base.time_ms(given["until"], "--to") if given["until"] else None,
    )
    plain = not given["as_csv"] and not given["as_json"]
    cluster = await base.reach(settings)
    async with reader(cluster, settings.finals_topic) as consumer:
        found = await read_to_end(consumer, wanted) if consumer else []
        newest = found[-(last or (TABLE_ROWS if plain else len(found) or 1)) :]
        if plain and (newest or not given["follow"]):
            _print_table(settings, newest, len(found))
        elif not plain:
            _print_lines(newest, as_csv=given["as_csv"], header=True)
        if given["follow"]:
            if consumer is None:
                raise InputError(f"topic {settings.finals_topic} does not exist yet: start `app worker` first")
            show: Callable[[list[Bar]], None] = (
                _print_rows if plain else lambda more: _print_lines(more, as_csv=given["as_csv"], header=False)
            )
            await _follow(consumer, wanted, show)
    return 0


@asynccontextmanager
async def reader(cluster: Cluster, topic: str) -> AsyncIterator[AIOKafkaConsumer | None]:
    """Give a consumer without a group on all partitions, at their beginning; None where there is no such topic."""
    consumer = AIOKafkaConsumer(
        **cluster.client,
        client_id="barwheel-bars",
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        isolation_level="read_committed",
        fetch_max_wait_ms=200,
    )
    try:
        await consumer.start()
        async with admin(cluster) as client:
            count = (await partition_counts(client)).get(topic)
        if count is None:
            yield None
            return
        partitions = [TopicPartition(topic, number) for number in range(count)]
        consumer.assign(partitions)
        await consumer.seek_to_beginning(*partitions)
        yield consumer
    except KafkaError as error:  # an OSError is not the broker's: it comes from where the bars are written to
        raise BrokerError(f"reading {topic} failed: {str(error) or type(error).__name__}") from error
    finally:
        await consumer.stop()


async def read_to_end(consumer: AIOKafkaConsumer, wanted: Wanted) -> list[Bar]:
    """What is there now, the last record of each key, in order of (start, broker, symbol)."""
    ends = await consumer.end_offsets(sorted(consumer.assignment()))
    found: dict[bytes, Bar] = {}
    while True:
        behind = [tp for tp, end in ends.items() if await consumer.position(tp) < end]
        if not behind:
            break
        for records in (await consumer.getmany(timeout_ms=200)).values():
            found.update((r.key, bar) for r in records if (bar := wanted.bar(r)) is not None)
    return sorted(found.values(), key=attrgetter("bucket_start", "broker", "symbol"))


async def _follow(consumer: AIOKafkaConsumer, wanted: Wanted, show: Callable[[list[Bar]], None]) -> None:
    while True:
        arrived = [wanted.bar(r) for records in (await consumer.getmany(timeout_ms=500)).values() for r in records]
        fresh = [bar for bar in arrived if bar is not None]
        if fresh:
            show(sorted(fresh, key=attrgetter("bucket_start", "broker", "symbol")))
            sys.stdout.flush()  # whoever follows through a pipe wants each bar now


def table(bars: Iterable[Bar], title: str) -> Table:
    """The bars as a table for people."""
    made = Table(title=title, title_justify="left")
    for name in ("start (UTC)", "broker", "symbol"):
        made.add_column(name, no_wrap=True)
    for name in ("open", "high", "low", "close", "ticks"):
        made.add_column(name, justify="right", no_wrap=True)
    made.add_column("closed by")
    for bar in bars:
        made.add_row(*_cells(bar))
    return made


def fitted(made: Table, console: Console) -> Table:
    """The table for a console; where that is too narrow it goes without a frame, and rather wraps than hide a digit."""
    wide = console.options.update(width=base.PIPE_WIDTH)
    if made.__rich_measure__(console, wide).maximum > console.width:
        made.box, made.padding = None, (0, 1, 0, 0)
        console.width = max(console.width, made.__rich_measure__(console, wide).maximum)
    return made


def _cells(bar: Bar) -> list[str]:
    prices = [f"{p:f}" for p in (bar.open, bar.high, bar.low, bar.close)]
    return [base.utc(bar.bucket_start), bar.broker, bar.symbol, *prices, str(bar.ticks), bar.close_reason]


def _print_table(settings: Settings, bars: list[Bar], total: int) -> None:
    if not bars:
        base.say(f"no final bars of {settings.app_id} in {settings.finals_topic} that fit")
        return
    console = base.console()
    console.print(fitted(table(bars, f"{settings.finals_topic}: {len(bars)} of {total} bars"), console))


def _print_rows(bars: list[Bar]) -> None:
    for bar in bars:
        base.out("  ".join(_cells(bar)))


def _print_lines(bars: list[Bar], *, as_csv: bool, header: bool) -> None:
    if not as_csv:
        for bar in bars:
            base.out(encode_bar(bar).decode())
        return
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    if header:
        writer.writerow(_CSV)
    for bar in bars:
        values = (getattr(bar, name) for name in _CSV)
        writer.writerow(["" if v is None else f"{v:f}" if hasattr(v, "as_tuple") else v for v in values])
    if text.getvalue():
        base.out(text.getvalue().rstrip("\n"))
