"""SELECT: from where, over which windows, grouped or partitioned by what."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from migrations.ksql.errors import KsqlError
from migrations.ksql.expressions import Alias, Column, Expression

if TYPE_CHECKING:
    from migrations.ksql.sources import SourceType

_UNITS = {"SECOND": 1, "MINUTE": 60, "HOUR": 3_600, "DAY": 86_400}


class Emit(StrEnum):
    """When a query gives rows: at every change, or once a window is final."""

    changes = "CHANGES"
    final = "FINAL"


class Joining(StrEnum):
    """How two sources are joined."""

    inner = "INNER JOIN"
    left = "LEFT JOIN"
    full = "FULL OUTER JOIN"


def seconds(text: str) -> int:
    """`5 SECONDS`, `1 MINUTE`; raises `KsqlError` for another text."""
    number, _, unit = text.partition(" ")
    found = _UNITS.get(unit.upper().removesuffix("S"))
    if not number.isdigit() or found is None:
        raise KsqlError(f"{text}: is not a duration; write for example 5 SECONDS, 1 MINUTE or 7 DAYS")
    return int(number) * found


@dataclass(frozen=True)
class Window:
    """TUMBLING, HOPPING or SESSION; make one by the functions below."""

    kind: str
    size: str
    retention: str = ""
    grace: str = ""
    advance: str = ""

    def __str__(self) -> str:
        """In the order that the server wants."""
        size = self.size if self.kind == "SESSION" else f"SIZE {self.size}"
        parts = [
            size,
            f"ADVANCE BY {self.advance}" if self.advance else "",
            f"RETENTION {self.retention}" if self.retention else "",
            f"GRACE PERIOD {self.grace}" if self.grace else "",
        ]
        return f"WINDOW {self.kind} ({', '.join(part for part in parts if part)})"


def tumbling(size: str, *, retention: str = "", grace: str = "") -> Window:
    """Windows that follow on each other; sizes as `1 MINUTE`."""
    return _checked(Window("TUMBLING", size, retention, grace))


def hopping(size: str, advance: str, *, retention: str = "", grace: str = "") -> Window:
    """Windows that overlap: one begins every `advance`."""
    return _checked(Window("HOPPING", size, retention, grace, advance))


def session(gap: str, *, retention: str = "", grace: str = "") -> Window:
    """Windows that end when nothing comes for a `gap`."""
    return _checked(Window("SESSION", gap, retention, grace))


def _checked(window: Window) -> Window:
    size, grace = seconds(window.size), seconds(window.grace) if window.grace else 0
    if not size:
        raise KsqlError(f"{window.size}: a window must have a length")
    if window.advance and not 0 < seconds(window.advance) <= size:
        raise KsqlError(f"ADVANCE BY {window.advance}: must be at most the size, {window.size}")
    if window.retention and seconds(window.retention) < size + grace:
        raise KsqlError(f"RETENTION {window.retention}: must be at least size and grace together")
    return window


@dataclass(frozen=True)
class Join:
    """A second source; `within` and `grace` are for two streams."""

    source: SourceType
    on: Expression
    how: Joining
    within: str
    grace: str

    @property
    def window(self) -> str:
        """How far apart the times of two streams may be, as in a statement."""
        grace = f" GRACE PERIOD {self.grace}" if self.grace else ""
        return f" WITHIN {self.within}{grace}" if self.within else ""


@dataclass(frozen=True)
class Select:
    """A query; each method gives another one with that part set."""

    items: tuple[Expression, ...]
    source: SourceType | None = None
    joins: tuple[Join, ...] = ()
    condition: Expression | None = None
    over: Window | None = None
    groups: tuple[Column, ...] = ()
    partitions: tuple[Expression, ...] = ()
    filter: Expression | None = None
    emits: Emit = Emit.changes

    def from_(self, source: SourceType) -> Select:
        """FROM."""
        return replace(self, source=source)

    def join(
        self, source: SourceType, on: Expression, *, how: Joining = Joining.inner, within: str = "", grace: str = ""
    ) -> Select:
        """JOIN; of two streams `within` says how far apart their times may be, as in `10 SECONDS`."""
        for duration in filter(None, (within, grace)):
            seconds(duration)
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
        """EMIT CHANGES, which is the default, or EMIT FINAL."""
        return replace(self, emits=emits)

    @property
    def sources(self) -> tuple[SourceType, ...]:
        """All that it reads from."""
        return (*((self.source,) if self.source is not None else ()), *(join.source for join in self.joins))

    @property
    def columns(self) -> list[tuple[str, Expression]]:
        """Names and expressions of what it gives."""
        return [(_name_of(item), item.of if isinstance(item, Alias) else item) for item in self.items]

    def expressions(self) -> list[Expression]:
        """Everything that is said of columns."""
        more = (self.condition, self.filter, *self.groups, *self.partitions, *(join.on for join in self.joins))
        return [*self.items, *(one for one in more if one is not None)]


def select(*items: Expression | type) -> Select:
    """SELECT; a whole class stands for all of its columns."""
    found: list[Expression] = []
    for item in items:
        found += [item] if isinstance(item, Expression) else list(item.columns().values())  # type: ignore[attr-defined]  # a source
    return Select(tuple(found))


def _name_of(item: Expression) -> str:
    if isinstance(item, Alias | Column):
        return item.name
    if item.pattern in {"WINDOWSTART", "WINDOWEND"}:
        raise KsqlError(f"{item} is reserved in a SELECT: give it a name, as in {item}.as_('bucket_start')")
    raise KsqlError(f"{item} has no name: give it one with .as_('name')")
