"""The declaration of a stream or table: what its CREATE statement says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from migrations.ksql.expressions import Column, Key
from migrations.ksql.formats import KeyFormat
from migrations.ksql.queries import Select


@dataclass(frozen=True, eq=False)
class Declaration:
    """One stream or table.

    `columns` holds all declared columns in order, also several of one name, which the checks refuse.
    `window` is WINDOW_TYPE and WINDOW_SIZE of a topic that a windowed query writes.
    `query` makes it a CREATE .. AS SELECT. `read_only` makes it a SOURCE, which nothing is written to. `options` are further
    options of WITH.
    """

    class_name: str
    name: str
    table: bool
    columns: tuple[Column, ...]
    topic: str = ""
    partitions: int | str | None = None
    key_format: KeyFormat | None = None
    value_format: str = ""
    timestamp: str = ""
    window: tuple[str, str] | None = None
    query: Select | None = None
    read_only: bool = False
    options: Mapping[str, str | int] = field(default_factory=dict)

    @property
    def by_name(self) -> dict[str, Column]:
        """Columns by name, in the order of their declaration."""
        return {column.name: column for column in self.columns}

    @property
    def keys(self) -> list[Column]:
        """The key columns."""
        return [column for column in self.by_name.values() if isinstance(column, Key)]

    @property
    def windowed(self) -> bool:
        """Whether the record's key contains a window."""
        return self.window is not None or (self.query is not None and self.query.over is not None)
