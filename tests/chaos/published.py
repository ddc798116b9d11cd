"""A record of the finals topic, read with the standard library alone."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any, NamedTuple

from tests.chaos.sent import Stored


class Window(NamedTuple):
    """What may have one bar. A symbol that lies in two partitions has a bar in each."""

    partition: int
    broker: str
    symbol: str
    start: int


class Published(NamedTuple):
    """A bar, and its record."""

    window: Window
    bar: dict[str, Any]
    record: Stored

    @classmethod
    def of(cls, record: Stored) -> Published:
        """Read a record; numbers are exact."""
        assert record.value is not None
        bar = json.loads(record.value, parse_float=Decimal)
        return cls(Window(record.partition, bar["broker"], bar["symbol"], bar["bucket_start"]), bar, record)
