"""`app reconcile`: compare the application's bars with those that ksqlDB computes from the same ticks."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from faust.cli.base import option
from rich.table import Table

from app.commands import base
from app.ksqldb.reconciliation import Numbers
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
    comparison = await compare(settings, cluster, topic or f"{settings.topics_prefix}ksql_bar_{settings.size_text}_final")
    _report(comparison, as_json=as_json)
    return 1 if comparison.differences else 0


def _texts(numbers: Numbers | None) -> list[str | None] | None:
    return None if numbers is None else [None if number is None else f"{number:f}" for number in numbers]


def _report(comparison: Comparison, *, as_json: bool) -> None:
    common, differences = comparison.common, comparison.differences
    causes = Counter(found.cause for found in differences)
    if as_json:
        base.out_json(
            {
                "windows_of_both": common,
                "differences": [
                    {
                        "broker": found.window[0],
                        "symbol": found.window[1],
                        "bucket_start": found.window[2],
                        "cause": str(found.cause),
                        "ours": _texts(found.ours),
                        "ksqldb": _texts(found.theirs),
                    }
                    for found in differences
                ],
            }
        )
        return
    if not differences:
        base.out(f"{common} windows, all equal")
        return
    made = Table(box=None, pad_edge=False)
    for name in ("start (UTC)", "broker", "symbol", "barwheel: o h l c n volume vwap", "ksqlDB", "cause"):
        made.add_column(name, overflow="fold")
    for found in differences[:ROWS]:
        cells = [" ".join(value or "-" for value in _texts(side) or ("-",)) for side in (found.ours, found.theirs)]
        made.add_row(base.utc(found.window[2]), found.window[0], found.window[1], *cells, str(found.cause))
    base.console().print(made)
    for cause, number in causes.most_common():
        text = next(found.text for found in differences if found.cause is cause)
        base.out(f"{number} {cause}: {text}")
    shown = f"; the first {ROWS} are shown" if len(differences) > ROWS else ""
    base.out(f"{len(differences)} windows differ, both have {common}{shown}")
