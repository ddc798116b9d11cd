"""Columns and options that several streams and tables of the shipped plans share.

The classes are bases of streams and tables, which take their columns in order.
"""

from __future__ import annotations

from migrations.ksql.expressions import Column, Key
from migrations.ksql.sources import delimited
from migrations.ksql.types import BIGINT, STRING

PROPERTIES = {
    "ksql.streams.auto.offset.reset": "earliest",
    "ksql.streams.processing.guarantee": "exactly_once_v2",  # otherwise a server that crashes counts ticks twice
}
KEY = delimited("|")


class SymbolKey:
    """The key of ticks."""

    broker = Key(STRING)
    symbol = Key(STRING)


class BarKey(SymbolKey):
    """The key of bars: a symbol and the start of the window, in epoch ms."""

    bucket_start = Key(BIGINT)


class WindowStart:
    """The start of the window as a value, in epoch ms."""

    bucket_start = Column(BIGINT)


class WindowEnd:
    """The end of the window, in epoch ms."""

    bucket_end = Column(BIGINT)
