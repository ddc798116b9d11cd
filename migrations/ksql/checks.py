"""What a server would refuse, or take and lose data by: said before it is sent, with the column and the remedy."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from migrations.ksql import types
from migrations.ksql.errors import KsqlError
from migrations.ksql.expressions import Column, Expression
from migrations.ksql.queries import Emit, Select, seconds

if TYPE_CHECKING:
    from migrations.ksql.sources import SourceType

LEAST_RETENTION = 86_400  # seconds; with EMIT FINAL, longer than the longest gap between two ticks
RESERVED = frozenset(
    """
    ALL AND AS BEGIN BETWEEN BY CASE CAST CHANGES CREATE DELETE DESCRIBE DISTINCT DROP ELSE END ESCAPE EXISTS EXPLAIN EXTENDED
    FALSE FROM FULL FUNCTION GRACE GROUP HAVING IF IN INNER INSERT INTO IS JOIN LEFT LIKE LIMIT LIST NAMESPACE NOT NULL ON OR
    OUTER PARTITION PERIOD PRINT PROPERTIES QUERIES REPLACE RETENTION RIGHT ROWOFFSET ROWPARTITION ROWTIME RUN SCRIPT SELECT
    SET SHOW SIZE STREAM STREAMS TABLE TABLES TERMINATE THEN TRUE UNSET VALUES WHEN WHERE WINDOW WINDOWEND WINDOWSTART WITH
    WITHIN
    """.split()  # noqa: SIM905  # as a list it fills the screen
)


def check_source(source: SourceType) -> None:
    """Raises `KsqlError` for a stream or table that cannot be made as it is declared."""
    name, query = source.ksql_name, source.query
    _check_name(name, "the name")
    for column in source.columns().values():
        _check_name(column.name, f"{name}.{column.name}")
    if any(option.upper() == "CLEANUP_POLICY" for option in source.options):
        raise KsqlError(f"{name}: CLEANUP_POLICY is the server's to set; leave it out")
    keys = source.keys()
    key_format = source.key_format or (query.source.key_format if query is not None and query.source is not None else None)
    if len(keys) > 1 and (key_format is None or key_format.name == "KAFKA"):
        columns = ", ".join(key.name for key in keys)
        raise KsqlError(f"{name}: the KAFKA key format takes one column, not {columns}; say key=delimited('|') or JSON_KEY")
    if query is not None:
        _check_query(query, f"{'table' if source.table else 'stream'} {name}")
        if not source.table and query.groups:
            raise KsqlError(f"{name}: GROUP BY gives a table; declare it as one: class {source.__name__}(Table, ...)")
        if source.table and not query.groups and not _reads_table(query):
            raise KsqlError(f"{name}: a query without GROUP BY gives a stream; declare it as one, or group")
        _check_given(name, query, source.columns().values())
        return
    if not source.topic or not source.value:
        raise KsqlError(f"{name}: a declared source needs topic= and value= (its value format)")
    if source.table and not keys:
        raise KsqlError(f"{name}: a table needs a primary key; declare its columns as Key")
    if source.timestamp and source.timestamp not in source.columns():
        raise KsqlError(f"{name}: timestamp={source.timestamp}: no column of that name (it has {_listed(source)})")


def check_insert(into: SourceType, query: Select) -> None:
    """Raises `KsqlError` for a query that does not fit the stream it writes to."""
    if into.table:
        raise KsqlError(f"INSERT INTO {into.ksql_name}: it is a table; declare a stream over its topic and insert into that")
    _check_query(query, f"INSERT INTO {into.ksql_name}")
    _check_given(into.ksql_name, query, into.columns().values())


def _check_name(name: str, where: str) -> None:
    plain = name.replace("${", "").replace("}", "")
    if plain.upper() in RESERVED:
        raise KsqlError(f"{where}: {name} is a reserved word; take another, for example {name}_")
    if not plain.replace("_", "").isalnum() or plain[:1].isdigit() or not plain.isascii():
        raise KsqlError(f"{where}: {name}: a name is made of letters, digits and _, and begins with no digit")


def _check_query(query: Select, where: str) -> None:
    if query.source is None:
        raise KsqlError(f"{where}: the query reads from nothing; add .from_(...)")
    for source in query.sources:
        if source.windowed and source.table:
            raise KsqlError(
                f"{where}: {source.ksql_name} is a windowed table, of which no query can be kept; "
                "declare a stream over its topic (key=NO_KEY) and read that"
            )
        if source.windowed and query.partitions:
            raise KsqlError(
                f"{where}: {source.ksql_name} is windowed and cannot be partitioned anew; declare it with key=NO_KEY"
            )
    for join in query.joins:
        streams = not join.source.table and not query.source.table
        if streams and not join.within:
            raise KsqlError(f"{where}: two streams are joined within a time; add within='10 SECONDS'")
    _check_columns(query, where)
    _check_groups(query, where)
    if query.emits is Emit.final:
        _check_final(query, where)


def _check_columns(query: Select, where: str) -> None:
    known = query.sources
    for expression in query.expressions():
        for part in expression.walk():
            if isinstance(part, Column) and part.source is not None and part.source not in known:
                names = ", ".join(source.ksql_name for source in known)
                raise KsqlError(f"{where}: {part.where} is no column of {names}; join {part.source.ksql_name}, or leave it out")


def _check_groups(query: Select, where: str) -> None:
    aggregates = any(part.aggregate for _, item in query.columns for part in item.walk())
    if query.groups and not aggregates:
        raise KsqlError(f"{where}: GROUP BY needs an aggregate in the SELECT or the HAVING; add count() or another")
    if not query.groups and (aggregates or query.over is not None):
        raise KsqlError(f"{where}: an aggregate or a window needs .group_by(...)")
    for name, item in query.columns if query.groups else []:
        if (loose := _loose(item, query.groups)) is not None:
            raise KsqlError(
                f"{where}: {name}: {loose.where} is neither grouped by nor aggregated; group by it, or take latest() of it"
            )


def _loose(item: Expression, groups: Iterable[Column]) -> Column | None:
    """A column outside of an aggregate that is not grouped by."""
    if item.aggregate:
        return None
    if isinstance(item, Column):
        return None if any(item is group for group in groups) else item
    return next((found for part in item.parts if (found := _loose(part, groups)) is not None), None)


def _check_final(query: Select, where: str) -> None:
    if query.over is None:
        raise KsqlError(f"{where}: EMIT FINAL is for windows; add .window(...), or emit changes")
    if not query.over.retention or seconds(query.over.retention) < LEAST_RETENTION:
        raise KsqlError(
            f"{where}: EMIT FINAL loses the windows that end in a gap longer than their RETENTION "
            f"({query.over.retention or 'left out: size and grace'}); say retention='7 DAYS'"
        )


def _check_given(name: str, query: Select, declared: Iterable[Column]) -> None:
    """What the query gives must be what the class declares, by name, order and type."""
    given, wanted = query.columns, list(declared)
    if not wanted:
        raise KsqlError(f"{name}: declare the columns that its query gives: {', '.join(one for one, _ in given)}")
    names = [one for one, _ in given]
    if names != [column.name for column in wanted]:
        raise KsqlError(
            f"{name}: it declares {', '.join(column.name for column in wanted)}, and its query gives {', '.join(names)}"
        )
    for column, (_, item) in zip(wanted, given, strict=True):
        if item.kind not in (column.kind, types.UNKNOWN) and not (column.kind in types.WHOLE and item.kind in types.WHOLE):
            raise KsqlError(
                f"{name}.{column.name} is declared {column.kind} and its query gives {item.kind}: cast it, or declare that"
            )


def _reads_table(query: Select) -> bool:
    return query.source is not None and query.source.table


def _listed(source: SourceType) -> str:
    return ", ".join(source.columns())
