"""Reading the application's bars, ksqlDB's bars and the late ticks, and comparing them window by window."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import msgspec
from aiokafka import AIOKafkaConsumer

from app.errors import InputError
from app.finals import BarQuery, PlacedBar, records_to_end, topic_consumer
from app.kafka.cluster import Cluster
from app.ksqldb.reconciliation import Difference
from app.operations.ksqldb_view import read_ticks
from app.operations.window_store import WindowStore
from app.settings import Settings
from app.settings.types import Price, TimeUnit
from tables.ticks import RejectedError, event_time


class _LateTick(msgspec.Struct):
    ts: int | str = 0


@dataclass(frozen=True)
class Comparison:
    """How many windows both have, and the windows that differ."""

    common: int
    differences: Callable[[], Iterator[Difference]]  # in order; they are looked for anew each time


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


@asynccontextmanager
async def compare(settings: Settings, cluster: Cluster, ksql_topic: str) -> AsyncIterator[Comparison]:
    """Compare the two topics of bars as they are now; raises `InputError` if one of them does not exist.

    The final bars are compared, as they were first published: ksqlDB revises none. Flat bars are left out, as it makes none.
    """
    with WindowStore() as store:
        await _read_ours(settings, cluster, store)
        async with topic_consumer(cluster, ksql_topic) as consumer:
            if consumer is None:
                raise InputError(f"topic {ksql_topic} does not exist: has the plan bar1m been applied?")
            async for record in records_to_end(consumer):
                broker, symbol, start = (record.key or b"||0").decode(errors="replace").split("|")
                store.add_theirs((broker, symbol, int(start)), record.value)
        async with topic_consumer(cluster, settings.late_topic) as consumer:
            if consumer is not None:
                await _count_late(consumer, settings, store)
        scale, closed = settings.ksqldb_scale, dict[int, int]()
        if next(store.differences(scale, closed), None) is not None:  # only then is it worth reading all ticks
            closed = await read_ticks(settings, cluster, store.reading)
        yield Comparison(store.common(), lambda: store.differences(scale, closed))


async def _read_ours(settings: Settings, cluster: Cluster, store: WindowStore) -> None:
    """Read the final bars, and the revisions, which tell how many ticks were late."""
    query = BarQuery(settings.app_id)
    async with topic_consumer(cluster, settings.finals_topic, settings.corrections_topic_of("")) as consumer:
        if consumer is None:
            raise InputError(f"topic {settings.finals_topic} does not exist: no worker has run yet")
        async for record in records_to_end(consumer):
            bar = query.match(record)
            if bar is not None and bar.revision:
                store.add_revised(bar)
            elif bar is not None and bar.ticks:
                store.add_ours(PlacedBar(record.partition, bar))


async def _count_late(consumer: AIOKafkaConsumer, settings: Settings, store: WindowStore) -> None:
    """Count late ticks by the window that they belong to."""
    async for record in records_to_end(consumer):
        broker, _, symbol = dict(record.headers).get("source_key", b"").decode(errors="replace").partition("|")
        try:
            _, ms = event_time(msgspec.json.decode(record.value or b"", type=_LateTick).ts, settings.time_unit.value)
        except (msgspec.MsgspecError, RejectedError):
            continue  # a truncated value: its window is unknown
        store.add_late((broker, symbol, ms - ms % settings.window_size))
