"""`app replay FILE...`: send recorded ticks."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Self

from faust.cli.base import option
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from agents.topics import ensure
from app.commands import base
from app.commands.file_options import FILE_OPTIONS, reading_of
from app.errors import BarwheelError, InputError
from app.operations.stream_times import stream_times
from app.settings import Settings
from app.tickfiles.concerns import concerns
from app.tickfiles.feed import Feed
from app.tickfiles.layouts import LAYOUTS
from app.tickfiles.replay import Replay, ReplayReport, speed
from app.tickfiles.sources import Spool
from app.tickfiles.survey import Scopes, Survey

if TYPE_CHECKING:
    import faust

SAY_EVERY = 10.0  # seconds between two lines of progress where there is no terminal


def register(app: faust.App) -> None:
    """Add the command."""

    @app.command(
        *FILE_OPTIONS,
        option("--list-layouts", is_flag=True, default=False, show_default=False, help="List them, with an example each."),
        option("--speed", default="max", help="max, or a factor: 1 is real time, 60 sends an hour in a minute."),
        option("--skip-bad", is_flag=True, default=False, show_default=False,
               help="Write bad rows to FILE.rejected and go on."),
        option("--skip-rejected", is_flag=True, default=False, show_default=False,
               help="The same with rows that every worker would reject."),
        option("--close/--no-close", default=True, help="At the end, close the last window of each symbol by a heartbeat."),
        option("--yes", is_flag=True, default=False, show_default=False, help="Send without a question."),
        base.json_option,
        base=base.BarwheelCommand,
    )  # fmt: skip
    async def replay(self: base.BarwheelCommand, **options: Any) -> int:  # noqa: ARG001 - Faust passes itself
        """Send recorded ticks from CSV, JSON lines or Parquet; - is standard input.

        Prices are sent with the digits of the file; seq is the row's number. Several files are merged by time. All rows are
        looked through before the first is sent: a bad row means exit code 2, unless --skip-bad is given. Ticks that would be
        late or rejected, and a broker that is not the pocket broker, get a question; --yes answers it.

        \b
        Example:
          app replay eurusd.zip --broker-name fxcm --symbol EURUSD \\
              --origin 2014-05-05T00:00:00-05:00
          app replay ticks.jsonl --broker-name demo --speed 60
          BARWHEEL_PRICE=last app replay BTCUSDT-aggTrades-*.zip \\
              --layout binance-aggtrades
          zcat t.csv.gz | app replay - --broker-name x --symbol S
          BARWHEEL_PRICE=last app replay t.csv --unit us \\
              --columns ts=time,last=price,symbol=code --broker-name x
          app replay t.csv --broker-name x --symbol S --delimiter tab \\
              --columns date,time,bid,ask --zone +02:00 \\
              --time-format '%Y.%m.%d %H:%M:%S.%f'
        """  # noqa: D301 - click reads \b
        return await run(Settings.load(), options)


async def run(settings: Settings, options: dict[str, Any]) -> int:
    """Look through the files, send them, report; raises `InputError` for an invalid option, file or row."""
    if options["list_layouts"]:
        return _list_layouts(as_json=options["as_json"])
    if not options["files"]:
        raise InputError("replay: which files? app replay --help has examples, and --list-layouts the known layouts")
    if settings.layout.changed:
        raise InputError(
            f"{settings.layout.changed}: app replay sends ticks in the default layout, which a worker with these settings "
            "would reject; replay to another ticks_topic, without them"
        )
    if settings.sources.one is None:
        raise InputError(f"ticks_topic={settings.ticks_topic}: replay sends to one topic, set BARWHEEL_TICKS_TOPIC to its name")
    factor = speed(options["speed"])
    reading, reorder = reading_of(settings, options)
    with Spool() as spool:
        sources = [source for path in options["files"] for source in spool.sources(path)]
        replay = Replay(
            settings,
            sources,
            reading,
            factor,
            skip_bad=options["skip_bad"],
            skip_rejected=options["skip_rejected"],
            reorder=reorder,
            close=options["close"],
        )
        return await _look_and_send(settings, replay, options)


async def _look_and_send(settings: Settings, replay: Replay, options: dict[str, Any]) -> int:
    cluster = await base.reach(settings)
    topics = await ensure(settings, cluster)
    reached = await stream_times(settings, cluster, topics)
    scopes = Scopes(settings, topics.partitions)
    with _Shown("look", None) as shown:
        survey = await replay.look(scopes, reached.times, shown)
    for part in survey.parts:
        if not part.rows + part.skipped:
            base.say(f"{part.source.name}: has no rows")
    found = concerns(settings, survey, reached.times, skip_rejected=replay.skip_rejected)
    if reached.problem:
        found.append(f"a worker may judge these ticks otherwise, as its stored state does not fit: {reached.problem}")
    for line in found:
        base.say(line)
    if not settings.pocket:
        found.append("")
        base.say(f"{survey.rows} ticks of {len(survey.keys)} symbols go to {settings.ticks_topic} on {cluster}")
    if found and survey.rows and not options["yes"]:
        _ask(skipping=bool(survey.refused) and not replay.skip_rejected)
    started = time.monotonic()
    with _Shown("replay", survey.rows) as shown:
        source = topics.states[settings.ticks_topic]  # with repartition=on another topic than the engines' input
        limit = source.max_message_bytes
        async with Feed(cluster, settings.ticks_topic, source.partitions, max_batch=limit) as feed:
            report = await replay.send(feed, survey.parts, shown)
            shown(report.rows)
    _print(settings, survey, report, time.monotonic() - started, as_json=options["as_json"])
    return 0


def _list_layouts(*, as_json: bool) -> int:
    if as_json:
        base.out_json({name: {"about": each.about, "example": each.example} for name, each in LAYOUTS.items()})
        return 0
    for name, each in LAYOUTS.items():
        base.out(f"{name}  {each.about}; {each.file_name}")
        for line in each.example.splitlines():
            base.out(f"    {line}")
    return 0


def _ask(*, skipping: bool) -> None:
    """Return if the user says yes. Raises `InputError` where nobody can be asked, and `BarwheelError` after a no."""
    answer = base.ask("send them?")
    if answer is None:
        others = ", --skip-rejected leaves those out that would be rejected" if skipping else ""
        raise InputError(f"nothing was sent: --yes sends them all the same{others}")
    if not answer:
        raise BarwheelError("nothing was sent")


class _Shown:
    """Progress: a bar in a terminal, else a line now and then. A function of the number of rows so far."""

    def __init__(self, what: str, total: int | None) -> None:
        self._what, self._total = what, total
        self._began = self._said = time.monotonic()
        columns = (
            TextColumn(what),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
        )
        self._progress = Progress(*columns, console=base.progress, disable=not base.progress.is_terminal)
        self._task = self._progress.add_task(what, total=total, rate="")

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def __call__(self, rows: int) -> None:
        now = time.monotonic()
        rate = rows / (now - self._began) if now > self._began else 0.0
        self._progress.update(self._task, completed=rows, rate=f"{rate:,.0f}/s")
        if base.progress.is_terminal or now - self._said < SAY_EVERY:
            return
        self._said = now
        if self._total is None:
            base.say(f"{self._what}: {rows:,} rows, {rate:,.0f}/s")
        else:
            left = (self._total - rows) / rate if rate else 0.0
            base.say(f"{self._what}: {rows:,} of {self._total:,} rows, {rate:,.0f}/s, {left:,.0f} s left")


def _print(settings: Settings, survey: Survey, report: ReplayReport, seconds: float, *, as_json: bool) -> None:
    if as_json:
        base.out_json(
            {
                "topic": settings.ticks_topic,
                "rows": report.rows,
                "heartbeats": report.heartbeats,
                "left_to_idle": report.left_to_idle,
                "skipped": report.skipped,
                "rejected": dict(survey.refused),
                "out_of_time": survey.out_of_time,
                "late": survey.late,
                "out_of_order": survey.disordered,
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
        base.out(f"{report.skipped} rows were not sent: they are in FILE.rejected")
