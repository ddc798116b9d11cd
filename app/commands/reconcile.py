"""`app reconcile`: the application's bars beside those that ksqlDB computes of the same ticks, window by window."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import msgspec
from aiokafka import AIOKafkaConsumer
from faust.cli.base import option
from rich.table import Table

from app.commands import bars, base
from app.errors import InputError
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
        option("--topic", default="", show_default=False, help="ksqlDB's bars.  [default: that of the plan bar1m]"),
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
    async with bars.reader(cluster, settings.finals_topic) as consumer:
        if consumer is None:
            raise InputError(f"topic {settings.finals_topic} does not exist: no worker has run yet")
        found = await bars.read_to_end(consumer, bars.Wanted(settings.app_id))
    ours = {(bar.broker, bar.symbol, bar.bucket_start): bar for bar in found}
    async with bars.reader(cluster, theirs_topic) as consumer:
        if consumer is None:
            raise InputError(f"topic {theirs_topic} does not exist: has the plan bar1m been applied?")
        theirs = await _theirs(consumer)
    async with bars.reader(cluster, settings.late_topic) as consumer:
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
            raise InputError(f"{name}={ours}: the plan bar1m makes its bars with {name}={theirs}, and no two would be the same")


async def _records(consumer: AIOKafkaConsumer) -> list[tuple[bytes | None, bytes | None, dict[str, bytes]]]:
    ends = await consumer.end_offsets(sorted(consumer.assignment()))
    found = []
    while [place for place, end in ends.items() if await consumer.position(place) < end]:
        for records in (await consumer.getmany(timeout_ms=200)).values():
            found += [(record.key, record.value, dict(record.headers)) for record in records]
    return found


async def _theirs(consumer: AIOKafkaConsumer) -> dict[Window, KsqlBar]:
    found: dict[Window, KsqlBar] = {}
    for key, value, _ in await _records(consumer):
        broker, symbol, start = (key or b"||0").decode(errors="replace").split("|")
        if value is None:
            found.pop((broker, symbol, int(start)), None)
        else:
            found[broker, symbol, int(start)] = _decode(value)
    return found


async def _late(consumer: AIOKafkaConsumer, settings: Settings) -> Counter[Window]:
    """Late ticks by the window that they belong to."""
    found = Counter[Window]()
    for _, value, headers in await _records(consumer):
        broker, _, symbol = headers.get("source_key", b"").decode(errors="replace").partition("|")
        try:
            _, ms = event_time(msgspec.json.decode(value or b"", type=_Late).ts, settings.time_unit.value)
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
