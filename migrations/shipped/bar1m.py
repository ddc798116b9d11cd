"""The bars computed by ksqlDB itself, beside those of the application: for comparing the two, and for doing without one.

`python -m migrations.shipped.bar1m` prints `bar1m.yaml`, which is this as text; a test keeps the two equal. Everything has
the prefix `ksql_` (variable `prefix`), so that both run side by side. EMIT FINAL gives a window
when a later tick of its partition comes, open and close go by offset, and a tick that does not fit its column vanishes.
Heartbeats move its time as well, and are no ticks: a window of nothing else gives no bar.
"""

from __future__ import annotations

import sys

import yaml

from migrations.ksql.expressions import Column, Key
from migrations.ksql.functions import WINDOWEND, WINDOWSTART, as_value, case, cast, count, null, ohlc, total
from migrations.ksql.queries import Emit, select, tumbling
from migrations.ksql.sources import NO_KEY, Insert, Stream, Table, delimited
from migrations.ksql.types import BIGINT, DOUBLE, STRING, TIMESTAMP
from migrations.shipped.decimals import NOTIONAL, PRICE, SUM, USUAL

PROPERTIES = {
    "ksql.streams.auto.offset.reset": "earliest",
    "ksql.streams.processing.guarantee": "exactly_once_v2",  # else a killed server counts ticks twice
}
VARIABLES = {"prefix": "ksql_", **USUAL}
KEY = delimited("|")


class Ticks(Stream, name="${prefix}ticks", topic="${ticks}", key=KEY, value="JSON", timestamp="ts"):
    """The input."""

    broker = Key(STRING)
    symbol = Key(STRING)
    ts = Column(TIMESTAMP)
    bid = Column(PRICE)
    qty = Column(PRICE)


windows = (
    select(
        Ticks.broker,
        Ticks.symbol,
        as_value(Ticks.broker).as_("broker_v"),
        as_value(Ticks.symbol).as_("symbol_v"),
        WINDOWSTART.as_("bucket_start"),
        WINDOWEND.as_("bucket_end"),
        *ohlc(Ticks.bid),
        total(cast(Ticks.qty, SUM)).as_("volume"),
        total(cast(Ticks.bid * Ticks.qty, NOTIONAL)).as_("notional"),
        count(Ticks.bid).as_("n"),
    )
    .from_(Ticks)
    .window(tumbling("1 MINUTE", retention="7 DAYS", grace="5 SECONDS"))
    .group_by(Ticks.broker, Ticks.symbol)
    .emit(Emit.final)
)


class Windows(
    Table,
    name="${prefix}bar_1m_w",
    topic="${topics}${prefix}bar_1m_w",
    partitions="${partitions}",
    key=KEY,
    value="JSON",
    query=windows,
):
    """One row a window; its key holds the window."""

    broker = Key(STRING)
    symbol = Key(STRING)
    broker_v = Column(STRING)
    symbol_v = Column(STRING)
    bucket_start = Column(BIGINT)
    bucket_end = Column(BIGINT)
    o = Column(PRICE)
    h = Column(PRICE)
    l = Column(PRICE)  # noqa: E741  # low
    c = Column(PRICE)
    volume = Column(SUM)
    notional = Column(NOTIONAL)
    n = Column(BIGINT)


class Raw(Stream, name="${prefix}bar_1m_raw", topic="${topics}${prefix}bar_1m_w", key=NO_KEY, value="JSON"):
    """The same records without their key, as no query can be kept of a windowed table."""

    broker_v = Column(STRING)
    symbol_v = Column(STRING)
    bucket_start = Column(BIGINT)
    bucket_end = Column(BIGINT)
    o = Column(PRICE)
    h = Column(PRICE)
    l = Column(PRICE)  # noqa: E741  # low
    c = Column(PRICE)
    volume = Column(SUM)
    notional = Column(NOTIONAL)
    n = Column(BIGINT)


# a quotient of DECIMALs is NULL where it does not end
vwap = case(
    (Raw.volume == 0, null(PRICE)),
    otherwise=cast(cast(Raw.notional, DOUBLE) / cast(Raw.volume, DOUBLE), PRICE),
)
events = (
    select(
        Raw.broker_v.as_("broker"),
        Raw.symbol_v.as_("symbol"),
        *(Raw.bucket_start, Raw.bucket_end, Raw.o, Raw.h, Raw.l, Raw.c, Raw.volume),
        vwap.as_("vwap"),
        Raw.n,
    )
    .from_(Raw)
    .where(Raw.n > 0)
    .partition_by(Raw.broker_v, Raw.symbol_v)
)


class Events(
    Stream,
    name="${prefix}bar_1m_events",
    topic="${topics}${prefix}bar_1m_events",
    partitions="${partitions}",
    key=KEY,
    value="JSON",
    query=events,
):
    """One event a window."""

    broker = Key(STRING)
    symbol = Key(STRING)
    bucket_start = Column(BIGINT)
    bucket_end = Column(BIGINT)
    o = Column(PRICE)
    h = Column(PRICE)
    l = Column(PRICE)  # noqa: E741  # low
    c = Column(PRICE)
    volume = Column(SUM)
    vwap = Column(PRICE)
    n = Column(BIGINT)


class Final(
    Table,
    name="${prefix}bar_1m_final",
    topic="${topics}${prefix}bar_1m_final",
    partitions="${partitions}",
    key=KEY,
    value="JSON",
):
    """The bars by broker, symbol and window."""

    broker = Key(STRING)
    symbol = Key(STRING)
    bucket_start = Key(BIGINT)
    bucket_end = Column(BIGINT)
    o = Column(PRICE)
    h = Column(PRICE)
    l = Column(PRICE)  # noqa: E741  # low
    c = Column(PRICE)
    volume = Column(SUM)
    vwap = Column(PRICE)
    n = Column(BIGINT)


class FinalIn(Stream, name="${prefix}bar_1m_final_in", topic="${topics}${prefix}bar_1m_final", key=KEY, value="JSON"):
    """The way into it."""

    broker = Key(STRING)
    symbol = Key(STRING)
    bucket_start = Key(BIGINT)
    bucket_end = Column(BIGINT)
    o = Column(PRICE)
    h = Column(PRICE)
    l = Column(PRICE)  # noqa: E741  # low
    c = Column(PRICE)
    volume = Column(SUM)
    vwap = Column(PRICE)
    n = Column(BIGINT)


writer = Insert(
    FinalIn,
    select(Events).from_(Events).partition_by(Events.broker, Events.symbol, Events.bucket_start),
    query_id="${prefix}BAR_1M_FINAL_WRITER",
)


class Queryable(
    Table,
    name="${prefix}bar_1m_final_q",
    topic="${topics}${prefix}bar_1m_final_q",
    partitions="${partitions}",
    key=KEY,
    value="JSON",
    query=select(Final).from_(Final),
):
    """A copy that pull queries can ask, which a declared table cannot be."""

    broker = Key(STRING)
    symbol = Key(STRING)
    bucket_start = Key(BIGINT)
    bucket_end = Column(BIGINT)
    o = Column(PRICE)
    h = Column(PRICE)
    l = Column(PRICE)  # noqa: E741  # low
    c = Column(PRICE)
    volume = Column(SUM)
    vwap = Column(PRICE)
    n = Column(BIGINT)


def statements() -> list[object]:
    """In the order in which they are made."""
    return [Ticks, Windows, Raw, Events, Final, FinalIn, writer, Queryable]


def as_yaml() -> str:
    """The plan as a file of text."""
    data = {
        "name": "bar1m",
        "properties": PROPERTIES,
        "variables": VARIABLES,
        "statements": [str(one) for one in statements()],
    }
    return yaml.dump(data, sort_keys=False, default_style=None, width=200, Dumper=_Literal)


class _Literal(yaml.SafeDumper):
    """Texts of several lines as they are."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Literal.add_representer(str, _text)

if __name__ == "__main__":
    sys.stdout.write(as_yaml())
