"""ksqlDB's functions, as far as bars need them; each refuses what the server would refuse, or what loses data."""

from __future__ import annotations

from migrations.ksql.errors import KsqlError
from migrations.ksql.expressions import Aggregate, Alias, Case, Cast, Column, Expression, literal
from migrations.ksql.types import BIGINT, DECIMAL, DOUBLE, UNKNOWN, DecimalType, SqlType

SUM_DIGITS = 18  # before the point: a sum of fewer may overflow, which stops the query's table
WINDOWSTART = Expression("WINDOWSTART", BIGINT)
WINDOWEND = Expression("WINDOWEND", BIGINT)


def earliest(of: Expression) -> Aggregate:
    """The first value by offset, which need not be the first by time."""
    return Aggregate("EARLIEST_BY_OFFSET({})", of.kind, of)


def latest(of: Expression) -> Aggregate:
    """The last value by offset: it goes back in time when an old row is corrected."""
    return Aggregate("LATEST_BY_OFFSET({})", of.kind, of)


def minimum(of: Expression) -> Aggregate:
    """MIN."""
    return Aggregate("MIN({})", of.kind, _number("MIN", of))


def maximum(of: Expression) -> Aggregate:
    """MAX."""
    return Aggregate("MAX({})", of.kind, _number("MAX", of))


def total(of: Expression) -> Aggregate:
    """SUM; it keeps the type, so a DECIMAL must be cast to one with room for the sum."""
    _number("SUM", of)
    if isinstance(of.kind, DecimalType) and of.kind.whole < SUM_DIGITS:
        wide = DECIMAL(min(38, SUM_DIGITS + 2 + of.kind.scale), of.kind.scale)
        raise KsqlError(
            f"SUM({of}) keeps {of.kind} and overflows, which stops the query: sum cast({_name(of)}, {wide}) instead"
        )
    return Aggregate("SUM({})", of.kind, of)


def count(of: Expression | None = None) -> Aggregate:
    """How many rows there are; with an expression, how many where it is not null."""
    return Aggregate("COUNT(*)", BIGINT) if of is None else Aggregate("COUNT({})", BIGINT, of)


def average(of: Expression) -> Aggregate:
    """AVG, which takes whole numbers and doubles and gives a double."""
    if isinstance(of.kind, DecimalType):
        raise KsqlError(f"AVG({of}) does not take {of.kind}: average cast({_name(of)}, DOUBLE), and cast the result back")
    return Aggregate("AVG({})", DOUBLE, _number("AVG", of))


def as_value(of: Expression) -> Expression:
    """A copy of a key column in the value."""
    return Expression("AS_VALUE({})", of.kind, of)


def cast(of: Expression | int | str, kind: SqlType) -> Cast:
    """The same value as another type."""
    return Cast(literal(of), kind)


def null(kind: SqlType) -> Cast:
    """NULL of a type."""
    return Cast(Expression("NULL", UNKNOWN), kind)


def case(*branches: tuple[Expression, Expression], otherwise: Expression) -> Case:
    """CASE WHEN .. THEN .. ELSE .. END; raises `KsqlError` where the results are of several types."""
    results = [*(result for _, result in branches), otherwise]
    kinds = {str(result.kind) for result in results}
    if len(kinds) > 1:
        raise KsqlError(f"CASE gives {' and '.join(sorted(kinds))}: cast its results to one type")
    return Case(branches, otherwise)


def ohlc(price: Expression, names: tuple[str, str, str, str] = ("o", "h", "l", "c")) -> list[Alias]:
    """Open, high, low and close; open and close by offset."""
    functions = (earliest, maximum, minimum, latest)
    return [function(price).as_(name) for function, name in zip(functions, names, strict=True)]


def _number(name: str, of: Expression) -> Expression:
    if not of.kind.numeric and of.kind is not UNKNOWN:
        raise KsqlError(f"{name}({of}): {_name(of)} is {of.kind}; it takes numbers")
    return of


def _name(of: Expression) -> str:
    return of.where if isinstance(of, Column) else str(of)
