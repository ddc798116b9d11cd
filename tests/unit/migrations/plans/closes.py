"""A plan in Python: the last close of each symbol; `closes.yaml` is the same plan as text."""

from __future__ import annotations

from migrations.ksql.expressions import Column, Key
from migrations.ksql.functions import count, latest
from migrations.ksql.queries import select
from migrations.ksql.sources import Stream, Table, delimited
from migrations.ksql.types import BIGINT, DECIMAL, STRING

PROPERTIES = {"ksql.streams.auto.offset.reset": "earliest"}
VARIABLES = {"prefix": "my_"}


class Bars(Stream, name="${prefix}bars", topic="${finals}", key=delimited("|"), value="JSON"):
    broker = Key(STRING)
    symbol = Key(STRING)
    bucket_start = Key(BIGINT)
    close = Column(DECIMAL(18, 8))


closes = (
    select(Bars.broker, Bars.symbol, latest(Bars.close).as_("close"), count().as_("bars"))
    .from_(Bars)
    .group_by(Bars.broker, Bars.symbol)
)


class Closes(Table, name="${prefix}closes", topic="${topics}closes", key=delimited("|"), value="JSON", query=closes):
    broker = Key(STRING)
    symbol = Key(STRING)
    close = Column(DECIMAL(18, 8))
    bars = Column(BIGINT)


def statements() -> list[object]:
    return [Bars, Closes]
