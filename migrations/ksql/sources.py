"""Streams and tables as classes with their columns as attributes.

Editors complete the columns, and a misspelled one is a type error:

    class Ticks(Stream, name="ticks_s", topic="ticks", key=delimited("|"), value="JSON", timestamp="ts"):
        broker = Key(STRING)
        symbol = Key(STRING)
        ts = Column(TIMESTAMP)
        bid = Column(DECIMAL(18, 8))

With `query=` the class is a CREATE .. AS SELECT, and its columns are those that the query returns. `str(Ticks)` is the
statement. Columns that several classes share can come from a plain class among the bases, before `Stream` or `Table`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from migrations.ksql import render
from migrations.ksql.check.sources import check_insert, check_source
from migrations.ksql.declaration import Declaration
from migrations.ksql.errors import KsqlError
from migrations.ksql.expressions import Column
from migrations.ksql.formats import JSON_KEY, KAFKA, NO_KEY, KeyFormat, delimited
from migrations.ksql.names import check_name
from migrations.ksql.queries import Select
from migrations.ksql.types import CustomType, SqlType

__all__ = ["JSON_KEY", "KAFKA", "NO_KEY", "Insert", "KeyFormat", "SourceType", "Stream", "Table", "Type", "delimited"]


class SourceType(type):
    """The metaclass of streams and tables."""

    _declaration: Declaration

    def __new__(  # noqa: PLR0913  # one argument per option of a statement
        cls,
        class_name: str,
        bases: tuple[type, ...],
        namespace: dict[str, Any],
        *,
        name: str = "",
        topic: str = "",
        partitions: int | str | None = None,
        key: KeyFormat | None = None,
        value: str = "",
        timestamp: str = "",
        window: tuple[str, str] | None = None,
        query: Select | None = None,
        source: bool = False,
        options: Mapping[str, str | int] | None = None,
    ) -> SourceType:
        """Declare a stream or table; see `Declaration` for the options. Raises `KsqlError` if a check fails."""
        read_only = source
        made = super().__new__(cls, class_name, bases, namespace)
        shared = {attribute: column.copy_for(made) for base in bases for attribute, column in _shared_columns(base)}
        own = {attribute: column for attribute, column in namespace.items() if isinstance(column, Column)}
        for attribute, column in (shared | own).items():
            if hasattr(SourceType, attribute):
                raise KsqlError(
                    f"{class_name}.{attribute}: a class has an attribute of that name; call yours {attribute}_, and give the "
                    f"column its name by Column(.., {attribute!r})"
                )
            column.source = made
            setattr(made, attribute, column)
        made._declaration = Declaration(
            class_name,
            name or class_name,
            bool(bases) and Table in bases,
            tuple((shared | own).values()),
            topic,
            partitions,
            key,
            value,
            timestamp,
            window,
            query,
            read_only,
            dict(options or {}),
        )
        if bases:
            check_source(made._declaration)
        return made

    def __init__(cls, class_name: str, bases: tuple[type, ...], namespace: dict[str, Any], **_: Any) -> None:
        super().__init__(class_name, bases, namespace)

    @property
    def ksql_name(cls) -> str:
        """Its name in statements."""
        return cls._declaration.name

    @property
    def table(cls) -> bool:
        """Whether it is a table."""
        return cls._declaration.table

    @property
    def windowed(cls) -> bool:
        """Whether the record's key contains a window."""
        return cls._declaration.windowed

    @property
    def key_format(cls) -> KeyFormat | None:
        """The key's format; None if it is not declared."""
        return cls._declaration.key_format

    def columns(cls) -> dict[str, Column]:
        """Columns by name, in the order of their declaration."""
        return cls._declaration.by_name

    def keys(cls) -> list[Column]:
        """The key columns."""
        return cls._declaration.keys

    def __str__(cls) -> str:
        """The CREATE statement."""
        return render.create(cls._declaration)


def _shared_columns(base: type) -> Iterator[tuple[str, Column]]:
    """The columns of a plain base class by attribute: first those of its own bases, then its own."""
    if isinstance(base, SourceType):
        return
    for above in base.__bases__:
        yield from _shared_columns(above)
    yield from ((name, column) for name, column in vars(base).items() if isinstance(column, Column))


class Stream(metaclass=SourceType):
    """The base class of streams."""


class Table(metaclass=SourceType):
    """The base class of tables."""


class Type:
    """CREATE TYPE: a type with a name of its own. `kind` is the type of columns that use it."""

    def __init__(self, name: str, definition: SqlType) -> None:
        """Raises `KsqlError` for a reserved word."""
        check_name(name, "the name of a type")
        self.kind = CustomType(name, definition=definition)

    def __str__(self) -> str:
        """The CREATE TYPE statement."""
        return f"CREATE TYPE {self.kind} AS {self.kind.definition};"


class Insert:
    """INSERT INTO .. SELECT. The query has an id of its own, by which later runs find it on the server."""

    def __init__(self, into: SourceType, query: Select, *, query_id: str) -> None:
        """Raises `KsqlError` if a check fails."""
        self.into = into
        self.query = query
        self.query_id = query_id
        check_insert(into, query, query_id)

    def __str__(self) -> str:
        """The INSERT statement."""
        return render.insert(self.into, self.query, self.query_id)
