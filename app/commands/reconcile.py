"""`app reconcile`: the application's bars beside those that ksqlDB computes of the same ticks, window by window."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import msgspec
from aiokafka import AIOKafkaConsumer
from faust.cli.base import option
from rich.table import Table

from app.commands import base
from app.errors import InputError
from app.finals import BarQuery, read_bars, records_to_end, topic_consumer
from app.ksqldb import reconciliation
from app.ksqldb.reconciliation import Difference, KsqlBar, Numbers, Window
from app.settings import Settings
from app.settings.types import Price, TimeUnit
from tables.ticks import RejectedError, event_time

if TYPE_CHECKING:
    import faust

ROWS = 20
_decode = msgspec.json.Decoder(KsqlBar).decode


class _Late(msgspec.Struct):
    ts: int | str = 0


def register(app: faust.App) -> None:
    """Add the command."""

    @app.command(
        option("--topic", default="", show_default=False, help="ksqlDB's bars.  [default: that of plans/bar1m.yaml]"),
        base.json_option,
        base=base.BarwheelCommand,
    )
    async def reconcile(self: base.BarwheelCommand, *, topic: str, as_json: bool) -> int:  # noqa: ARG001 - Faust passes itself
        """Compare the application's bars with ksqlDB's and explain each difference; exit code 1 where there is one.

        Apply the plan first that has ksqlDB compute them: app migrate --apply --plan bar1m

        \b
        Example:
          app reconcile
          app reconcile --json
        """  # noqa: D301 - click reads \b
        return await run(Settings.load(), topic, as_json=as_json)


async def run(settings: Settings, topic: str, *, as_json: bool) -> int:
    """Read both, compare, report; raises `InputError` where one of the two topics does not exist."""
    _check(settings)
    cluster = await base.reach(settings)
    theirs_topic = topic or f"{settings.topics_prefix}ksql_bar_1m_final"
    async with topic_consumer(cluster, settings.finals_topic) as consumer:
        if consumer is None:
            raise InputError(f"topic {settings.finals_topic} does not exist: no worker has run yet")
        found = await read_bars(consumer, BarQuery(settings.app_id))
    ours = {(bar.broker, bar.symbol, bar.bucket_start): bar for bar in found}
    async with topic_consumer(cluster, theirs_topic) as consumer:
        if consumer is None:
            raise InputError(f"topic {theirs_topic} does not exist: has the plan bar1m been applied?")
        theirs = await _theirs(consumer)
    async with topic_consumer(cluster, settings.late_topic) as consumer:
        late = Counter[Window]() if consumer is None else await _late(consumer, settings)
    newest: dict[tuple[str, str], int] = {}
    for broker, symbol, start in theirs:
        newest[broker, symbol] = max(start, newest.get((broker, symbol), start))
    differences = list(reconciliation.reconcile(ours, theirs, late, newest, settings.ksqldb_scale))
    _report(len(ours.keys() & theirs.keys()), differences, as_json=as_json)
    return 1 if differences else 0


def _check(settings: Settings) -> None:
    """Raise `InputError` where the two make bars of different things, so that every window would differ."""
    for name, ours, theirs in (
        ("price", settings.price.value, Price.bid.value),
        ("window_size", settings.size_text, "1m"),
        ("time_unit", settings.time_unit.value, TimeUnit.ms.value),
    ):
        if ours != theirs:
            raise InputError(
                f"{name}={ours}: plans/bar1m.yaml makes its bars with {name}={theirs}, and no two would be the same"
            )


async def _theirs(consumer: AIOKafkaConsumer) -> dict[Window, KsqlBar]:
    found: dict[Window, KsqlBar] = {}
    async for record in records_to_end(consumer):
        broker, symbol, start = (record.key or b"||0").decode(errors="replace").split("|")
        if record.value is None:
            found.pop((broker, symbol, int(start)), None)
        else:
            found[broker, symbol, int(start)] = _decode(record.value)
    return found


async def _late(consumer: AIOKafkaConsumer, settings: Settings) -> Counter[Window]:
    """Late ticks by the window that they belong to."""
    found = Counter[Window]()
    async for record in records_to_end(consumer):
        broker, _, symbol = dict(record.headers).get("source_key", b"").decode(errors="replace").partition("|")
        try:
            _, ms = event_time(msgspec.json.decode(record.value or b"", type=_Late).ts, settings.time_unit.value)
        except (msgspec.MsgspecError, RejectedError):
            continue  # it was cut: the window is not known
        found[broker, symbol, ms - ms % settings.window_size] += 1
    return found


def _said(numbers: Numbers | None) -> list[str | None] | None:
    return None if numbers is None else [None if number is None else f"{number:f}" for number in numbers]


def _report(common: int, differences: list[Difference], *, as_json: bool) -> None:
    causes = Counter(one.cause for one in differences)
    if as_json:
        base.out_json(
            {
                "windows_of_both": common,
                "differences": [
                    {
                        "broker": one.window[0],
                        "symbol": one.window[1],
                        "bucket_start": one.window[2],
                        "cause": str(one.cause),
                        "ours": _said(one.ours),
                        "ksqldb": _said(one.theirs),
                    }
                    for one in differences
                ],
            }
        )
        return
    if not differences:
        base.out(f"{common} windows, and every one is the same")
        return
    made = Table(box=None, pad_edge=False)
    for name in ("start (UTC)", "broker", "symbol", "barwheel: o h l c n volume vwap", "ksqlDB", "cause"):
        made.add_column(name, overflow="fold")
    for one in differences[:ROWS]:
        cells = [" ".join(value or "-" for value in _said(side) or ("-",)) for side in (one.ours, one.theirs)]
        made.add_row(base.utc(one.window[2]), one.window[0], one.window[1], *cells, str(one.cause))
    base.console().print(made)
    for cause, number in causes.most_common():
        text = next(one.text for one in differences if one.cause is cause)
        base.out(f"{number} {cause}: {text}")
    shown = f"; the first {ROWS} are shown" if len(differences) > ROWS else ""
    base.out(f"{len(differences)} windows differ, both have {common}{shown}")
