"""The SQL types of ksqlDB."""

from __future__ import annotations

from dataclasses import dataclass

from migrations.ksql.errors import KsqlError
from migrations.ksql.names import check_name

MAX_PRECISION = 38  # of a DECIMAL


@dataclass(frozen=True)
class SqlType:
    """A type; `text` is how a statement writes it. `DECIMAL`, `STRUCT`, `ARRAY` and `MAP` make the types with parameters."""

    text: str
    numeric: bool = False

    def __str__(self) -> str:
        """As in a statement."""
        return self.text


@dataclass(frozen=True)
class DecimalType(SqlType):
    """DECIMAL: `precision` digits in total, `scale` of them after the point."""

    precision: int = 0
    scale: int = 0

    @property
    def whole(self) -> int:
        """Digits before the point."""
        return self.precision - self.scale


@dataclass(frozen=True)
class StructType(SqlType):
    """STRUCT: named fields."""

    fields: tuple[tuple[str, SqlType], ...] = ()


@dataclass(frozen=True)
class ArrayType(SqlType):
    """ARRAY: elements of one type, counted from 1."""

    of: SqlType = SqlType("UNKNOWN")


@dataclass(frozen=True)
class MapType(SqlType):
    """MAP: keys and values, each of one type."""

    key: SqlType = SqlType("UNKNOWN")
    of: SqlType = SqlType("UNKNOWN")


@dataclass(frozen=True)
class CustomType(SqlType):
    """A type of CREATE TYPE; `definition` is what it stands for. `str(type)` is its name."""

    definition: SqlType = SqlType("UNKNOWN")


STRING = SqlType("STRING")
BOOLEAN = SqlType("BOOLEAN")
INTEGER = SqlType("INTEGER", numeric=True)
BIGINT = SqlType("BIGINT", numeric=True)
DOUBLE = SqlType("DOUBLE", numeric=True)
TIMESTAMP = SqlType("TIMESTAMP")
DATE = SqlType("DATE")
TIME = SqlType("TIME")
BYTES = SqlType("BYTES")
UNKNOWN = SqlType("UNKNOWN")  # of an expression whose type is not inferred; it matches every type


def DECIMAL(precision: int, scale: int) -> DecimalType:  # noqa: N802  # named like the SQL type
    """A DECIMAL type. Raises `KsqlError` for a precision or scale that no server accepts."""
    if not 0 < precision <= MAX_PRECISION or not 0 <= scale <= precision:
        raise KsqlError(f"DECIMAL({precision},{scale}): 1 to {MAX_PRECISION} digits, of which 0 to all come after the point")
    return DecimalType(f"DECIMAL({precision},{scale})", numeric=True, precision=precision, scale=scale)


def STRUCT(**fields: SqlType) -> StructType:  # noqa: N802  # see above
    """A STRUCT type. Raises `KsqlError` for a field name that is reserved."""
    for name in fields:
        check_name(name, f"STRUCT.{name}")  # a field in backquotes is given as STRUCT(**{"`size`": BIGINT})
    text = ", ".join(f"{name} {kind}" for name, kind in fields.items())
    return StructType(f"STRUCT<{text}>", fields=tuple(fields.items()))


def ARRAY(of: SqlType) -> ArrayType:  # noqa: N802  # see above
    """An ARRAY type."""
    return ArrayType(f"ARRAY<{of}>", of=of)


def MAP(key: SqlType, value: SqlType) -> MapType:  # noqa: N802  # see above
    """A MAP type."""
    return MapType(f"MAP<{key}, {value}>", key=key, of=value)


def comparable(one: SqlType, other: SqlType, sign: str = "=") -> bool:
    """Whether the server compares values of the two types by this operator."""
    if one == other and sign not in {"=", "<>", "IN"}:
        return not (one == BOOLEAN or isinstance(one, StructType | ArrayType | MapType))
    times = ({TIMESTAMP, STRING}, {DATE, STRING}, {TIME, STRING}, {DATE, TIMESTAMP})
    return UNKNOWN in (one, other) or one == other or (one.numeric and other.numeric) or {one, other} in times


_CASTS: dict[type[SqlType] | SqlType, set[SqlType]] = {  # what each type can be cast to, besides itself and STRING
    STRING: {INTEGER, BIGINT, DOUBLE, BOOLEAN, TIMESTAMP, DATE, TIME, BYTES},
    INTEGER: {BIGINT, DOUBLE},
    BIGINT: {INTEGER, DOUBLE},
    DOUBLE: {INTEGER, BIGINT},
    DecimalType: {INTEGER, BIGINT, DOUBLE},
    TIMESTAMP: {DATE, TIME},
    DATE: {TIMESTAMP},
}


def castable(one: SqlType, other: SqlType) -> bool:
    """Whether the server casts a value of the first type to the second. Custom types may be anything."""
    if UNKNOWN in (one, other) or other == STRING or type(one) is type(other) is not SqlType:
        return True
    if isinstance(one, CustomType) or isinstance(other, CustomType) or one == other:
        return True
    if isinstance(other, DecimalType):
        return one.numeric or one == STRING
    return other in _CASTS.get(type(one) if type(one) is not SqlType else one, set())


def sum_type(one: SqlType, other: SqlType) -> SqlType:
    """The type that ksqlDB gives to the sum or difference of two numbers."""
    if UNKNOWN in (one, other):
        return UNKNOWN
    if DOUBLE in (one, other):
        return DOUBLE
    if isinstance(one, DecimalType) or isinstance(other, DecimalType):
        left, right = (_as_decimal(kind) for kind in (one, other))
        scale = max(left.scale, right.scale)
        return DECIMAL(min(MAX_PRECISION, max(left.whole, right.whole) + scale + 1), scale)
    return BIGINT if BIGINT in (one, other) else INTEGER


def product_type(one: SqlType, other: SqlType) -> SqlType:
    """The type that ksqlDB gives to the product of two numbers."""
    decimal = isinstance(one, DecimalType) or isinstance(other, DecimalType)
    if not decimal or {DOUBLE, UNKNOWN} & {one, other}:
        return sum_type(one, other)
    left, right = _as_decimal(one), _as_decimal(other)
    return DECIMAL(min(MAX_PRECISION, left.precision + right.precision + 1), min(MAX_PRECISION, left.scale + right.scale))


def _as_decimal(kind: SqlType) -> DecimalType:
    return kind if isinstance(kind, DecimalType) else DECIMAL(19 if kind == BIGINT else 10, 0)
