"""Checks of queries.

They reject what a server would reject, and what it would accept and lose data by. Each message names the column and a remedy.
"""

from __future__ import annotations

from collections.abc import Iterable

from migrations.ksql.errors import KsqlError
from migrations.ksql.expressions import Column, Expression
from migrations.ksql.queries import Emit, Join, Joining, Select, Source, milliseconds
from migrations.ksql.types import BOOLEAN, UNKNOWN

LEAST_RETENTION = 86_400_000  # milliseconds; with EMIT FINAL it must exceed the longest gap between two ticks


def check_query(query: Select, where: str) -> None:
    """Raises `KsqlError` for a query that cannot run; `where` names its statement in the message."""
    if query.source is None:
        raise KsqlError(f"{where}: the query reads from nothing; add .from_(...)")
    for source in query.sources:
        if source.windowed and source.table:
            raise KsqlError(
                f"{where}: {source.ksql_name} is a windowed table, which no persistent query can read; "
                "declare a stream over its topic (key=NO_KEY) and read that"
            )
        if source.windowed and query.partitions:
            raise KsqlError(f"{where}: {source.ksql_name} is windowed and cannot be repartitioned; declare it with key=NO_KEY")
    for number, join in enumerate(query.joins):
        _check_join(query, join, query.sources[: number + 1], where)
    if query.groups and query.partitions:
        raise KsqlError(
            f"{where}: it is grouped and partitioned; a group is partitioned by its columns, leave PARTITION BY out"
        )
    if query.source.table and query.partitions:
        raise KsqlError(f"{where}: {query.source.ksql_name} is a table and cannot be repartitioned; group by {_by(query)}")
    if query.source.table and query.groups:
        _check_table_groups(query, query.source.ksql_name, where)
    _check_columns(query, where)
    _check_conditions(query, where)
    _check_groups(query, where)
    if query.emits is Emit.final:
        _check_final(query, where)


def _check_join(query: Select, join: Join, before: Iterable[object], where: str) -> None:
    left, right = query.source, join.source
    if left is None or right in before:
        raise KsqlError(f"{where}: {right.ksql_name} is joined with itself; declare it once more under another name")
    if left.table and not right.table:
        raise KsqlError(f"{where}: a table cannot be joined with a stream; begin .from_({right.__name__}), then join the table")
    if not left.table and not right.table:
        if not join.within:
            raise KsqlError(f"{where}: two streams are joined within a time; add within='10 SECONDS'")
    elif join.within:
        raise KsqlError(f"{where}: within={join.within!r} is for two streams, and {right.ksql_name} is a table; leave it out")
    if join.grace and not join.within:
        raise KsqlError(f"{where}: grace={join.grace!r} goes with within=, for two streams; leave it out")
    if right.table and not left.table and join.how in (Joining.full, Joining.right):
        raise KsqlError(f"{where}: a stream and a table have no {join.how.name} join; take Joining.left")
    if foreign_key(left, join) and join.how in (Joining.full, Joining.right):
        raise KsqlError(f"{where}: a join by a foreign key is no {join.how.name} join; take Joining.left")
    _check_on(join, where)
    keys = right.keys()
    if right.table and not left.table and len(keys) == 1 and not any(part is keys[0] for part in join.on.walk()):
        raise KsqlError(f"{where}: {right.ksql_name} is joined by its primary key alone; join on {keys[0].qualified_name}")


def foreign_key(left: Source, join: Join) -> bool:
    """Whether two tables are joined by another column of the left one than its primary key."""
    keys = [*left.keys(), *join.source.keys()]
    return left.table and join.source.table and not all(any(side is key for key in keys) for side in join.on.parts)


def _check_on(join: Join, where: str) -> None:
    """ON must be one equation between an expression of the joined source and one of an earlier source."""
    sides = [{part.source for part in side.walk() if isinstance(part, Column)} for side in join.on.parts]
    equation = join.on.pattern.replace("(", "").replace(")", "") == "{} = {}"
    if not equation or [join.source] not in [list(side) for side in sides] or not all(sides) or sides[0] & sides[1]:
        raise KsqlError(
            f"{where}: ON {join.on.text(qualified=True)}: it must say that a column of {join.source.ksql_name} equals one of "
            "what it is joined with; say the rest in .where(...)"
        )


def _check_table_groups(query: Select, source: str, where: str) -> None:
    """A row of a table may move to another group, so the aggregate must support removal from the old one."""
    remedy = "declare a stream over its topic and read that"
    if query.over is not None:
        raise KsqlError(f"{where}: {source} is a table and has no windows; {remedy}")
    for name, item in query.columns:
        for part in item.walk():
            if part.aggregate and not part.pattern.startswith(("COUNT(", "SUM(", "AVG(", "COLLECT_LIST(", "HISTOGRAM(")):
                raise KsqlError(f"{where}: {name}: {part} does not work on {source}, which is a table; {remedy}")


def _check_conditions(query: Select, where: str) -> None:
    for clause, condition in (("WHERE", query.condition), ("HAVING", query.filter)):
        if condition is not None and condition.kind not in (BOOLEAN, UNKNOWN):
            raise KsqlError(f"{where}: {clause} {condition} is {condition.kind}; say what it is compared with")
    if query.condition is not None and (aggregate := next(filter(_aggregates, query.condition.walk()), None)) is not None:
        raise KsqlError(f"{where}: {aggregate} is known after grouping, not in WHERE; say it in .having(...)")
    if query.filter is not None and not query.groups:
        raise KsqlError(f"{where}: HAVING {query.filter} is for groups; add .group_by(...), or say it in .where(...)")
    for part in (part for one in query.expressions() for part in one.walk() if part.aggregate):
        if any(_aggregates(inner) for of in part.parts for inner in of.walk()):
            raise KsqlError(f"{where}: {part}: an aggregate of an aggregate; make a table of the inner one first")


def reads_table(query: Select) -> bool:
    """Whether the query reads a table, so that its result is a table."""
    return query.source is not None and query.source.table


def _aggregates(part: Expression) -> bool:
    return part.aggregate


def _by(query: Select) -> str:
    return ", ".join(map(str, query.partitions))


def _check_columns(query: Select, where: str) -> None:
    known = query.sources
    for expression in query.expressions():
        for part in expression.walk():
            if isinstance(part, Column) and part.source is not None and part.source not in known:
                names = ", ".join(source.ksql_name for source in known)
                raise KsqlError(
                    f"{where}: {part.qualified_name} is no column of {names}; join {part.source.ksql_name}, or leave it out"
                )


def _check_groups(query: Select, where: str) -> None:
    bounds = [part for _, item in query.columns for part in item.walk() if part.pattern in {"WINDOWSTART", "WINDOWEND"}]
    if bounds and query.over is None:
        raise KsqlError(f"{where}: {bounds[0]} is of a window; add .window(...)")
    aggregates = any(part.aggregate for _, item in query.columns for part in item.walk())
    if query.groups and not aggregates:
        raise KsqlError(f"{where}: GROUP BY needs an aggregate in the SELECT or the HAVING; add count() or another")
    if not query.groups and (aggregates or query.over is not None):
        raise KsqlError(f"{where}: an aggregate or a window needs .group_by(...)")
    for name, item in query.columns if query.groups else []:
        if (ungrouped := _ungrouped(item, query.groups)) is not None:
            raise KsqlError(
                f"{where}: {name}: {ungrouped.qualified_name} is neither grouped by nor aggregated; "
                "group by it, or take latest() of it"
            )


def _ungrouped(item: Expression, groups: Iterable[Column]) -> Column | None:
    """The first column outside of an aggregate that is not in GROUP BY."""
    if item.aggregate:
        return None
    if isinstance(item, Column):
        return None if any(item is group for group in groups) else item
    return next((column for part in item.parts if (column := _ungrouped(part, groups)) is not None), None)


def _check_final(query: Select, where: str) -> None:
    if query.over is None:
        raise KsqlError(f"{where}: EMIT FINAL is for windows; add .window(...), or emit changes")
    if not query.over.retention or (milliseconds(query.over.retention) or 0) < LEAST_RETENTION:
        raise KsqlError(
            f"{where}: EMIT FINAL loses the windows that end in a gap longer than their RETENTION "
            f"({query.over.retention or 'left out: size and grace'}); say retention='7 DAYS'"
        )
