"""Expressions of a SELECT. Each knows its type, its parts, and whether it aggregates."""

from __future__ import annotations

from collections.abc import Iterator
from copy import copy
from typing import ClassVar, Protocol, Self

from migrations.ksql import types
from migrations.ksql.errors import KsqlError
from migrations.ksql.types import BIGINT, BOOLEAN, INTEGER, STRING, ArrayType, DecimalType, MapType, SqlType, StructType

INTEGERS = range(-(2**31), 2**31)  # what an INTEGER holds
BIGINTS = range(-(2**63), 2**63)


class NamedSource(Protocol):
    """The stream or table that a column belongs to."""

    @property
    def ksql_name(self) -> str:
        """Its name in statements."""


class Expression:
    """The base class: a pattern with `{}` for each part.

    Operators build expressions. `==` does not compare two expressions; use `is` for that.
    """

    aggregate: ClassVar[bool] = False
    __hash__ = object.__hash__

    def __init__(self, pattern: str, kind: SqlType, *parts: Expression) -> None:
        self.pattern = pattern
        self.kind = kind
        self.parts = parts

    def __str__(self) -> str:
        """The KSQL, in a statement that reads from one source."""
        return self.text()

    def text(self, *, qualified: bool = False) -> str:
        """The KSQL; `qualified` puts the source's name before each column, for joins."""
        return self.pattern.format(*(part.text(qualified=qualified) for part in self.parts)) if self.parts else self.pattern

    def walk(self) -> Iterator[Expression]:
        """This expression and all expressions inside it."""
        yield self
        for part in self.parts:
            yield from part.walk()

    def as_(self, name: str) -> Alias:
        """The expression with an alias."""
        return Alias(self, name)

    def is_null(self) -> Expression:
        """IS NULL."""
        return Expression("{} IS NULL", BOOLEAN, self)

    def is_not_null(self) -> Expression:
        """IS NOT NULL."""
        return Expression("{} IS NOT NULL", BOOLEAN, self)

    def one_of(self, first: int | str, *others: int | str) -> Expression:
        """IN: whether it equals one of the values."""
        values = [literal(value) for value in (first, *others)]
        for value in values:
            _check_comparable(self, "IN", value)
        return Expression(f"{{}} IN ({', '.join('{}' for _ in values)})", BOOLEAN, self, *values)

    def __getitem__(self, part: str | int) -> Expression:
        """A field of a STRUCT, an element of an ARRAY (counted from 1) or a value of a MAP.

        Raises `KsqlError` if the type has no such part.
        """
        if isinstance(self.kind, StructType):
            field_type = dict(self.kind.fields).get(str(part))
            if field_type is None:
                raise KsqlError(f"{label(self)} has no field {part}; it has {', '.join(name for name, _ in self.kind.fields)}")
            return Expression(f"{{}}->{part}", field_type, self)
        if isinstance(self.kind, ArrayType) and isinstance(part, int) and part != 0:
            return Expression("{}[{}]", self.kind.of, self, literal(part))
        if isinstance(self.kind, MapType):
            return Expression("{}[{}]", self.kind.of, self, literal(part))
        raise KsqlError(f"{label(self)} is {self.kind} and has no part {part!r}; arrays are counted from 1")

    def __iter__(self) -> Iterator[Expression]:
        """Raises `KsqlError`. Without this method, `__getitem__` would make expressions iterable without end."""
        raise KsqlError(f"{self} is not a list: take its parts by [...]")

    def __add__(self, other: Expression | int | str) -> Expression:
        return _arithmetic(self, "+", other)

    def __sub__(self, other: Expression | int) -> Expression:
        return _arithmetic(self, "-", other)

    def __mul__(self, other: Expression | int) -> Expression:
        return _arithmetic(self, "*", other)

    def __truediv__(self, other: Expression | int) -> Expression:
        return _arithmetic(self, "/", other)

    def __radd__(self, other: int | str) -> Expression:
        return _arithmetic(literal(other), "+", self)

    def __rsub__(self, other: int) -> Expression:
        return _arithmetic(literal(other), "-", self)

    def __rmul__(self, other: int) -> Expression:
        return _arithmetic(literal(other), "*", self)

    def __rtruediv__(self, other: int) -> Expression:
        return _arithmetic(literal(other), "/", self)

    def __eq__(self, other: object) -> Expression:  # type: ignore[override]  # it builds the SQL operator
        return _comparison(self, "=", other)

    def __ne__(self, other: object) -> Expression:  # type: ignore[override]  # see above
        return _comparison(self, "<>", other)

    def __lt__(self, other: Expression | int | str) -> Expression:
        return _comparison(self, "<", other)

    def __le__(self, other: Expression | int | str) -> Expression:
        return _comparison(self, "<=", other)

    def __gt__(self, other: Expression | int | str) -> Expression:
        return _comparison(self, ">", other)

    def __ge__(self, other: Expression | int | str) -> Expression:
        return _comparison(self, ">=", other)

    def __and__(self, other: Expression) -> Expression:
        return Expression("({} AND {})", BOOLEAN, _boolean("AND", self), _boolean("AND", other))

    def __or__(self, other: Expression) -> Expression:
        return Expression("({} OR {})", BOOLEAN, _boolean("OR", self), _boolean("OR", other))

    def __invert__(self) -> Expression:
        return Expression("NOT ({})", BOOLEAN, _boolean("NOT", self))

    def __bool__(self) -> bool:
        """Raises `KsqlError`. In `a < b < c`, `and` and `not`, Python would silently drop an operand."""
        raise KsqlError(f"{self}: use & | ~ and brackets instead of and, or, not and chained comparisons")


class Column(Expression):
    """A column of a stream or table, declared as an attribute of its class."""

    key: ClassVar[bool] = False

    def __init__(self, kind: SqlType, name: str = "") -> None:
        super().__init__("", kind)
        self.name = name
        self.source: NamedSource | None = None

    def __set_name__(self, owner: type, name: str) -> None:
        """Take the attribute's name, unless the column was given another."""
        self.name = self.name or name

    def copy_for(self, source: NamedSource) -> Self:
        """The same column as one of another stream or table."""
        copied = copy(self)
        copied.source = source
        return copied

    def text(self, *, qualified: bool = False) -> str:
        """The column's name."""
        return self.qualified_name if qualified else self.name

    @property
    def qualified_name(self) -> str:
        """The name after that of its source: `TICKS.bid`."""
        return f"{self.source.ksql_name if self.source is not None else '?'}.{self.name}"


class Key(Column):
    """A column of the record's key. In a table: of the primary key."""

    key = True


class Alias(Expression):
    """An expression with an alias."""

    def __init__(self, of: Expression, name: str) -> None:
        super().__init__("", of.kind, of)
        self.of = of
        self.name = name

    def text(self, *, qualified: bool = False) -> str:
        """`expression AS name`."""
        return f"{self.of.text(qualified=qualified)} AS {self.name}"


class Aggregate(Expression):
    """An aggregate function over the rows of a group."""

    aggregate = True


class Cast(Expression):
    """CAST."""

    def __init__(self, of: Expression, kind: SqlType) -> None:
        if not types.castable(of.kind, kind):
            raise KsqlError(f"{label(of)} is {of.kind}, which the server does not cast to {kind}; cast it by way of STRING")
        plain = str(kind).replace("{", "{{").replace("}", "}}")  # braces of a `${variable}` are no placeholders
        super().__init__(f"CAST({{}} AS {plain})", kind, of)


def label(expression: Expression) -> str:
    """The expression as messages name it: a column by its qualified name, everything else by its KSQL."""
    return expression.qualified_name if isinstance(expression, Column) else str(expression)


def literal(value: Expression | int | str | bool | None) -> Expression:  # noqa: FBT001  # any literal
    """A Python value as a KSQL literal. Raises `KsqlError` for a float, which is not exact."""
    if isinstance(value, Expression):
        return value
    if isinstance(value, bool):
        return Expression(str(value).upper(), BOOLEAN)
    if isinstance(value, int) and value not in BIGINTS:
        raise KsqlError(f"{value}: a BIGINT holds no such number; write cast('{value}', DECIMAL(38, 0))")
    if isinstance(value, int):
        return Expression(str(value), INTEGER if value in INTEGERS else BIGINT)
    if isinstance(value, str):
        return Expression("'" + value.replace("'", "''") + "'", STRING)
    raise KsqlError(f"{value!r}: a number in a statement is an int; write exact decimals as cast('1.5', DECIMAL(2, 1))")


def _arithmetic(left: Expression, sign: str, right: Expression | int | str) -> Expression:
    other = literal(right)
    if sign == "+" and STRING in (left.kind, other.kind) and left.kind == other.kind:
        return Expression("{} + {}", STRING, left, other)
    for side in (left, other):
        if not side.kind.numeric and side.kind is not types.UNKNOWN:
            raise KsqlError(f"{label(side)} is {side.kind}: {sign} takes numbers; cast it first")
    decimal = isinstance(left.kind, DecimalType) or isinstance(other.kind, DecimalType)
    if sign == "/" and decimal and not {types.DOUBLE, types.UNKNOWN} & {left.kind, other.kind}:
        raise KsqlError(
            f"{left} / {other}: of two DECIMALs the server makes NULL where the quotient does not end; "
            "cast both to DOUBLE and the result back"
        )
    kind = types.product_type(left.kind, other.kind) if sign == "*" else types.sum_type(left.kind, other.kind)
    return Operation(sign, left, other, kind)


class Operation(Expression):
    """An arithmetic operation. Parentheses appear only where precedence needs them."""

    _ORDER: ClassVar[dict[str, int]] = {"+": 1, "-": 1, "*": 2, "/": 2}

    def __init__(self, sign: str, left: Expression, right: Expression, kind: SqlType) -> None:
        self.sign = sign
        super().__init__(f"{self._side(left)} {sign} {self._side(right, last=True)}", kind, left, right)

    def _side(self, part: Expression, *, last: bool = False) -> str:
        if isinstance(part, Operation):
            outer, inner = self._ORDER[self.sign], self._ORDER[part.sign]
            if inner < outer or (last and inner == outer):
                return "({})"
        return "{}"


def _boolean(operator: str, part: Expression) -> Expression:
    if part.kind not in (BOOLEAN, types.UNKNOWN):
        raise KsqlError(f"{label(part)} is {part.kind}: {operator} takes conditions; say what it is compared with")
    return part


def _comparison(left: Expression, sign: str, right: object) -> Expression:
    other = literal(right)  # type: ignore[arg-type]  # it raises for other types
    _check_comparable(left, sign, other)
    sides = ["({})" if side.kind is BOOLEAN and side.parts else "{}" for side in (left, other)]
    return Expression(f"{sides[0]} {sign} {sides[1]}", BOOLEAN, left, other)


def _check_comparable(left: Expression, sign: str, right: Expression) -> None:
    if not types.comparable(left.kind, right.kind, sign):
        raise KsqlError(f"{label(left)} is {left.kind}, {label(right)} is {right.kind}: {sign} cannot compare them; cast one")
