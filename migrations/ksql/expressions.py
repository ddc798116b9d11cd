"""What stands in a SELECT: columns, and what is made of them; each knows its type, its columns, and whether it aggregates."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar

from migrations.ksql import types
from migrations.ksql.errors import KsqlError
from migrations.ksql.types import BIGINT, BOOLEAN, INTEGER, STRING, ArrayType, DecimalType, MapType, SqlType, StructType

if TYPE_CHECKING:
    from migrations.ksql.sources import SourceType

INTEGERS = range(-(2**31), 2**31)


class Expression:
    """The base: a pattern with `{}` for each of its parts. Operators make expressions: `==` never compares two, use `is`."""

    aggregate: ClassVar[bool] = False
    __hash__ = object.__hash__

    def __init__(self, pattern: str, kind: SqlType, *parts: Expression) -> None:
        self.pattern = pattern
        self.kind = kind
        self.parts = parts

    def __str__(self) -> str:
        """As in a statement that reads from one source."""
        return self.text()

    def text(self, *, qualified: bool = False) -> str:
        """As in a statement; `qualified`: columns with the names of their sources, for joins."""
        return self.pattern.format(*(part.text(qualified=qualified) for part in self.parts)) if self.parts else self.pattern

    def walk(self) -> Iterator[Expression]:
        """This and everything in it."""
        yield self
        for part in self.parts:
            yield from part.walk()

    def as_(self, name: str) -> Alias:
        """Under a name of its own."""
        return Alias(self, name)

    def is_null(self) -> Expression:
        """Whether there is no value."""
        return Expression("{} IS NULL", BOOLEAN, self)

    def is_not_null(self) -> Expression:
        """Whether there is a value."""
        return Expression("{} IS NOT NULL", BOOLEAN, self)

    def one_of(self, first: int | str, *others: int | str) -> Expression:
        """Whether it equals one of the values."""
        values = [literal(value) for value in (first, *others)]
        for value in values:
            _check_comparable(self, "IN", value)
        return Expression(f"{{}} IN ({', '.join('{}' for _ in values)})", BOOLEAN, self, *values)

    def __getitem__(self, part: str | int) -> Expression:
        """A field of a STRUCT, an element of an ARRAY (the first is 1) or a MAP's value; raises `KsqlError` where none is."""
        if isinstance(self.kind, StructType):
            found = dict(self.kind.fields).get(str(part))
            if found is None:
                raise KsqlError(f"{_named(self)} has no field {part}; it has {', '.join(name for name, _ in self.kind.fields)}")
            return Expression(f"{{}}->{part}", found, self)
        if isinstance(self.kind, ArrayType) and isinstance(part, int) and part != 0:
            return Expression("{}[{}]", self.kind.of, self, literal(part))
        if isinstance(self.kind, MapType):
            return Expression("{}[{}]", self.kind.of, self, literal(part))
        raise KsqlError(f"{_named(self)} is {self.kind} and has no part {part!r}; arrays are counted from 1")

    def __iter__(self) -> Iterator[Expression]:
        """Raise: by `[]` alone it would look like a list without an end."""
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

    def __eq__(self, other: object) -> Expression:  # type: ignore[override]  # it is the SQL operator
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
        return Expression("({} AND {})", BOOLEAN, self, other)

    def __or__(self, other: Expression) -> Expression:
        return Expression("({} OR {})", BOOLEAN, self, other)

    def __invert__(self) -> Expression:
        return Expression("NOT ({})", BOOLEAN, self)

    def __bool__(self) -> bool:
        """Raise: `a < b < c`, `and` and `not` would silently drop a part."""
        raise KsqlError(f"{self}: use & | ~ and brackets instead of and, or, not and chained comparisons")


class Column(Expression):
    """A column of a stream or a table, declared as an attribute of its class."""

    key: ClassVar[bool] = False

    def __init__(self, kind: SqlType, name: str = "") -> None:
        super().__init__("", kind)
        self.name = name
        self.source: SourceType | None = None

    def __set_name__(self, owner: SourceType, name: str) -> None:
        """Learn the attribute's name, and whose it is."""
        self.name = self.name or name
        self.source = owner

    def text(self, *, qualified: bool = False) -> str:
        """Its name; with its source's where a query has several."""
        return self.where if qualified else self.name

    @property
    def where(self) -> str:
        """For messages: `TICKS.bid`."""
        return f"{self.source.ksql_name if self.source is not None else '?'}.{self.name}"


class Key(Column):
    """A column of the record's key; of a table, of its primary key."""

    key = True


class Alias(Expression):
    """An expression under a name."""

    def __init__(self, of: Expression, name: str) -> None:
        super().__init__("", of.kind, of)
        self.of = of
        self.name = name

    def text(self, *, qualified: bool = False) -> str:
        """With its name."""
        return f"{self.of.text(qualified=qualified)} AS {self.name}"


class Aggregate(Expression):
    """A function over the rows of a group."""

    aggregate = True


class Cast(Expression):
    """An expression of another type."""

    def __init__(self, of: Expression, kind: SqlType) -> None:
        plain = str(kind).replace("{", "{{").replace("}", "}}")  # a plan's variable
        super().__init__(f"CAST({{}} AS {plain})", kind, of)


class Case(Expression):
    """CASE; on several lines where it is long."""

    def __init__(self, branches: tuple[tuple[Expression, Expression], ...], otherwise: Expression) -> None:
        super().__init__("", otherwise.kind, *(part for branch in branches for part in branch), otherwise)
        self.branches = branches
        self.otherwise = otherwise

    def lines(self, *, qualified: bool = False) -> list[str]:
        """One a branch."""

        def said(part: Expression) -> str:
            return part.text(qualified=qualified)

        whens = [f"  WHEN {said(condition)} THEN {said(result)}" for condition, result in self.branches]
        return ["CASE", *whens, f"  ELSE {said(self.otherwise)}", "END"]

    def text(self, *, qualified: bool = False) -> str:
        """On one line."""
        return " ".join(line.strip() for line in self.lines(qualified=qualified))


def literal(value: Expression | int | str | bool | None) -> Expression:  # noqa: FBT001  # any value
    """A value as it is written in a statement; raises `KsqlError` for a float, which is not exact."""
    if isinstance(value, Expression):
        return value
    if isinstance(value, bool):
        return Expression(str(value).upper(), BOOLEAN)
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
            raise KsqlError(f"{_named(side)} is {side.kind}: {sign} takes numbers; cast it first")
    decimal = isinstance(left.kind, DecimalType) or isinstance(other.kind, DecimalType)
    if sign == "/" and decimal and not {types.DOUBLE, types.UNKNOWN} & {left.kind, other.kind}:  # an INTEGER becomes a DECIMAL
        raise KsqlError(
            f"{left} / {other}: of two DECIMALs the server makes NULL where the quotient does not end; "
            "cast both to DOUBLE and the result back"
        )
    kind = types.product(left.kind, other.kind) if sign == "*" else types.together(left.kind, other.kind)
    return Operation(sign, left, other, kind)


class Operation(Expression):
    """Two numbers made one; brackets only where they mean something."""

    _ORDER: ClassVar[dict[str, int]] = {"+": 1, "-": 1, "*": 2, "/": 2}

    def __init__(self, sign: str, left: Expression, right: Expression, kind: SqlType) -> None:
        self.sign = sign
        super().__init__(f"{self._side(left)} {sign} {self._side(right, last=True)}", kind, left, right)

    def _side(self, part: Expression, *, last: bool = False) -> str:
        if isinstance(part, Operation):
            mine, its = self._ORDER[self.sign], self._ORDER[part.sign]
            if its < mine or (last and its == mine):
                return "({})"
        return "{}"


def _comparison(left: Expression, sign: str, right: object) -> Expression:
    other = literal(right)  # type: ignore[arg-type]  # it refuses what it does not know
    _check_comparable(left, sign, other)
    sides = ["({})" if side.kind is BOOLEAN and side.parts else "{}" for side in (left, other)]
    return Expression(f"{sides[0]} {sign} {sides[1]}", BOOLEAN, left, other)


def _check_comparable(left: Expression, sign: str, right: Expression) -> None:
    if not types.comparable(left.kind, right.kind):
        raise KsqlError(f"{_named(left)} is {left.kind}, {_named(right)} is {right.kind}: {sign} cannot compare them; cast one")


def _named(side: Expression) -> str:
    return side.where if isinstance(side, Column) else str(side)
