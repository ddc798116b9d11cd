"""`app bars`: print the bars of this app, their revisions, and longer ones."""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from faust.cli.base import argument, option
from msgspec.json import Encoder

from app.bar_columns import csv_cell
from app.commands import base
from app.display import bar_cells, bar_table, fit
from app.doubled import REMEDY
from app.errors import InputError
from app.finals import BarQuery, PlacedBar, doubled, doubled_windows, follow_bars, topic_consumer
from app.operations.bars import Versions, Wanted, changed, read_versions, wanted_bars
from app.settings import Settings
from tables.bars import Bar, encode_bar

if TYPE_CHECKING:
    import faust

TABLE_ROWS = 20
encode_fields = Encoder(decimal_format="number").encode
CSV_COLUMNS = [
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
    "partial",
    "partition",
    "revision",
    "corrected",
]


def register(app: faust.App) -> None:
    """Add the command."""

    @app.command(
        argument("broker", required=False),
        argument("symbol", required=False),
        option("--from", "since", help="Bars that start at or after this: 2014-05-05T00:00:00Z or epoch ms."),
        option("--to", "until", help="Bars that start before this."),
        option("--last", type=int, help="Only the newest N bars.  [default: 20 in a table, otherwise all]"),
        option("--frame", default="", show_default=False, help="Longer bars: 5m, 1h, 1d, 1w, 1M or the like."),
        option(
            "--revisions",
            is_flag=True,
            default=False,
            show_default=False,
            help="All revisions of each bar, and what each of them changed.",
        ),
        option(
            "--follow",
            is_flag=True,
            default=False,
            show_default=False,
            help="Then print new bars until Ctrl-C.",
        ),
        option("--csv", "as_csv", is_flag=True, default=False, show_default=False, help="Print CSV."),
        option("--json", "as_json", is_flag=True, default=False, show_default=False, help="Print JSON lines."),
        base=base.BarwheelCommand,
    )
    async def bars(self: base.BarwheelCommand, **options: Any) -> int:  # noqa: ARG001 - Faust passes itself
        """Print final bars, oldest first: of each the newest revision.

        \b
        Example:
          app bars                          the newest 20 of all symbols
          app bars fxcm EURUSD --last 5
          app bars fxcm EURUSD --from 2014-05-05 --to 2014-05-06 --csv
          app bars fxcm EURUSD --frame 1h   of one hour, whether `frames` has it or not
          app bars fxcm EURUSD --revisions  what late ticks have changed
          app bars --follow --json
        """  # noqa: D301 - click reads \b
        return await run(Settings.load(), options)


async def run(settings: Settings, options: dict[str, Any]) -> int:
    """Print the bars, then new ones with --follow; exit code 0 even if there are none, which a line on stderr says."""
    wanted = _wanted(settings, options)
    as_table = not options["as_csv"] and not options["as_json"]
    print_lines = _print_csv if options["as_csv"] else _print_json
    cluster = await base.reach(settings)
    async with topic_consumer(cluster, *wanted.topics) as consumer:
        found = await read_versions(settings, cluster, consumer, wanted) if consumer else []
        newest = [versions[-1] for versions in found]
        if as_table and (found or not options["follow"]):
            _print_table(settings, wanted.topics[0], found)
        elif not as_table:
            print_lines(_told(found), header=True)
        two = doubled(newest)
        if two is not None:
            base.say(f"warning: {two.text}; {REMEDY}")
        if options["follow"]:
            if consumer is None:
                raise InputError(f"topic {wanted.topics[0]} does not exist yet: start `app worker` first")
            async for more in follow_bars(consumer, wanted.query):
                if as_table:
                    _print_rows(more)
                else:
                    print_lines(((placed, None) for placed in more), header=False)
                sys.stdout.flush()  # a reader behind a pipe gets each bar at once
    return 0


def _wanted(settings: Settings, options: dict[str, Any]) -> Wanted:
    last, frame = options["last"], options["frame"]
    if last is not None and last < 1:
        raise InputError(f"--last {last}: must be 1 or more")
    if options["as_csv"] and options["as_json"]:
        raise InputError("--csv and --json: choose one")
    query = BarQuery(
        settings.app_id,
        options["broker"],
        options["symbol"],
        base.time_ms(options["since"], "--from") if options["since"] else None,
        base.time_ms(options["until"], "--to") if options["until"] else None,
    )
    if last is None and not (options["as_csv"] or options["as_json"]):
        last = TABLE_ROWS
    wanted = wanted_bars(settings, query, frame, revisions=options["revisions"], last=last)
    if options["follow"] and wanted.fold is not None:
        raise InputError(
            f"--follow --frame {frame}: bars of {frame} are made when they are asked for; "
            "--follow prints those of the base window and of the frames that are kept (`frames`)"
        )
    return wanted


def _told(found: Iterable[Versions]) -> Iterator[tuple[PlacedBar, Bar | None]]:
    """Each version, and the one before it."""
    for versions in found:
        before: Bar | None = None
        for placed in versions:
            yield placed, before
            before = placed.bar


def _print_table(settings: Settings, topic: str, found: Sequence[Versions]) -> None:
    """Print the bars; those that are not the only one of their window, with their partition."""
    if not found:
        base.say(f"no matching final bars of {settings.app_id} in {topic}")
        return
    console = base.console()
    two = {placed.order for window in doubled_windows(versions[-1] for versions in found) for placed in window}
    bars, notes = [], []
    for placed, before in _told(found):
        bars.append(placed.bar)
        where = [f"partition {placed.partition}"] if placed.order in two else []
        notes.append(", ".join([*where, *_changes(before, placed.bar)]))
    title = f"{topic}: the newest {len(found)} bars"
    console.print(fit(bar_table(bars, title, notes), console))


def _changes(before: Bar | None, after: Bar) -> list[str]:
    """What a revision changed, as texts; the version before may be one that is not the last one before."""
    if before is None:
        return []
    told = [
        f"{name} {csv_cell(getattr(before, name)) or 'none'} -> {csv_cell(getattr(after, name))}"
        for name in changed(before, after)[1:]
    ]
    return told if after.revision == before.revision + 1 else [f"since revision {before.revision}:", *told]


def _print_rows(bars: list[PlacedBar]) -> None:
    for _, bar in bars:
        base.out("  ".join(bar_cells(bar)))


def _print_json(told: Iterable[tuple[PlacedBar, Bar | None]], *, header: bool) -> None:  # noqa: ARG001  # as below
    for (_, bar), before in told:
        text = encode_bar(bar)
        if before is not None:
            text = (
                text[:-1] + b',"before":' + encode_fields({name: getattr(before, name) for name in changed(before, bar)}) + b"}"
            )
        base.out(text.decode())


def _print_csv(told: Iterable[tuple[PlacedBar, Bar | None]], *, header: bool) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    if header:
        writer.writerow(CSV_COLUMNS)
    for placed, _ in told:
        writer.writerow(
            [placed.partition if name == "partition" else csv_cell(getattr(placed.bar, name)) for name in CSV_COLUMNS]
        )
    if text.getvalue():
        base.out(text.getvalue().rstrip("\n"))
