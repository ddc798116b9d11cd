"""Streams and tables as classes, their columns as attributes: editors complete them, and a wrong one is a type error.

    class Ticks(Stream, name="ticks_s", topic="ticks", key=delimited("|"), value="JSON", timestamp="ts"):
        broker = Key(STRING)
        symbol = Key(STRING)
        ts = Column(TIMESTAMP)
        bid = Column(DECIMAL(18, 8))

With `query=` the class is a CREATE .. AS SELECT, and its columns are what the query must give. `str(Ticks)` is the statement.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from migrations.ksql import render
from migrations.ksql.check import sources as checks
from migrations.ksql.errors import KsqlError
from migrations.ksql.expressions import Column, Key
from migrations.ksql.queries import Select


@dataclass(frozen=True)
class KeyFormat:
    """How the key is written: `kafka` takes one column, the others several."""

    name: str
    delimiter: str = ""


def delimited(delimiter: str) -> KeyFormat:
    """Key columns as text, with that between them; raises `KsqlError` where it is not one character, TAB or SPACE."""
    if len(delimiter) != 1 and delimiter not in {"TAB", "SPACE"}:
        raise KsqlError(f"delimited({delimiter!r}): a delimiter is one character, TAB or SPACE")
    return KeyFormat("DELIMITED", delimiter)


KAFKA = KeyFormat("KAFKA")
JSON_KEY = KeyFormat("JSON")
NO_KEY = KeyFormat("NONE")


class SourceType(type):
    """The class of streams and tables."""

    table: bool
    ksql_name: str
    topic: str
    partitions: int | str | None
    key_format: KeyFormat | None
    value: str
    timestamp: str
    window: tuple[str, str] | None
    query: Select | None
    options: Mapping[str, str | int]
    _columns: dict[str, Column]
    _declared: list[Column]

    def __new__(  # noqa: PLR0913  # one argument an option of a statement
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
        options: Mapping[str, str | int] | None = None,
    ) -> SourceType:
        """`window`: WINDOW_TYPE and WINDOW_SIZE of a topic that a windowed query writes; `options`: more of WITH."""
        made = super().__new__(cls, class_name, bases, namespace)
        made.ksql_name = name or class_name
        made.topic, made.partitions, made.key_format, made.value = topic, partitions, key, value
        made.timestamp, made.window, made.query, made.options = timestamp, window, query, dict(options or {})
        made._declared = [column for column in namespace.values() if isinstance(column, Column)]
        made._columns = {column.name: column for column in made._declared}
        if bases:
            made.table = bases[0] is Table
            checks.check_source(made)
        return made

    def __init__(cls, class_name: str, bases: tuple[type, ...], namespace: dict[str, Any], **_: Any) -> None:
        super().__init__(class_name, bases, namespace)

    def columns(cls) -> dict[str, Column]:
        """By name, in the order in which they are declared."""
        return dict(cls._columns)

    def declared(cls) -> list[Column]:
        """All, also several of one name."""
        return list(cls._declared)

    def keys(cls) -> list[Column]:
        """The columns of the key."""
        return [column for column in cls._columns.values() if isinstance(column, Key)]

    @property
    def windowed(cls) -> bool:
        """Whether its key holds a window."""
        return cls.window is not None or (cls.query is not None and cls.query.over is not None)

    def __str__(cls) -> str:
        """The statement."""
        return render.create(cls)


class Stream(metaclass=SourceType):
    """The base of streams."""

    table = False


class Table(metaclass=SourceType):
    """The base of tables."""

    table = True


class Insert:
    """INSERT INTO .. SELECT, with an id of its own, by which it is known to run."""

    def __init__(self, into: SourceType, query: Select, *, query_id: str) -> None:
        self.into = into
        self.query = query
        self.query_id = query_id
        checks.check_insert(into, query, query_id)

    def __str__(self) -> str:
        """The statement."""
        return render.insert(self.into, self.query, self.query_id)
