"""Reading the application's bars, ksqlDB's bars and the late ticks, and comparing them window by window."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import msgspec
from aiokafka import AIOKafkaConsumer

from app.errors import InputError
from app.finals import BarQuery, doubled_windows, read_bars, records_to_end, topic_consumer
from app.kafka.cluster import Cluster
from app.ksqldb import reconciliation
from app.ksqldb.reconciliation import Difference, KsqlBar, Window
from app.operations.ksqldb_view import readings
from app.settings import Settings
from app.settings.types import Price, TimeUnit
from tables.bars import Bar
from tables.ticks import RejectedError, event_time

_decode = msgspec.json.Decoder(KsqlBar).decode


class _LateTick(msgspec.Struct):
    ts: int | str = 0


@dataclass(frozen=True)
class Comparison:
    """How many windows both have, and the windows that differ."""

    common: int
    differences: list[Difference]


def check_comparable(settings: Settings) -> None:
    """Raise `InputError` for a setting with which every window would differ from those of the shipped plan."""
    for name, ours, theirs in (
        ("price", settings.price.value, Price.bid.value),
        ("time_unit", settings.time_unit.value, TimeUnit.ms.value),
    ):
        if ours != theirs:
            raise InputError(f"{name}={ours}: the plan bar1m makes its bars with {name}={theirs}, and no two would be the same")
    if settings.layout.changed:
        raise InputError(f"{settings.layout.changed}: the plan bar1m reads ticks in the default layout, and would have no bars")


async def compare(settings: Settings, cluster: Cluster, ksql_topic: str) -> Comparison:
    """Compare the two topics of bars as they are now; raises `InputError` if one of them does not exist."""
    async with topic_consumer(cluster, settings.finals_topic) as consumer:
        if consumer is None:
            raise InputError(f"topic {settings.finals_topic} does not exist: no worker has run yet")
        bars = await read_bars(consumer, BarQuery(settings.app_id))
    bars = [placed for placed in bars if placed.bar.ticks]  # ksqlDB makes no flat bars
    ours = {_window(placed.bar): placed.bar for placed in bars}
    doubled = {_window(group[0].bar): [placed.bar for placed in group] for group in doubled_windows(bars)}
    async with topic_consumer(cluster, ksql_topic) as consumer:
        if consumer is None:
            raise InputError(f"topic {ksql_topic} does not exist: has the plan bar1m been applied?")
        theirs = await _ksql_bars(consumer)
    async with topic_consumer(cluster, settings.late_topic) as consumer:
        late = Counter[Window]() if consumer is None else await _late_ticks(consumer, settings)
    newest: dict[tuple[str, str], int] = {}
    for broker, symbol, start in theirs:
        newest[broker, symbol] = max(start, newest.get((broker, symbol), start))
    scale = settings.ksqldb_scale
    differences = list(reconciliation.reconcile(ours, theirs, late, newest, scale, doubled))
    if differences:  # only then is it worth reading all ticks
        seen = await readings(settings, cluster)
        differences = list(reconciliation.reconcile(ours, theirs, late, newest, scale, doubled, seen))
    return Comparison(len(ours.keys() & theirs.keys()), differences)


def _window(bar: Bar) -> Window:
    return bar.broker, bar.symbol, bar.bucket_start


async def _ksql_bars(consumer: AIOKafkaConsumer) -> dict[Window, KsqlBar]:
    bars: dict[Window, KsqlBar] = {}
    async for record in records_to_end(consumer):
        broker, symbol, start = (record.key or b"||0").decode(errors="replace").split("|")
        if record.value is None:
            bars.pop((broker, symbol, int(start)), None)
        else:
            bars[broker, symbol, int(start)] = _decode(record.value)
    return bars


async def _late_ticks(consumer: AIOKafkaConsumer, settings: Settings) -> Counter[Window]:
    """Number of late ticks by the window that they belong to."""
    late = Counter[Window]()
    async for record in records_to_end(consumer):
        broker, _, symbol = dict(record.headers).get("source_key", b"").decode(errors="replace").partition("|")
        try:
            _, ms = event_time(msgspec.json.decode(record.value or b"", type=_LateTick).ts, settings.time_unit.value)
        except (msgspec.MsgspecError, RejectedError):
            continue  # a truncated value: its window is unknown
        late[broker, symbol, ms - ms % settings.window_size] += 1
    return late
