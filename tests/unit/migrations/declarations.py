"""Streams and tables for the tests of declarations."""

from __future__ import annotations

from typing import Any

from migrations.ksql.expressions import Column, Expression, Key
from migrations.ksql.functions import count
from migrations.ksql.queries import Select, select, tumbling
from migrations.ksql.sources import JSON_KEY, SourceType, Stream, Table, delimited
from migrations.ksql.types import BIGINT, DECIMAL, STRING, SqlType


class Ticks(Stream, name="t", topic="t", key=delimited("|"), value="JSON"):
    """To be read from."""

    broker = Key(STRING)
    symbol = Key(STRING)
    bid = Column(DECIMAL(18, 8))
    n = Column(BIGINT)


class Other(Stream, name="o", topic="o", value="JSON"):
    """To be joined within a time."""

    symbol = Key(STRING)
    n = Column(BIGINT)


class Names(Table, name="names", topic="names", value="JSON"):
    """To be joined."""

    symbol = Key(STRING)
    long = Column(STRING)


class Long(Table, name="longs", topic="longs", value="JSON"):
    """To be joined by a foreign key."""

    long = Key(STRING)
    n = Column(BIGINT)


class Windows(Table, name="w", key=JSON_KEY, query=(
    select(Ticks.broker, count().as_("n")).from_(Ticks).window(tumbling("1 MINUTE")).group_by(Ticks.broker)
)):  # fmt: skip
    """A windowed table."""

    broker = Key(STRING)
    n = Column(BIGINT)


def source(base: type, columns: dict[str, Column], **options: object) -> SourceType:
    """A class made now."""
    return SourceType("Made", (base,), columns, **options)  # as a test gives them


def stream_of(query: Select, *kinds: SqlType) -> SourceType:
    """A stream of a query, with columns as it gives them."""
    columns = {name: Column(kind) for (name, _), kind in zip(query.columns, kinds, strict=True)}
    return source(Stream, columns, query=query)


def joined(left: SourceType, right: SourceType, on: Expression, **options: Any) -> SourceType:
    """A stream of two sources."""
    return stream_of(select(right.columns()["symbol"]).from_(left).join(right, on, **options), STRING)


def two_keys() -> dict[str, Column]:
    return {"a": Key(STRING), "b": Key(STRING)}
