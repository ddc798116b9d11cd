"""`app replay FILE...`: send recorded ticks, exactly as the files hold them, at full speed or in their own time."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from faust.cli.base import argument, option
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from app.commands import base
from app.errors import InputError
from app.kafka.topics import ensure
from app.settings import Settings
from app.tickfiles import rows
from app.tickfiles.feed import Feed
from app.tickfiles.replay import Replay, ReplayReport, speed

if TYPE_CHECKING:
    import faust


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
    async def replay(self: base.BarwheelCommand, **options: Any) -> int:  # noqa: ARG001 - Faust passes itself
        """Send recorded ticks: CSV, zip of CSV, JSON lines, Parquet.

        Prices keep every digit of the file; seq is the row's number. Several files are merged by time. All files are
        checked before the first row is sent, and a bad row ends it with exit code 2, unless --skip-bad.

        \b
        Example:
          app replay eurusd.zip --broker-name fxcm --symbol EURUSD \\
              --origin 2014-05-05T00:00:00-05:00
          app replay ticks.jsonl --broker-name demo --speed 60
        """  # noqa: D301 - click reads \b
        return await run(Settings.load(), options)


async def run(settings: Settings, options: dict[str, Any]) -> int:
    """Check, send, close, report; raises `InputError` for an invalid option, file or row."""
    origin, unit = options["origin"], settings.time_unit.value
    factor = speed(options["speed"])
    reading = rows.Reading(
        columns=rows.parse_columns(options["columns"]) if options["columns"] else None,
        broker=options["broker_name"],
        symbol=options["symbol"],
        time_unit=unit,
        origin_ms=base.time_ms(origin, "--origin") if origin else 0,
        header=options["header"],
    )
    if reading.origin_ms * rows.UNITS_PER_SECOND[unit] % 1000:
        raise InputError(f"--origin {origin}: is no whole second, and time_unit={unit}")
    replay = Replay(settings, options["files"], reading, factor, skip_bad=options["skip_bad"], close=options["close"])
    total = replay.check()
    cluster = await base.reach(settings)
    topics = await ensure(settings, cluster)
    started = time.monotonic()
    columns = (TextColumn("replay"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=base.progress) as progress:
        task = progress.add_task("replay", total=total)
        async with Feed(cluster, settings.ticks_topic, topics.partitions) as feed:
            report = await replay.send(feed, lambda sent: progress.update(task, completed=sent))
            progress.update(task, completed=report.rows, total=report.rows)
    _print(settings, report, time.monotonic() - started, as_json=options["as_json"])
    return 0


def _print(settings: Settings, report: ReplayReport, seconds: float, *, as_json: bool) -> None:
    if report.out_of_time:
        base.say(
            f"{report.out_of_time} of {report.rows} ticks lie before min_ts={base.utc(settings.min_ts)} or in the future: "
            f"a worker rejects them; is --origin missing, or is time_unit={settings.time_unit.value} wrong?"
        )
    if as_json:
        base.out_json(
            {
                "topic": settings.ticks_topic,
                "rows": report.rows,
                "heartbeats": report.heartbeats,
                "left_to_idle": report.left_to_idle,
                "skipped": report.skipped,
                "out_of_time": report.out_of_time,
                "symbols": len(report.last_ts),
                "seconds": round(seconds, 3),
                "rows_per_second": round(report.rows / seconds) if seconds else None,
            }
        )
        return
    base.out(f"{report.rows} ticks of {len(report.last_ts)} symbols sent to {settings.ticks_topic} in {seconds:.1f} s")
    if report.heartbeats:
        base.out(f"{report.heartbeats} closing heartbeats sent")
    if report.left_to_idle:
        base.out(f"{report.left_to_idle} symbols end in a window that is still open: idle close will close it")
    if report.skipped:
        base.out(f"{report.skipped} bad rows were not sent: they are in FILE.rejected")
