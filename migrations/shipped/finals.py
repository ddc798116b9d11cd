"""What ksqlDB makes of the application's topics: the streams and tables of the plan in `versions/`."""

from __future__ import annotations

from migrations.ksql.expressions import Column
from migrations.ksql.functions import WINDOWEND, WINDOWSTART, count, earliest, latest, maximum, minimum, total
from migrations.ksql.queries import select, tumbling
from migrations.ksql.sources import Stream, Table
from migrations.ksql.types import BIGINT, INTEGER, STRING, TIMESTAMP
from migrations.shipped.columns import KEY, PROPERTIES, BarKey, SymbolKey, WindowEnd, WindowStart
from migrations.shipped.decimals import BAR_PRICE, BAR_SUM, BAR_TIME, PRICE

__all__ = ["PROPERTIES", "AllBars", "Bars", "Events", "FiveMinutes", "Newest", "Ticks"]


FORMAT = "${bar_format}"  # of the application's bars; what ksqlDB makes of them is JSON


class Prices:
    """The prices of a bar."""

    open = Column(BAR_PRICE)
    high = Column(BAR_PRICE)
    low = Column(BAR_PRICE)
    close = Column(BAR_PRICE)


class BarEnd:
    """The end of the window, as bars have it: epoch ms in JSON."""

    bucket_end = Column(BAR_TIME)


class BarColumns(BarKey, BarEnd, Prices):
    """A record of the finals topic."""

    volume = Column(BAR_SUM)
    vwap = Column(BAR_PRICE)
    ticks = Column(BIGINT)
    close_reason = Column(STRING)
    revision = Column(INTEGER)


class Ticks(SymbolKey, Stream, name="${bars_instance}ticks", topic="${ticks}", key=KEY, value="JSON", timestamp="ts"):
    """The ticks topic, including rejected and late ticks."""

    ts = Column(TIMESTAMP)
    bid = Column(PRICE)
    ask = Column(PRICE)
    last = Column(PRICE)
    qty = Column(PRICE)


class Bars(BarColumns, Table, name="${bars_instance}bar_${bars_window}_final", topic="${finals}", key=KEY, value=FORMAT):
    """The application's bars by their key. A declared table does not answer pull queries."""


class Events(BarColumns, Stream, name="${bars_instance}bar_${bars_window}_events", topic="${finals}", key=KEY, value=FORMAT):
    """The same records as a stream."""


all_bars = (
    select(
        *(Events.broker, Events.symbol, Events.bucket_start),
        *(latest(column).as_(column.name) for column in Events.columns().values() if not column.key),
    )
    .from_(Events)
    .group_by(Events.broker, Events.symbol, Events.bucket_start)
)


class AllBars(
    BarColumns,
    Table,
    name="${bars_instance}bar_${bars_window}_all",
    topic="${topics}bar_${bars_window}_all",
    partitions="${partitions}",
    key=KEY,
    value="JSON",
    query=all_bars,
):
    """Every bar, for pull queries by the key or a part of it.

    GROUP BY partitions the table by its own key. The finals topic is partitioned as the ticks are, and a pull query looks
    into the partition that the hash of the key selects.
    """


newest = (
    select(
        *(Events.broker, Events.symbol),
        latest(Events.bucket_start).as_("bucket_start"),
        *(latest(column).as_(column.name) for column in (Events.open, Events.high, Events.low, Events.close)),
        latest(Events.ticks).as_("ticks"),
        count().as_("bars"),
    )
    .from_(Events)
    .where(Events.revision == 0)
    .group_by(Events.broker, Events.symbol)
)


class Newest(
    SymbolKey,
    WindowStart,
    Prices,
    Table,
    name="${bars_instance}bar_${bars_window}_newest",
    topic="${topics}bar_${bars_window}_newest",
    partitions="${partitions}",
    key=KEY,
    value="JSON",
    query=newest,
):
    """The newest bar of each symbol.

    Revisions are left out: a revision of an older bar comes later and would replace the newest bar.
    """

    ticks = Column(BIGINT)
    bars = Column(BIGINT)


five_minutes = (
    select(
        *(Events.broker, Events.symbol),
        WINDOWSTART.as_("bucket_start"),
        WINDOWEND.as_("bucket_end"),
        earliest(Events.open).as_("open"),
        maximum(Events.high).as_("high"),
        minimum(Events.low).as_("low"),
        latest(Events.close).as_("close"),
        total(Events.volume).as_("volume"),
        total(Events.ticks).as_("ticks"),
        count().as_("bars"),
    )
    .from_(Events)
    .window(tumbling("${bars_five_size}", retention="7 DAYS", grace="1 DAY"))
    .where(Events.revision == 0)
    .group_by(Events.broker, Events.symbol)
)


class FiveMinutes(
    SymbolKey,
    WindowStart,
    WindowEnd,
    Prices,
    Table,
    name="${bars_instance}bar_${bars_five}",
    topic="${topics}bar_${bars_five}",
    partitions="${partitions}",
    key=KEY,
    value="JSON",
    query=five_minutes,
):
    """Bars of five windows from those bars that have arrived: of five minutes from one-minute bars."""

    volume = Column(BAR_SUM)
    ticks = Column(BIGINT)
    bars = Column(BIGINT)  # how many bars they are made of
