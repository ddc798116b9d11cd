"""`app backfill`: compute a stretch of history once more, compare it with what was published, and revise that."""

from __future__ import annotations

import time
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from faust.cli.base import option
from rich.progress import Progress, SpinnerColumn, TextColumn
from rich.table import Table

from app.commands import base
from app.commands.file_options import FILE_OPTIONS, reading_of
from app.errors import InputError
from app.operations.backfill.compare import Outcome
from app.operations.backfill.run import Files, backfill
from app.operations.backfill.ticks import Stretch
from app.settings import Settings
from app.settings.durations import duration_ms, duration_text
from app.tickfiles.sources import Spool
from tables.bars import Bar
from tables.recomputed import Difference, Kind
from tables.window import Window

if TYPE_CHECKING:
    import faust

ROWS = 20  # of the table; --json has all
SAY_EVERY = 10.0  # seconds between two lines of progress where there is no terminal
MEANING = {
    Kind.changed: "the ticks give another bar than the one that was published",
    Kind.missing: "there are ticks, and no bar was published",
    Kind.unfounded: "a bar was published, and none of its ticks is found; no revision can say that",
}


def register(app: faust.App) -> None:
    """Add the command."""

    @app.command(
        *FILE_OPTIONS,
        option("--since", default="", show_default=False, help="Windows that start then or later: 2014-05-05, or epoch ms."),
        option("--until", default="", show_default=False, help="Windows that end by then."),
        option("--lateness", default="1d", help="Wait so long (stream time) for late ticks."),
        option("--into", default="", show_default=False, help="Publish all computed bars to topics with this prefix."),
        option("--apply", is_flag=True, default=False, show_default=False,
               help="Publish the differences as revisions. All workers must be stopped."),
        base.json_option,
        base=base.BarwheelCommand,
    )  # fmt: skip
    async def backfill(self: base.BarwheelCommand, **options: Any) -> int:  # noqa: ARG001 - Faust passes itself
        """Compute bars once more, and compare them with the published ones.

        The ticks are those that are still in the input topic, late ones as well, or those of files, which must hold every
        tick of the stretch. Only windows that have closed are compared, and only those whose ticks are all there. The
        published bars stay as they are; --apply publishes revisions of them. Exit code 1 if windows differ and were not
        revised.

        \b
        Example:
          app backfill --since 2014-05-05 --until 2014-05-06
          app backfill --since 2014-05-05 --until 2014-05-06 --apply
          app backfill eurusd.zip --broker-name fxcm --symbol EURUSD \\
              --since 2014-05-05 --until 2014-05-06 --json
        """  # noqa: D301 - click reads \b
        return await run(Settings.load(), options)


async def run(settings: Settings, options: dict[str, Any]) -> int:
    """Compare, publish with `--apply`, and report; raises `InputError` for an invalid option, file or row."""
    stretch = _stretch(settings, options)
    files = bool(options["files"])
    if files and settings.layout.changed:
        raise InputError(f"{settings.layout.changed}: files are read as ticks in the default layout; backfill from the topic")
    given = [name for name in ("layout", "broker_name", "symbol", "symbol_from_name", "columns") if options[name]]
    if given and not files:
        raise InputError(f"--{given[0].replace('_', '-')} is for files, and none is named")
    with Spool() as spool:
        source = None
        if files:
            sources = [found for path in options["files"] for found in spool.sources(path)]
            source = Files(sources, *reading_of(settings, options))
        cluster = await base.reach(settings)
        with _Shown() as shown:
            outcome = await backfill(
                settings, cluster, stretch, source, apply=options["apply"], into=options["into"], show=shown
            )
    _report(outcome, stretch, applied=options["apply"], as_json=options["as_json"])
    return 1 if len(outcome.differences) > outcome.revised else 0


def _stretch(settings: Settings, options: dict[str, Any]) -> Stretch:
    for name in ("since", "until"):
        if not options[name]:
            raise InputError(f"--{name} is missing: say which stretch, as in --since 2014-05-05 --until 2014-05-06")
    since, until = base.time_ms(options["since"], "--since"), base.time_ms(options["until"], "--until")
    if since >= until:
        raise InputError(f"--since {options['since']}: is not before --until {options['until']}")
    try:
        lateness = duration_ms(options["lateness"])
    except ValueError as error:
        raise InputError(f"--lateness {options['lateness']}: {error}") from None
    least = settings.grace + (settings.correction_horizon if settings.corrects else 0)
    if lateness < least:
        raise InputError(f"--lateness {options['lateness']}: the worker waits for {duration_text(least)}; take that or more")
    return Stretch(since, until, lateness)


class _Shown:
    """Progress: a line that changes in a terminal, else a line now and then."""

    def __init__(self) -> None:
        self._said = time.monotonic()
        columns = SpinnerColumn(), TextColumn("{task.description}"), TextColumn("{task.completed:,} ticks")
        terminal = base.progress.is_terminal
        self._progress = Progress(*columns, console=base.progress, disable=not terminal, transient=True)
        self._task = self._progress.add_task("reading", total=None)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._progress.stop()

    def __call__(self, where: str, ticks: int) -> None:
        self._progress.update(self._task, description=where, completed=ticks)
        if not base.progress.is_terminal and time.monotonic() - self._said > SAY_EVERY:
            self._said = time.monotonic()
            base.say(f"{where}: {ticks:,} ticks")


def _numbers(bar: Bar | Window | None) -> dict[str, Any] | None:
    if bar is None:
        return None
    volume = None if bar.volume is None else f"{bar.volume:f}"
    prices = {name: f"{getattr(bar, name):f}" for name in ("open", "high", "low", "close")}
    return {**prices, "volume": volume, "ticks": bar.ticks}


def _window(one: Difference) -> Window | None:
    return None if one.recomputed is None else one.recomputed.window


def _report(outcome: Outcome, stretch: Stretch, *, applied: bool, as_json: bool) -> None:
    if as_json:
        base.out_json(_as_json(outcome, stretch, applied=applied))
        return
    if outcome.differences:
        base.console().print(_table(outcome.differences[:ROWS]))
    for kind, number in sorted(outcome.by_kind.items()):
        base.out(f"{number} {kind}: {MEANING[Kind(kind)]}")
    for number, why in (
        (outcome.open, "windows have not closed yet, or belong to scopes without a published bar"),
        (outcome.due, "windows are about to be revised by the worker"),
        (outcome.cut, "windows may lack ticks, which are no longer in the topic"),
        (outcome.late, "ticks came later than --lateness waits for, and are in no window"),
        (outcome.rejected, "records are no valid ticks"),
    ):
        if number:
            base.out(f"left out: {number} {why}")
    count, shown = len(outcome.differences), f"; the first {ROWS} are shown" if len(outcome.differences) > ROWS else ""
    base.out(f"{count} windows differ, {outcome.same} are the same ({outcome.read} ticks read){shown}")
    if applied:
        base.out(f"{outcome.revised} revisions published")
    elif count:
        base.out("nothing was published: --apply publishes the revisions")


def _table(differences: list[Difference]) -> Table:
    made = Table(box=None, pad_edge=False)
    for name in ("start (UTC)", "frame", "broker", "symbol", "published: o h l c n volume", "computed", "kind", "revision"):
        made.add_column(name, overflow="fold")
    for one in differences:
        frame, key, start = one.place
        broker, _, symbol = key.decode().partition("|")
        sides = [_cell(one.published), _cell(_window(one))]
        revision = "-" if one.recomputed is None else str(one.revision)
        made.add_row(base.utc(start), frame or "base", broker, symbol, *sides, str(one.kind), revision)
    return made


def _cell(bar: Bar | Window | None) -> str:
    if bar is None or not bar.ticks:
        return "-"
    prices = (f"{price:f}" for price in (bar.open, bar.high, bar.low, bar.close))
    return " ".join((*prices, str(bar.ticks), "-" if bar.volume is None else f"{bar.volume:f}"))


def _as_json(outcome: Outcome, stretch: Stretch, *, applied: bool) -> dict[str, Any]:
    differences = []
    for one in outcome.differences:
        frame, key, start = one.place
        broker, _, symbol = key.decode().partition("|")
        differences.append(
            {
                "broker": broker,
                "symbol": symbol,
                "frame": frame,
                "bucket_start": start,
                "kind": str(one.kind),
                "published": _numbers(one.published),
                "published_revision": None if one.published is None else one.published.revision,
                "computed": _numbers(_window(one)),
                "revision": None if one.recomputed is None else one.revision,
            }
        )
    left_out = {"open": outcome.open, "due": outcome.due, "cut": outcome.cut, "late_ticks": outcome.late}
    return {
        "since": stretch.since,
        "until": stretch.until,
        "same": outcome.same,
        "ticks": outcome.read,
        "rejected": outcome.rejected,
        "left_out": left_out,
        "revised": outcome.revised,
        "applied": applied,
        "differences": differences,
    }
