"""`app bars`: print the final bars of this app."""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Container
from typing import TYPE_CHECKING, Any

from faust.cli.base import argument, option

from app.bar_columns import csv_cell
from app.commands import base
from app.display import bar_cells, bar_table, fit
from app.doubled import REMEDY
from app.errors import InputError
from app.finals import BarOrder, BarQuery, PlacedBar, doubled, doubled_windows, follow_bars, read_bars, topic_consumer
from app.settings import Settings
from tables.bars import encode_bar

if TYPE_CHECKING:
    import faust

TABLE_ROWS = 20
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
]


def register(app: faust.App) -> None:
    """Add the command."""

    @app.command(
        argument("broker", required=False),
        argument("symbol", required=False),
        option("--from", "since", help="Bars that start at or after this: 2014-05-05T00:00:00Z or epoch ms."),
        option("--to", "until", help="Bars that start before this."),
        option("--last", type=int, help="Only the newest N bars.  [default: 20 in a table, otherwise all]"),
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
        """Print final bars, oldest first.

        \b
        Example:
          app bars                          the newest 20 of all symbols
          app bars fxcm EURUSD --last 5
          app bars fxcm EURUSD --from 2014-05-05 --to 2014-05-06 --csv
          app bars --follow --json
        """  # noqa: D301 - click reads \b
        return await run(Settings.load(), options)


async def run(settings: Settings, options: dict[str, Any]) -> int:
    """Print the bars, then new ones with --follow; exit code 0 even if there are none, which a line on stderr says."""
    last = options["last"]
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
    as_table = not options["as_csv"] and not options["as_json"]
    cluster = await base.reach(settings)
    async with topic_consumer(cluster, settings.finals_topic) as consumer:
        bars = await read_bars(consumer, query) if consumer else []
        newest = bars[-(last or (TABLE_ROWS if as_table else len(bars) or 1)) :]
        two = {placed.order for window in doubled_windows(bars) for placed in window}
        if as_table and (newest or not options["follow"]):
            _print_table(settings, newest, len(bars), two)
        elif not as_table:
            _print_lines(newest, as_csv=options["as_csv"], header=True)
        found = doubled(bars)
        if found is not None:
            base.say(f"warning: {found.text}; {REMEDY}")
        if options["follow"]:
            if consumer is None:
                raise InputError(f"topic {settings.finals_topic} does not exist yet: start `app worker` first")
            async for more in follow_bars(consumer, query):
                if as_table:
                    _print_rows(more)
                else:
                    _print_lines(more, as_csv=options["as_csv"], header=False)
                sys.stdout.flush()  # a reader behind a pipe gets each bar at once
    return 0


def _print_table(settings: Settings, bars: list[PlacedBar], total: int, two: Container[BarOrder]) -> None:
    """Print the bars; those in `two`, which are not the only one of their window, with their partition."""
    if not bars:
        base.say(f"no matching final bars of {settings.app_id} in {settings.finals_topic}")
        return
    console = base.console()
    notes = [f"partition {placed.partition}" if placed.order in two else "" for placed in bars]
    title = f"{settings.finals_topic}: {len(bars)} of {total} bars"
    console.print(fit(bar_table([placed.bar for placed in bars], title, notes), console))


def _print_rows(bars: list[PlacedBar]) -> None:
    for _, bar in bars:
        base.out("  ".join(bar_cells(bar)))


def _print_lines(bars: list[PlacedBar], *, as_csv: bool, header: bool) -> None:
    if not as_csv:
        for _, bar in bars:
            base.out(encode_bar(bar).decode())
        return
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    if header:
        writer.writerow([*CSV_COLUMNS, "partition"])
    for partition, bar in bars:
        writer.writerow([*(csv_cell(getattr(bar, name)) for name in CSV_COLUMNS), partition])
    if text.getvalue():
        base.out(text.getvalue().rstrip("\n"))
