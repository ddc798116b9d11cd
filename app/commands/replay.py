"""`app replay FILE...`: send recorded ticks."""

from __future__ import annotations

import time
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
from app.tickfiles.replay import Replay, ReplayReport, speed

if TYPE_CHECKING:
    import faust


def register(app: faust.App) -> None:
    """Add the command."""

    @app.command(
        argument("files", nargs=-1, required=True, type=Path),
        option("--broker-name", help="Broker of rows without a broker column."),
        option("--symbol", help="Symbol of rows without a symbol column."),
        option("--columns", help="Tick fields in the order of the columns, - skips one.  [default: ts,bid,ask]"),
        option("--header", is_flag=True, default=False, show_default=False, help="Skip the first line of a CSV."),
        option("--origin", help="Time that the ts column counts from, 2014-05-05T00:00:00-05:00.  [default: epoch]"),
        option("--speed", default="max", help="max, or a factor: 1 is real time, 60 sends an hour in a minute."),
        option("--skip-bad", is_flag=True, default=False, show_default=False,
               help="Write bad rows to FILE.rejected and go on."),
        option("--close/--no-close", default=True, help="At the end, close the last window of each symbol by a heartbeat."),
        base.json_option,
        base=base.BarwheelCommand,
    )  # fmt: skip
    async def replay(self: base.BarwheelCommand, **options: Any) -> int:  # noqa: ARG001 - Faust passes itself
        """Send recorded ticks from CSV, zip, JSON lines or Parquet.

        Prices are sent with the digits of the file; seq is the row's number. Several files are merged by time. All files
        are checked before the first row is sent: a bad row means exit code 2, unless --skip-bad is given.

        \b
        Example:
          app replay eurusd.zip --broker-name fxcm --symbol EURUSD \\
              --origin 2014-05-05T00:00:00-05:00
          app replay ticks.jsonl --broker-name demo --speed 60
        """  # noqa: D301 - click reads \b
        return await run(Settings.load(), options)


async def run(settings: Settings, options: dict[str, Any]) -> int:
    """Check the files, send them, report; raises `InputError` for an invalid option, file or row."""
    if settings.layout.changed:
        raise InputError(
            f"{settings.layout.changed}: app replay sends ticks in the default layout, which a worker with these settings "
            "would reject; replay to another ticks_topic, without them"
        )
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
        raise InputError(f"--origin {origin}: is not a whole second, but time_unit={unit}")
    replay = Replay(settings, options["files"], reading, factor, skip_bad=options["skip_bad"], close=options["close"])
    total = replay.check()
    cluster = await base.reach(settings)
    topics = await ensure(settings, cluster)
    started = time.monotonic()
    columns = (TextColumn("replay"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=base.progress) as progress:
        task = progress.add_task("replay", total=total)
        async with Feed(cluster, settings.ticks_topic, topics.partitions, max_batch=topics.max_message_bytes) as feed:
            report = await replay.send(feed, lambda sent: progress.update(task, completed=sent))
            progress.update(task, completed=report.rows, total=report.rows)
    _print(settings, report, time.monotonic() - started, as_json=options["as_json"])
    return 0


def _print(settings: Settings, report: ReplayReport, seconds: float, *, as_json: bool) -> None:
    if report.out_of_time:
        base.say(
            f"{report.out_of_time} of {report.rows} ticks lie before min_ts={base.utc(settings.min_ts)} or in the future: "
            f"a worker rejects them; check --origin and time_unit={settings.time_unit.value}"
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
        base.out(f"{report.left_to_idle} symbols end in an open window, which idle close will close")
    if report.skipped:
        base.out(f"{report.skipped} bad rows were not sent: they are in FILE.rejected")
