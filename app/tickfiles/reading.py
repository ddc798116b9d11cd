"""How recorded ticks are read, and what a row becomes: a tick to send, a bad row, or one that every worker would reject."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple

from app.errors import InputError

PRICES = frozenset({"bid", "ask", "last", "qty"})
FIELDS = PRICES | {"ts", "seq", "broker", "symbol", "date", "time"}
UNITS_PER_SECOND = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
UNIT_BY_DIGITS = "auto"  # a file unit: 10 digits are seconds, 13 milliseconds, 16 microseconds, 19 nanoseconds
Names = tuple[tuple[str, ...], ...]  # the names that a field may have, each a path into nested records


class Row(NamedTuple):
    """One tick as it is sent; `ts_ms` is its event time in epoch ms, floored."""

    key: bytes
    value: bytes
    ts_ms: int


class BadRowError(InputError):
    """A row that cannot be sent; `text` is the row as in the file."""

    def __init__(self, where: str, problem: str, text: str) -> None:
        """`where` is `file:line`, `problem` names field and value."""
        super().__init__(f"{where}: {problem}")
        self.text = text


class RefusedRowError(BadRowError):
    """A row that can be sent, but that every worker with these settings would reject; `reason` is the worker's word."""

    def __init__(self, where: str, reason: str, problem: str, text: str, row: Row) -> None:
        """`row`: what would be sent."""
        super().__init__(where, problem, text)
        self.reason, self.row = reason, row


Judge = Callable[[Row], tuple[str, str] | None]  # reason and detail where a worker would reject the row


@dataclass(frozen=True)
class Reading:
    """How to read the rows: names of the columns, defaults for broker and symbol, and times.

    `columns` names the fields by position, `fields` by the names in a header, in JSON or in Parquet; at most one is given.
    Times are integers in `file_unit` that count from `origin_ms` (epoch ms), or text. They are sent in `time_unit`.
    """

    columns: tuple[str, ...] | None
    broker: str | None
    symbol: str | None
    time_unit: str = "ms"
    origin_ms: int = 0
    header: bool | None = False  # None: the first line is skipped if it has no digit where the time is
    fields: Mapping[str, Names] | None = None
    optional: bool = False  # whether fields other than ts may be absent from a file
    file_unit: str = ""  # empty: `time_unit`
    time_formats: tuple[str, ...] = ()  # empty: integers, and RFC 3339
    zone: str | None = None  # of times as text without an offset
    delimiter: str = ","
    decimal: str = "."
    scale: Decimal | None = None  # prices are multiplied by it
    scale_integers: bool = False  # only those without a decimal point
    undefined: str | None = None  # a price that stands for none
    rest: bool = False  # whether further columns may follow
    only: frozenset[str] | None = None  # the values of the column `kind` whose rows are ticks
    carry: bool = False  # whether an empty bid or ask means that it has not changed
    file_name: str | None = None  # pattern of the file's name, with the groups `symbol` and `date`
    judge: Judge | None = None


def to_ms(ts: int, unit: str) -> int:
    """Convert a time in `unit` (s, ms, us, ns) to epoch ms, floored."""
    return ts * 1000 // UNITS_PER_SECOND[unit]


def from_ms(ms: int, unit: str) -> int:
    """Convert epoch ms to `unit`, rounded up."""
    return -(-ms * UNITS_PER_SECOND[unit] // 1000)
