"""The ksqlDB functions that bars need.

Each raises `KsqlError` for arguments that the server would reject or that would lose data.
"""

from __future__ import annotations

from migrations.ksql.cases import Case
from migrations.ksql.errors import KsqlError
from migrations.ksql.expressions import Aggregate, Alias, Cast, Expression, label, literal
from migrations.ksql.types import (
    BIGINT,
    BOOLEAN,
    BYTES,
    DATE,
    DECIMAL,
    DOUBLE,
    STRING,
    TIME,
    TIMESTAMP,
    UNKNOWN,
    DecimalType,
    SqlType,
)

SUM_DIGITS = 18  # before the point; a sum with fewer may overflow, which stops the query
WINDOWSTART = Expression("WINDOWSTART", BIGINT)
WINDOWEND = Expression("WINDOWEND", BIGINT)
NULL = Expression("NULL", UNKNOWN)  # PARTITION BY NULL makes a stream without a key
ROWKEY = Expression("ROWKEY", UNKNOWN)  # the key of a full join
ORDERED = {STRING, TIMESTAMP, DATE, TIME, BYTES}


def earliest(of: Expression) -> Aggregate:
    """EARLIEST_BY_OFFSET: the first value by offset, which may not be the first by event time."""
    return Aggregate("EARLIEST_BY_OFFSET({})", of.kind, of)


def latest(of: Expression) -> Aggregate:
    """LATEST_BY_OFFSET: the last value by offset. A correction of an old row replaces a newer value."""
    return Aggregate("LATEST_BY_OFFSET({})", of.kind, of)


def minimum(of: Expression) -> Aggregate:
    """MIN."""
    return Aggregate("MIN({})", of.kind, _ordered("MIN", of))


def maximum(of: Expression) -> Aggregate:
    """MAX."""
    return Aggregate("MAX({})", of.kind, _ordered("MAX", of))


def total(of: Expression) -> Aggregate:
    """SUM. It keeps the type of its argument, so a DECIMAL must be cast to one with room for the sum."""
    _number("SUM", of)
    if isinstance(of.kind, DecimalType) and of.kind.whole < SUM_DIGITS:
        wide = DECIMAL(min(38, SUM_DIGITS + 2 + of.kind.scale), of.kind.scale)
        raise KsqlError(
            f"SUM({of}) keeps {of.kind} and overflows, which stops the query: sum cast({label(of)}, {wide}) instead"
        )
    return Aggregate("SUM({})", of.kind, of)


def count(of: Expression | None = None) -> Aggregate:
    """COUNT(*), or the number of rows in which `of` is not null."""
    return Aggregate("COUNT(*)", BIGINT) if of is None else Aggregate("COUNT({})", BIGINT, of)


def average(of: Expression) -> Aggregate:
    """AVG of integers or doubles, as a DOUBLE."""
    if isinstance(of.kind, DecimalType):
        raise KsqlError(f"AVG({of}) does not take {of.kind}: average cast({label(of)}, DOUBLE), and cast the result back")
    return Aggregate("AVG({})", DOUBLE, _number("AVG", of))


def as_value(of: Expression) -> Expression:
    """AS_VALUE: a copy of a key column in the value."""
    return Expression("AS_VALUE({})", of.kind, of)


def cast(of: Expression | int | str, kind: SqlType) -> Cast:
    """CAST to another type."""
    return Cast(literal(of), kind)


def null(kind: SqlType) -> Cast:
    """A NULL of the given type."""
    return Cast(Expression("NULL", UNKNOWN), kind)


def case(*branches: tuple[Expression, Expression], otherwise: Expression) -> Case:
    """CASE WHEN .. THEN .. ELSE .. END. Raises `KsqlError` if the results have different types."""
    for condition, _ in branches:
        if condition.kind not in (BOOLEAN, UNKNOWN):
            raise KsqlError(f"WHEN {label(condition)} is {condition.kind}; say what it is compared with")
    results = [*(result for _, result in branches), otherwise]
    kinds = {str(result.kind) for result in results}
    if len(kinds) > 1:
        raise KsqlError(f"CASE gives {' and '.join(sorted(kinds))}: cast its results to one type")
    return Case(branches, otherwise)


def ohlc(price: Expression, names: tuple[str, str, str, str] = ("o", "h", "l", "c")) -> list[Alias]:
    """Open, high, low and close of a group. Open and close go by offset, not by event time."""
    functions = (earliest, maximum, minimum, latest)
    return [function(price).as_(name) for function, name in zip(functions, names, strict=True)]


def _ordered(name: str, of: Expression) -> Expression:
    if not of.kind.numeric and of.kind not in ORDERED | {UNKNOWN}:
        raise KsqlError(f"{name}({of}): {label(of)} is {of.kind}; it takes numbers, texts, times and bytes")
    return of


def _number(name: str, of: Expression) -> Expression:
    if not of.kind.numeric and of.kind is not UNKNOWN:
        raise KsqlError(f"{name}({of}): {label(of)} is {of.kind}; it takes numbers")
    return of
