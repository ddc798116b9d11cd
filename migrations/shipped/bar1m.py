"""Bars that ksqlDB itself computes from the ticks, to compare with the application's or to use instead of them.

All names have the prefix `ksql_` (variable `prefix`), so that both can run side by side. They follow `window_size` and
`topics_prefix`, as the topics do. The bars differ in three ways. EMIT FINAL emits a window when a later tick of its partition
arrives. Open and close go by offset. A tick that does not fit its columns vanishes. Heartbeats advance ksqlDB's stream time
too; they are not ticks, and a window that has only heartbeats makes no bar.
"""

from __future__ import annotations

from migrations.ksql.expressions import Column
from migrations.ksql.functions import WINDOWEND, WINDOWSTART, as_value, case, cast, count, null, ohlc, total
from migrations.ksql.queries import Emit, select, tumbling
from migrations.ksql.sources import NO_KEY, Insert, Stream, Table
from migrations.ksql.types import BIGINT, DOUBLE, STRING, TIMESTAMP
from migrations.shipped.columns import KEY, PROPERTIES, BarKey, SymbolKey, WindowEnd, WindowStart
from migrations.shipped.decimals import NOTIONAL, PRICE, SUM, USUAL

__all__ = ["PROPERTIES", "VARIABLES", "statements"]

USUAL_NAMES = {"bars_instance": "", "bars_window": "1m", "bars_window_upper": "1M", "bars_size": "1 MINUTE"}
GRACE = "5 SECONDS"
NAME = "${bars_instance}${prefix}bar_${bars_window}"
TOPIC = "${topics}${prefix}bar_${bars_window}"
VARIABLES = {"prefix": "ksql_", **USUAL_NAMES, **USUAL}


class Prices:
    """The prices of a bar: open, high, low, close."""

    o = Column(PRICE)
    h = Column(PRICE)
    l = Column(PRICE)  # noqa: E741  # low
    c = Column(PRICE)


class SymbolValue:
    """A copy of the key in the value."""

    broker_v = Column(STRING)
    symbol_v = Column(STRING)


class WindowColumns(SymbolValue, WindowStart, WindowEnd, Prices):
    """The result of the aggregation."""

    volume = Column(SUM)
    notional = Column(NOTIONAL)
    n = Column(BIGINT)


class BarColumns(WindowEnd, Prices):
    """The value of a bar, without the start of its window."""

    volume = Column(SUM)
    vwap = Column(PRICE)
    n = Column(BIGINT)


class Ticks(SymbolKey, Stream, name="${bars_instance}${prefix}ticks", topic="${ticks}", key=KEY, value="JSON", timestamp="ts"):
    """The ticks topic."""

    ts = Column(TIMESTAMP)
    bid = Column(PRICE)
    qty = Column(PRICE)


# bid * qty of a tick without one of them throws, which is an ERROR line in the server's log for each tick
notional = case(
    (Ticks.bid.is_not_null() & Ticks.qty.is_not_null(), cast(Ticks.bid * Ticks.qty, NOTIONAL)),
    otherwise=null(NOTIONAL),
)
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
        total(notional).as_("notional"),
        count(Ticks.bid).as_("n"),
    )
    .from_(Ticks)
    .window(tumbling("${bars_size}", retention="7 DAYS", grace=GRACE))
    .group_by(Ticks.broker, Ticks.symbol)
    .emit(Emit.final)
)


class Windows(
    SymbolKey,
    WindowColumns,
    Table,
    name=f"{NAME}_w",
    topic=f"{TOPIC}_w",
    partitions="${partitions}",
    key=KEY,
    value="JSON",
    query=windows,
):
    """One row per window. The key contains the window."""


class Raw(
    WindowColumns,
    Stream,
    name=f"{NAME}_raw",
    topic=f"{TOPIC}_w",
    key=NO_KEY,
    value="JSON",
):
    """The same records without their key: ksqlDB runs no persistent query on a windowed table."""


# the server makes NULL of a quotient of DECIMALs that does not end, so divide as DOUBLE
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
    SymbolKey,
    WindowStart,
    BarColumns,
    Stream,
    name=f"{NAME}_events",
    topic=f"{TOPIC}_events",
    partitions="${partitions}",
    key=KEY,
    value="JSON",
    query=events,
):
    """One record per window, keyed by symbol."""


class Final(
    BarKey,
    BarColumns,
    Table,
    name=f"{NAME}_final",
    topic=f"{TOPIC}_final",
    partitions="${partitions}",
    key=KEY,
    value="JSON",
):
    """The bars by symbol and window."""


class FinalIn(
    BarKey,
    BarColumns,
    Stream,
    name=f"{NAME}_final_in",
    topic=f"{TOPIC}_final",
    key=KEY,
    value="JSON",
):
    """A stream over the topic of `Final`, as an INSERT cannot write into a table."""


writer = Insert(
    FinalIn,
    select(Events).from_(Events).partition_by(Events.broker, Events.symbol, Events.bucket_start),
    query_id="${bars_instance}${prefix}BAR_${bars_window_upper}_FINAL_WRITER",
)


class Queryable(
    BarKey,
    BarColumns,
    Table,
    name=f"{NAME}_final_q",
    topic=f"{TOPIC}_final_q",
    partitions="${partitions}",
    key=KEY,
    value="JSON",
    query=select(Final).from_(Final),
):
    """A copy of `Final` that answers pull queries, which a declared table does not."""


def statements() -> list[object]:
    """The statements in the order of their application."""
    return [Ticks, Windows, Raw, Events, Final, FinalIn, writer, Queryable]
