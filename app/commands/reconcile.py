"""`app reconcile`: compare the application's bars with those that ksqlDB computes from the same ticks."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import orjson
from faust.cli.base import option
from rich.table import Table

from app.commands import base
from app.ksqldb.reconciliation import EXPLAINED, Cause, Numbers
from app.operations.reconcile import Comparison, check_comparable, compare
from app.settings import Settings

if TYPE_CHECKING:
    import faust

ROWS = 20  # of the table; --json has all


def register(app: faust.App) -> None:
    """Add the command."""

    @app.command(
        option("--topic", default="", show_default=False, help="Topic of ksqlDB's bars.  [default: that of the plan bar1m]"),
        base.json_option,
        base=base.BarwheelCommand,
    )
    async def reconcile(self: base.BarwheelCommand, *, topic: str, as_json: bool) -> int:  # noqa: ARG001 - Faust passes itself
        """Compare the bars with those that ksqlDB computes.

        Each difference is shown with its cause. Exit code 1 if there is one. First apply the plan that makes ksqlDB
        compute its bars: app migrate --apply --plan bar1m

        \b
        Example:
          app reconcile
          app reconcile --json
        """  # noqa: D301 - click reads \b
        return await run(Settings.load(), topic, as_json=as_json)


async def run(settings: Settings, topic: str, *, as_json: bool) -> int:
    """Compare and report; raises `InputError` if one of the two topics does not exist."""
    check_comparable(settings)
    cluster = await base.reach(settings)
    async with compare(
        settings, cluster, topic or f"{settings.topics_prefix}ksql_bar_{settings.size_text}_final"
    ) as comparison:
        count = (_print_json if as_json else _print_table)(comparison)
    if settings.corrects or settings.frames:
        more = [*(["their revisions"] if settings.corrects else []), *([settings.frames] if settings.frames else [])]
        base.say(f"compared: the bars of {settings.size_text} as they were first published, and not {' and '.join(more)}")
    return 1 if count else 0


def _texts(numbers: Numbers | None) -> list[str | None] | None:
    return None if numbers is None else [None if number is None else f"{number:f}" for number in numbers]


def _print_json(comparison: Comparison) -> int:
    """Print one document, a difference at a time: there may be as many as windows. Returns how many there are."""
    count = 0
    base.out(f'{{\n  "windows_of_both": {comparison.common},\n  "differences": [')
    before = ""
    for found in comparison.differences():
        if before:
            base.out(before + ",")
        broker, symbol, start = found.window
        told = {"broker": broker, "symbol": symbol, "bucket_start": start, "cause": str(found.cause)}
        before = f"    {orjson.dumps(told | {'ours': _texts(found.ours), 'ksqldb': _texts(found.theirs)}).decode()}"
        count += 1
    base.out(f"{before}\n  ]\n}}" if before else "  ]\n}")
    return count


def _print_table(comparison: Comparison) -> int:
    """Print the first differences and the number of each cause. Returns how many there are."""
    made = Table(box=None, pad_edge=False)
    for name in ("start (UTC)", "broker", "symbol", "barwheel: o h l c n volume vwap", "ksqlDB", "cause"):
        made.add_column(name, overflow="fold")
    causes = Counter[Cause]()
    for found in comparison.differences():
        causes[found.cause] += 1
        if causes.total() <= ROWS:
            cells = [" ".join(value or "-" for value in _texts(side) or ("-",)) for side in (found.ours, found.theirs)]
            made.add_row(base.utc(found.window[2]), found.window[0], found.window[1], *cells, str(found.cause))
    count = causes.total()
    if not count:
        base.out(f"{comparison.common} windows, all equal")
        return 0
    base.console().print(made)
    for cause, number in causes.most_common():
        base.out(f"{number} {cause}: {EXPLAINED[cause]}")
    shown = f"; the first {ROWS} are shown" if count > ROWS else ""
    base.out(f"{count} windows differ, both have {comparison.common}{shown}")
    return count
