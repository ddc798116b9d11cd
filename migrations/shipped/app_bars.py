"""What ksqlDB makes of the application's topics: declared once, applied by the plans in `versions/`."""

from __future__ import annotations

from migrations.ksql.expressions import Column, Key
from migrations.ksql.functions import WINDOWEND, WINDOWSTART, count, earliest, latest, maximum, minimum, total
from migrations.ksql.queries import select, tumbling
from migrations.ksql.sources import Stream, Table, delimited
from migrations.ksql.types import BIGINT, INTEGER, STRING, TIMESTAMP
from migrations.shipped.decimals import PRICE, SUM

PROPERTIES = {"ksql.streams.auto.offset.reset": "earliest", "ksql.streams.processing.guarantee": "exactly_once_v2"}
KEY = delimited("|")


class Ticks(Stream, name="ticks", topic="${ticks}", key=KEY, value="JSON", timestamp="ts"):
    """The input, rejected and late ticks included."""

    broker = Key(STRING)
    symbol = Key(STRING)
    ts = Column(TIMESTAMP)
    bid = Column(PRICE)
    ask = Column(PRICE)
    last = Column(PRICE)
    qty = Column(PRICE)


class Bars(Table, name="bar_1m_final", topic="${finals}", key=KEY, value="JSON"):
    """The application's bars; as a declared table it cannot be asked by pull queries."""

    broker = Key(STRING)
    symbol = Key(STRING)
    bucket_start = Key(BIGINT)
    bucket_end = Column(BIGINT)
    open = Column(PRICE)
    high = Column(PRICE)
    low = Column(PRICE)
    close = Column(PRICE)
    volume = Column(SUM)
    vwap = Column(PRICE)
    ticks = Column(BIGINT)
    close_reason = Column(STRING)
    revision = Column(INTEGER)


class Events(Stream, name="bar_1m_events", topic="${finals}", key=KEY, value="JSON"):
    """The same records one by one."""

    broker = Key(STRING)
    symbol = Key(STRING)
    bucket_start = Key(BIGINT)
    bucket_end = Column(BIGINT)
    open = Column(PRICE)
    high = Column(PRICE)
    low = Column(PRICE)
    close = Column(PRICE)
    volume = Column(SUM)
    vwap = Column(PRICE)
    ticks = Column(BIGINT)
    close_reason = Column(STRING)
    revision = Column(INTEGER)


all_bars = (
    select(
        *(Events.broker, Events.symbol, Events.bucket_start),
        *(latest(column).as_(column.name) for column in Events.columns().values() if not column.key),
    )
    .from_(Events)
    .group_by(Events.broker, Events.symbol, Events.bucket_start)
)


class AllBars(
    Table,
    name="bar_1m_all",
    topic="${topics}bar_1m_all",
    partitions="${partitions}",
    key=KEY,
    value="JSON",
    query=all_bars,
):
    """Every bar, for pull queries by its key or a part of it.

    Grouped, so that it is partitioned by its own key: the finals lie where their ticks lay, and a pull query looks where the
    key's hash says.
    """

    broker = Key(STRING)
    symbol = Key(STRING)
    bucket_start = Key(BIGINT)
    bucket_end = Column(BIGINT)
    open = Column(PRICE)
    high = Column(PRICE)
    low = Column(PRICE)
    close = Column(PRICE)
    volume = Column(SUM)
    vwap = Column(PRICE)
    ticks = Column(BIGINT)
    close_reason = Column(STRING)
    revision = Column(INTEGER)


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
    Table,
    name="bar_1m_newest",
    topic="${topics}bar_1m_newest",
    partitions="${partitions}",
    key=KEY,
    value="JSON",
    query=newest,
):
    """The newest bar of each symbol. Without revisions: one of an older bar comes later, and would stand for the newest."""

    broker = Key(STRING)
    symbol = Key(STRING)
    bucket_start = Column(BIGINT)
    open = Column(PRICE)
    high = Column(PRICE)
    low = Column(PRICE)
    close = Column(PRICE)
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
        count().as_("minutes"),
    )
    .from_(Events)
    .window(tumbling("5 MINUTES", retention="7 DAYS", grace="1 DAY"))
    .where(Events.revision == 0)
    .group_by(Events.broker, Events.symbol)
)


class FiveMinutes(
    Table,
    name="bar_5m",
    topic="${topics}bar_5m",
    partitions="${partitions}",
    key=KEY,
    value="JSON",
    query=five_minutes,
):
    """Five minutes of one-minute bars, as far as they have come."""

    broker = Key(STRING)
    symbol = Key(STRING)
    bucket_start = Column(BIGINT)
    bucket_end = Column(BIGINT)
    open = Column(PRICE)
    high = Column(PRICE)
    low = Column(PRICE)
    close = Column(PRICE)
    volume = Column(SUM)
    ticks = Column(BIGINT)
    minutes = Column(BIGINT)
