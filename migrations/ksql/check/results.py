"""Checks that a query returns the columns which its target declares, with the same key."""

from __future__ import annotations

from collections.abc import Iterable

from migrations.ksql import types
from migrations.ksql.check.queries import foreign_key
from migrations.ksql.errors import KsqlError
from migrations.ksql.expressions import Column, Expression
from migrations.ksql.queries import Joining, Select


def check_result(name: str, query: Select, columns: Iterable[Column]) -> None:
    """Raises `KsqlError` unless the result has the declared columns: names, order, types and key.

    `name` is that of the target.
    """
    result, declared = query.columns, list(columns)
    if not declared:
        raise KsqlError(f"{name}: declare the columns that its query gives: {', '.join(column for column, _ in result)}")
    names = [column for column, _ in result]
    if names != [column.name for column in declared]:
        raise KsqlError(
            f"{name}: it declares {', '.join(column.name for column in declared)}, and its query gives {', '.join(names)}"
        )
    for column, (_, item) in zip(declared, result, strict=True):
        if item.kind not in (column.kind, types.UNKNOWN):
            raise KsqlError(
                f"{name}.{column.name} is declared {column.kind} and its query gives {item.kind}: cast it, or declare that"
            )
    if query.groups or query.partitions or not query.joins:
        _check_keys(name, query, declared)
    else:
        _check_join_keys(name, query, declared)
    if all(column.key for column in declared):
        raise KsqlError(f"{name}: its query gives only the key; select a value, for example as_value({result[0][0]})")


def _check_keys(name: str, query: Select, declared: list[Column]) -> None:
    """The result's key is what the query groups or partitions by, else the key of its source."""
    keys = query.groups or query.partitions or tuple(query.source.keys() if query.source is not None else ())
    missing = {_qualified(key): key for key in keys if key.pattern != "NULL"}
    known = set(missing)
    for column, (_, item) in zip(declared, query.columns, strict=True):
        text = _qualified(item)
        if text in known and missing.pop(text, None) is None:
            raise KsqlError(f"{name}.{column.name}: {item} is in the key already; take as_value({item}) for a copy")
        if column.key != (text in known):
            by = ", ".join(map(str, keys)) or "nothing"
            remedy = "Column" if column.key else "Key"
            raise KsqlError(f"{name}.{column.name}: the key of its query is {by}; declare it as {remedy}")
    for key in missing.values():
        raise KsqlError(f"{name}: {key} belongs to the key and is not in the SELECT; add it")


def _check_join_keys(name: str, query: Select, declared: list[Column]) -> None:
    """The result's key is a column of the last join's equation; of a join by a foreign key, it is that of the left table.

    A full join, and one by expressions, make a key of their own: ROWKEY.
    """
    if query.source is None:
        return
    last = query.joins[-1]
    sides: list[Expression] = [part for part in last.on.parts if isinstance(part, Column)]
    if last.how is Joining.full or not sides:
        if not any(column.key and item.pattern == "ROWKEY" for column, (_, item) in zip(declared, query.columns, strict=True)):
            raise KsqlError(f"{name}: the key of this join is ROWKEY; select ROWKEY.as_('ROWKEY'), declared as Key")
        return
    if foreign_key(query.source, last):
        sides = list(query.source.keys())
    texts = {_qualified(side) for side in sides}
    if not any(column.key and _qualified(item) in texts for column, (_, item) in zip(declared, query.columns, strict=True)):
        raise KsqlError(f"{name}: the key of a join is what it is joined by; select {_qualified(sides[0])}, declared as Key")


def _qualified(expression: Expression) -> str:
    """Two expressions with the same qualified KSQL are the same."""
    return expression.text(qualified=True)
