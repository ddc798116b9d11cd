"""The SQL types of ksqlDB."""

from __future__ import annotations

from dataclasses import dataclass

from migrations.ksql.errors import KsqlError

MAX_PRECISION = 38  # of a DECIMAL


@dataclass(frozen=True)
class SqlType:
    """A type as it is written; `DECIMAL`, `STRUCT`, `ARRAY` and `MAP` make those with parts."""

    text: str
    numeric: bool = False

    def __str__(self) -> str:
        """As in a statement."""
        return self.text


@dataclass(frozen=True)
class DecimalType(SqlType):
    """DECIMAL: `precision` digits in all, `scale` of them after the point."""

    precision: int = 0
    scale: int = 0

    @property
    def whole(self) -> int:
        """Digits before the point."""
        return self.precision - self.scale


STRING = SqlType("STRING")
BOOLEAN = SqlType("BOOLEAN")
INTEGER = SqlType("INTEGER", numeric=True)
BIGINT = SqlType("BIGINT", numeric=True)
DOUBLE = SqlType("DOUBLE", numeric=True)
TIMESTAMP = SqlType("TIMESTAMP")
BYTES = SqlType("BYTES")
UNKNOWN = SqlType("UNKNOWN")  # of an expression that is not looked into; fits everything
WHOLE = (INTEGER, BIGINT)


def DECIMAL(precision: int, scale: int) -> DecimalType:  # noqa: N802  # it is written like the type
    """Raises `KsqlError` for digits that no server takes."""
    if not 0 < precision <= MAX_PRECISION or not 0 <= scale <= precision:
        raise KsqlError(f"DECIMAL({precision},{scale}): 1 to {MAX_PRECISION} digits, of which 0 to all come after the point")
    return DecimalType(f"DECIMAL({precision},{scale})", numeric=True, precision=precision, scale=scale)


def STRUCT(**fields: SqlType) -> SqlType:  # noqa: N802  # see above
    """A structure of named fields."""
    return SqlType(f"STRUCT<{', '.join(f'{name} {kind}' for name, kind in fields.items())}>")


def ARRAY(of: SqlType) -> SqlType:  # noqa: N802  # see above
    """Elements of one type."""
    return SqlType(f"ARRAY<{of}>")


def MAP(key: SqlType, value: SqlType) -> SqlType:  # noqa: N802  # see above
    """Values by key."""
    return SqlType(f"MAP<{key}, {value}>")


def comparable(one: SqlType, other: SqlType) -> bool:
    """Whether a server compares the two."""
    times = {TIMESTAMP, STRING, BIGINT}
    return UNKNOWN in (one, other) or one == other or (one.numeric and other.numeric) or {one, other} <= times - {BIGINT}


def together(one: SqlType, other: SqlType) -> SqlType:
    """The type of a sum, difference or product of two numbers, as ksqlDB has it; for a product see `product`."""
    if UNKNOWN in (one, other):
        return UNKNOWN
    if DOUBLE in (one, other):
        return DOUBLE
    if isinstance(one, DecimalType) or isinstance(other, DecimalType):
        left, right = (_as_decimal(kind) for kind in (one, other))
        scale = max(left.scale, right.scale)
        return DECIMAL(min(MAX_PRECISION, max(left.whole, right.whole) + scale + 1), scale)
    return BIGINT if BIGINT in (one, other) else INTEGER


def product(one: SqlType, other: SqlType) -> SqlType:
    """The type of a product."""
    if isinstance(one, DecimalType) and isinstance(other, DecimalType):
        scale = min(MAX_PRECISION, one.scale + other.scale)
        return DECIMAL(min(MAX_PRECISION, one.precision + other.precision + 1), scale)
    return together(one, other)


def _as_decimal(kind: SqlType) -> DecimalType:
    return kind if isinstance(kind, DecimalType) else DECIMAL(19 if kind == BIGINT else 10, 0)
