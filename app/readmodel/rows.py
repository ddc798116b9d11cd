"""The rows of the read model."""

from __future__ import annotations

from typing import NamedTuple

Partition = tuple[str, int]  # topic and number
Name = tuple[str, str]  # broker and symbol


class BarRow(NamedTuple):
    """A version of a bar: its broker, symbol, partition and start (epoch ms), and its JSON as published.

    `frame`: of a longer bar, such as `1h`. `revision`: 0 is the first version.
    """

    broker: str
    symbol: str
    partition: int
    start: int
    value: bytes
    frame: str = ""
    revision: int = 0


class SideRow(NamedTuple):
    """A late or rejected record. `topic`, `partition` and `offset` are those of the source record; times are epoch ms."""

    kind: str
    topic: str
    partition: int
    offset: int
    arrival: int | None
    broker: str | None
    symbol: str | None
    ts: int | None
    start: int | None
    reason: str
    detail: str
    value: str
    truncated: bool
