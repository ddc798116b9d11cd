"""SELECT: its sources, joins, windows, groups and conditions."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Protocol

from migrations.ksql.errors import KsqlError
from migrations.ksql.expressions import Alias, Column, Expression, NamedSource
from migrations.ksql.formats import KeyFormat

_UNITS = {"MILLISECOND": 1, "SECOND": 1_000, "MINUTE": 60_000, "HOUR": 3_600_000, "DAY": 86_400_000}


class Source(NamedSource, Protocol):
    """A stream or table that a query can read from."""

    @property
    def __name__(self) -> str:
        """The name of its Python class."""

    @property
    def table(self) -> bool:
        """Whether it is a table."""

    @property
    def windowed(self) -> bool:
        """Whether the record's key contains a window."""

    @property
    def key_format(self) -> KeyFormat | None:
        """The key's format; None if it is not declared."""

    def columns(self) -> dict[str, Column]:
        """Columns by name, in the order of their declaration."""

    def keys(self) -> list[Column]:
        """The key columns."""


class Emit(StrEnum):
    """When a query emits rows: at every change, or once a window is final."""

    changes = "CHANGES"
    final = "FINAL"


class Joining(StrEnum):
    """How two sources are joined."""

    inner = "INNER JOIN"
    left = "LEFT JOIN"
    right = "RIGHT JOIN"
    full = "FULL OUTER JOIN"


def milliseconds(text: str) -> int | None:
    """The length of a duration such as `5 SECONDS`; None for a `${variable}`. Raises `KsqlError` for other text."""
    if text.startswith("${"):
        return None
    number, _, unit = text.partition(" ")
    unit_ms = _UNITS.get(unit.upper().removesuffix("S"))
    if not number.isdigit() or unit_ms is None:
        raise KsqlError(f"{text}: is not a duration; write for example 5 SECONDS, 1 MINUTE or 7 DAYS")
    return int(number) * unit_ms


@dataclass(frozen=True)
class Window:
    """A window definition; `tumbling`, `hopping` and `session` make one."""

    kind: str
    size: str
    retention: str = ""
    grace: str = ""
    advance: str = ""

    def __str__(self) -> str:
        """The WINDOW clause, in the order that the grammar requires."""
        size = self.size if self.kind == "SESSION" else f"SIZE {self.size}"
        parts = [
            size,
            f"ADVANCE BY {self.advance}" if self.advance else "",
            f"RETENTION {self.retention}" if self.retention else "",
            f"GRACE PERIOD {self.grace}" if self.grace else "",
        ]
        return f"WINDOW {self.kind} ({', '.join(part for part in parts if part)})"


def tumbling(size: str, *, retention: str = "", grace: str = "") -> Window:
    """Tumbling windows. Durations are written as `1 MINUTE`."""
    return _checked(Window("TUMBLING", size, retention, grace))


def hopping(size: str, advance: str, *, retention: str = "", grace: str = "") -> Window:
    """Hopping windows, which overlap: one begins every `advance`."""
    return _checked(Window("HOPPING", size, retention, grace, advance))


def session(gap: str, *, retention: str = "", grace: str = "") -> Window:
    """Session windows, which end after a `gap` without rows."""
    return _checked(Window("SESSION", gap, retention, grace))


def _checked(window: Window) -> Window:
    size, grace = milliseconds(window.size), milliseconds(window.grace) if window.grace else 0
    advance, retention = (milliseconds(text) if text else None for text in (window.advance, window.retention))
    if size == 0:
        raise KsqlError(f"{window.size}: a window must have a length")
    if advance is not None and size is not None and not 0 < advance <= size:
        raise KsqlError(f"ADVANCE BY {window.advance}: must be at most the size, {window.size}")
    if None not in (retention, size, grace) and (retention or 0) < (size or 0) + (grace or 0):
        raise KsqlError(f"RETENTION {window.retention}: must be at least size and grace together")
    return window


@dataclass(frozen=True)
class Join:
    """A joined source. `within` and `grace` apply to a join of two streams."""

    source: Source
    on: Expression
    how: Joining
    within: str | tuple[str, str]
    grace: str

    @property
    def window(self) -> str:
        """The WITHIN clause, or an empty string."""
        grace = f" GRACE PERIOD {self.grace}" if self.grace else ""
        within = f"({', '.join(self.within)})" if isinstance(self.within, tuple) else self.within
        return f" WITHIN {within}{grace}" if self.within else ""


@dataclass(frozen=True)
class Select:
    """A query. Each method returns a new query with one clause set."""

    items: tuple[Expression, ...]
    source: Source | None = None
    joins: tuple[Join, ...] = ()
    condition: Expression | None = None
    over: Window | None = None
    groups: tuple[Column, ...] = ()
    partitions: tuple[Expression, ...] = ()
    filter: Expression | None = None
    emits: Emit = Emit.changes

    def from_(self, source: Source) -> Select:
        """FROM."""
        return replace(self, source=source)

    def join(
        self,
        source: Source,
        on: Expression,
        *,
        how: Joining = Joining.inner,
        within: str | tuple[str, str] = "",
        grace: str = "",
    ) -> Select:
        """JOIN.

        Two streams need `within`, the largest difference of their timestamps, such as `10 SECONDS`, or how much earlier and
        later than the left one the right one may be.
        """
        spans = within if isinstance(within, tuple) else (within,)
        for duration in filter(None, (*spans, grace)):
            milliseconds(duration)
        return replace(self, joins=(*self.joins, Join(source, on, how, within, grace)))

    def where(self, condition: Expression) -> Select:
        """WHERE."""
        return replace(self, condition=condition)

    def window(self, window: Window) -> Select:
        """WINDOW."""
        return replace(self, over=window)

    def group_by(self, *columns: Column) -> Select:
        """GROUP BY."""
        return replace(self, groups=columns)

    def having(self, condition: Expression) -> Select:
        """HAVING."""
        return replace(self, filter=condition)

    def partition_by(self, *keys: Expression) -> Select:
        """PARTITION BY."""
        return replace(self, partitions=keys)

    def emit(self, emits: Emit) -> Select:
        """EMIT CHANGES (the default) or EMIT FINAL."""
        return replace(self, emits=emits)

    @property
    def sources(self) -> tuple[Source, ...]:
        """All sources that the query reads."""
        return (*((self.source,) if self.source is not None else ()), *(join.source for join in self.joins))

    @property
    def columns(self) -> list[tuple[str, Expression]]:
        """Names and expressions of the result columns."""
        return [(_name_of(item), item.of if isinstance(item, Alias) else item) for item in self.items]

    def expressions(self) -> list[Expression]:
        """All expressions of all clauses."""
        more = (self.condition, self.filter, *self.groups, *self.partitions, *(join.on for join in self.joins))
        return [*self.items, *(one for one in more if one is not None)]


def select(*items: Expression | Source) -> Select:
    """SELECT. A stream or table among the items stands for all of its columns."""
    expressions: list[Expression] = []
    for item in items:
        expressions += [item] if isinstance(item, Expression) else list(item.columns().values())
    return Select(tuple(expressions))


def _name_of(item: Expression) -> str:
    if isinstance(item, Alias | Column):
        return item.name
    if item.pattern in {"WINDOWSTART", "WINDOWEND"}:
        raise KsqlError(f"{item} is reserved in a SELECT: give it a name, as in {item}.as_('bucket_start')")
    raise KsqlError(f"{item} has no name: give it one with .as_('name')")
