"""`app replay FILE...`: send recorded ticks, exactly as the files hold them, at full speed or in their own time."""

from __future__ import annotations

import asyncio
import heapq
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from faust.cli.base import argument, option
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from agents.topics import ensure
from app.commands import base
from app.errors import InputError
from app.settings import Settings
from app.tickfiles import rows
from app.tickfiles.feed import Feed

if TYPE_CHECKING:
    import faust

_PACE = 0.02  # seconds: throttled rows that are due together go together
_SHOW_EVERY = 5_000  # rows between two moves of the progress bar


@dataclass
class Replayed:
    """What was sent, and up to where each symbol got (epoch ms)."""

    rows: int = 0
    heartbeats: int = 0
    left_to_idle: int = 0
    skipped: int = 0
    out_of_time: int = 0  # sent, and too early or too far ahead for the worker
    last_ts: dict[bytes, int] = field(default_factory=dict)


def register(app: faust.App) -> None:
    """Add the command."""

    @app.command(
        argument("files", nargs=-1, required=True, type=Path),
        option("--broker-name", help="Broker of every row, unless a column names it."),
        option("--symbol", help="Symbol of every row, unless a column names it."),
        option("--columns", help="What the columns are: tick fields, - skips one.  [default: ts,bid,ask]"),
        option("--header", is_flag=True, default=False, show_default=False, help="Skip the first line of a CSV."),
        option("--origin", help="Where times count from, 2014-05-05T00:00:00-05:00; default: epoch."),
        option("--speed", default="max", help="max, or how many times faster than it happened."),
        option("--skip-bad", is_flag=True, default=False, show_default=False,
               help="Write bad rows to FILE.rejected and go on."),
        option("--close/--no-close", default=True, help="End with a heartbeat a symbol that closes its last window."),
        base.json_option,
        base=base.BarwheelCommand,
    )  # fmt: skip
    async def replay(self: base.BarwheelCommand, **given: Any) -> int:  # noqa: ARG001 - Faust passes itself
        """Send recorded ticks: CSV, zip of CSV, JSON lines, Parquet.

        Prices keep every digit of the file; seq is the row's number. Several files are merged by time. All files are
        checked before the first row is sent, and a bad row ends it with exit code 2, unless --skip-bad.

        \b
        Example:
          app replay eurusd.zip --broker-name fxcm --symbol EURUSD \\
              --origin 2014-05-05T00:00:00-05:00
          app replay ticks.jsonl --broker-name demo --speed 60
        """  # noqa: D301 - click reads \b
        return await run(Settings.load(), given)


async def run(settings: Settings, given: dict[str, Any]) -> int:
    """Check, send, close, report; raises `InputError` for a bad option, file or row."""
    files: tuple[Path, ...] = given["files"]
    factor = speed(given["speed"])
    reading = rows.Reading(
        columns=rows.parse_columns(given["columns"]) if given["columns"] else None,
        broker=given["broker_name"],
        symbol=given["symbol"],
        time_unit=settings.time_unit.value,
        origin_ms=base.time_ms(given["origin"], "--origin") if given["origin"] else 0,
        header=given["header"],
    )
    if reading.origin_ms * rows.UNITS_PER_SECOND[reading.time_unit] % 1000:
        raise InputError(f"--origin {given['origin']}: is no whole second, and time_unit={reading.time_unit}")
    total = None if given["skip_bad"] else sum(_check(path, reading) for path in files)
    cluster = await base.reach(settings)
    report = await ensure(settings, cluster)
    done, started = Replayed(), time.monotonic()
    with ExitStack() as stack:
        rejected = {path: stack.enter_context(rows.rejected_file(path)) for path in files if given["skip_bad"]}
        sources = [_good(part, rejected.get(path), done) for path in files for part in rows.streams(path, reading)]
        merged = sources[0] if len(sources) == 1 else heapq.merge(*sources, key=attrgetter("ts_ms"))
        async with Feed(cluster, settings.ticks_topic, report.partitions) as feed:
            await _send(feed, _judged(merged, settings, done), factor, total, done)
            if given["close"]:
                await feed.settle()  # a heartbeat must not overtake a tick of another partition's batch
                _close(feed, settings, done, now_ms=time.time_ns() // 1_000_000)
    _report(settings, done, time.monotonic() - started, as_json=given["as_json"])
    return 0


def speed(text: str) -> float | None:
    """The factor, or None for as fast as it goes; raises `InputError`."""
    if text == "max":
        return None
    try:
        factor = float(text)
    except ValueError:
        factor = 0.0
    if not 0 < factor < float("inf"):
        raise InputError(f"--speed {text}: must be max or a number above 0")
    return factor


def _check(path: Path, reading: rows.Reading) -> int:
    """Number of rows of a file; raises its first bad row, so that nothing of it is sent."""
    count = 0
    for row in rows.rows(path, reading):
        if isinstance(row, rows.BadRowError):
            raise InputError(f"{row}; nothing was sent (--skip-bad sends the others)")
        count += 1
    return count


def _good(part: Iterator[rows.Row | rows.BadRowError], rejected: list[str] | None, done: Replayed) -> Iterator[rows.Row]:
    for row in part:
        if isinstance(row, rows.BadRowError):
            if rejected is None:
                raise InputError(f"{row}; the file changed after it was checked, {done.rows} rows were sent")
            rejected.append(row.text)
            done.skipped += 1
        else:
            yield row


def _judged(source: Iterator[rows.Row], settings: Settings, done: Replayed) -> Iterator[rows.Row]:
    """The same rows; those whose time the worker will refuse are counted, so that missing bars have a reason."""
    latest = 0
    for row in source:
        if row.ts_ms > latest:
            latest = time.time_ns() // 1_000_000 + settings.max_future
        done.out_of_time += not settings.min_ts <= row.ts_ms <= latest
        yield row


async def _send(feed: Feed, source: Iterator[rows.Row], factor: float | None, total: int | None, done: Replayed) -> None:
    columns = (TextColumn("replay"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    last_ts, began, first = done.last_ts, time.monotonic(), None
    with Progress(*columns, console=base.progress) as progress:
        task = progress.add_task("replay", total=total)
        for row in source:
            if factor is not None:
                first = row.ts_ms if first is None else first
                ahead = (row.ts_ms - first) / 1000 / factor - (time.monotonic() - began)
                if ahead > _PACE:
                    await feed.flush(everything=True)
                    progress.update(task, completed=done.rows)
                    await asyncio.sleep(ahead)
            if feed.put(row.key, row.value):
                await feed.flush()
            done.rows += 1
            if row.ts_ms > last_ts.get(row.key, -1):
                last_ts[row.key] = row.ts_ms
            if done.rows % _SHOW_EVERY == 0:
                progress.update(task, completed=done.rows)
        progress.update(task, completed=done.rows, total=done.rows)


def _close(feed: Feed, settings: Settings, done: Replayed, now_ms: int) -> None:
    """A heartbeat a symbol at the end of its last window + grace; one in the future would be refused, idle close comes."""
    size = settings.window_size
    for key, ts in done.last_ts.items():
        closes = ts - ts % size + size + settings.grace
        if closes > now_ms:
            done.left_to_idle += 1
            continue
        feed.put(key, b'{"ts":%d,"heartbeat":true}' % rows.from_ms(closes, settings.time_unit.value))
        done.heartbeats += 1


def _report(settings: Settings, done: Replayed, seconds: float, *, as_json: bool) -> None:
    if done.out_of_time:
        base.say(
            f"{done.out_of_time} of {done.rows} ticks lie before min_ts={base.utc(settings.min_ts)} or in the future, and a "
            f"worker rejects them: is --origin missing, or is time_unit={settings.time_unit.value} wrong?"
        )
    if as_json:
        base.out_json(
            {
                "topic": settings.ticks_topic,
                "rows": done.rows,
                "heartbeats": done.heartbeats,
                "left_to_idle": done.left_to_idle,
                "skipped": done.skipped,
                "out_of_time": done.out_of_time,
                "symbols": len(done.last_ts),
                "seconds": round(seconds, 3),
                "rows_per_second": round(done.rows / seconds) if seconds else None,
            }
        )
        return
    base.out(f"{done.rows} ticks of {len(done.last_ts)} symbols sent to {settings.ticks_topic} in {seconds:.1f} s")
    if done.heartbeats:
        base.out(f"{done.heartbeats} closing heartbeats sent")
    if done.left_to_idle:
        base.out(f"{done.left_to_idle} symbols end in a window that is still open: idle close will close it")
    if done.skipped:
        base.out(f"{done.skipped} bad rows were not sent: they are in FILE.rejected")
