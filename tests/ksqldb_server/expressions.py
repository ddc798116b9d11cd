"""Expressions and types of the grammar."""

from __future__ import annotations

from dataclasses import dataclass

from migrations.ksql.parse.lexer import Lexeme
from tests.ksqldb_server.sqltypes import BASE, SqlType, decimal
from tests.ksqldb_server.tokens import Cursor
from tests.ksqldb_server.words import UNITS

COMPARISONS = ("=", "<>", "!=", "<", "<=", ">", ">=")


@dataclass(frozen=True)
class Expr:
    """A node: its kind, a value (a name, an operator, a literal, a type's text) and its parts."""

    kind: str
    value: str = ""
    parts: tuple[Expr, ...] = ()
    type: SqlType | None = None
    source: str = ""  # the qualifier of a column

    def __str__(self) -> str:
        """A text that is the same for the same expressions; columns are without their qualifiers."""
        inner = ", ".join(map(str, self.parts))
        return self.value if self.kind in {"column", "literal"} else f"{self.kind} {self.value} {self.type or ''}({inner})"

    def walk(self) -> list[Expr]:
        return [self, *(inner for part in self.parts for inner in part.walk())]


def parse_type(at: Cursor, types: dict[str, SqlType | None] | None = None) -> SqlType | None:
    """A type; None for a registered type whose definition is unknown, or a name that is no type (see `unknown`)."""
    found: SqlType | None
    if at.takes("ARRAY", "<"):
        found = SqlType("ARRAY", (_known(parse_type(at, types)),))
        at.expect(">")
    elif at.takes("MAP", "<"):
        key = _known(parse_type(at, types))
        at.expect(",")
        found = SqlType("MAP", (key, _known(parse_type(at, types))))
        at.expect(">")
    elif at.takes("STRUCT", "<"):
        fields: list[tuple[str, SqlType]] = []
        while not at.takes(">"):
            if fields:
                at.expect(",")
            fields.append((at.name(), _known(parse_type(at, types))))
        found = SqlType("STRUCT", tuple(one for _, one in fields), tuple(name for name, _ in fields))
    elif at.takes("DECIMAL"):
        at.expect("(")
        precision = at.number()
        at.expect(",")
        found = decimal(int(precision), int(at.number()))
        at.expect(")")
    else:
        name = at.name()
        if at.takes("("):
            _parameter(at)
            while at.takes(","):
                _parameter(at)
            at.expect(")")
        found = BASE.get(name, (types or {}).get(name, SqlType(f"?{name}")))
    while at.takes("ARRAY"):
        found = SqlType("ARRAY", (_known(found),))
    return found


def _parameter(at: Cursor) -> None:
    """A parameter of a type, as in VARCHAR(10) and VARCHAR(STRING)."""
    if not at.takes("STRING"):
        at.number()


def _known(found: SqlType | None) -> SqlType:
    return found or SqlType("?")


def unknown(found: SqlType | None) -> str:
    """The name inside of the type that is no type; empty if there is none."""
    if found is None:
        return ""
    if found.name.startswith("?"):
        return found.name[1:]
    return next((name for inner in found.of if (name := unknown(inner))), "")


def parse_expression(at: Cursor) -> Expr:
    """A boolean expression, which any expression is."""
    left = _conjunction(at)
    while at.takes("OR"):
        left = Expr("logic", "OR", (left, _conjunction(at)))
    return left


def _conjunction(at: Cursor) -> Expr:
    left = _negation(at)
    while at.takes("AND"):
        left = Expr("logic", "AND", (left, _negation(at)))
    return left


def _negation(at: Cursor) -> Expr:  # noqa: PLR0911  # one return per kind of predicate
    if at.takes("NOT"):
        return Expr("logic", "NOT", (_negation(at),))
    left = parse_value(at)
    if sign := at.one_of(*COMPARISONS):
        return Expr("comparison", sign, (left, parse_value(at)))
    if at.takes("IS"):
        at.one_of("NOT")
        if at.takes("DISTINCT", "FROM"):
            return Expr("distinct", "", (left, parse_value(at)))
        at.expect("NULL")
        return Expr("is null", "", (left,))
    negated = at.sees("NOT")
    if negated and at.word(1) in {"BETWEEN", "IN", "LIKE"}:
        at.takes("NOT")
    if at.takes("BETWEEN"):
        low = parse_value(at)
        at.expect("AND")
        return Expr("between", "", (left, low, parse_value(at)))
    if at.takes("IN"):
        return Expr("in", "", (left, *_list(at, "(", ")", least=1)))
    if at.takes("LIKE"):
        pattern = parse_value(at)
        if at.takes("ESCAPE"):
            at.string()
        return Expr("like", "", (left, pattern))
    return left


def parse_value(at: Cursor) -> Expr:
    """An expression without AND, OR, NOT and comparisons."""
    left = _sum(at)
    while at.takes("||"):
        left = Expr("concat", "||", (left, _sum(at)))
    return left


def _sum(at: Cursor) -> Expr:
    left = _product(at)
    while sign := at.one_of("+", "-"):
        left = Expr("arithmetic", sign, (left, _product(at)))
    return left


def _product(at: Cursor) -> Expr:
    left = _unary(at)
    while sign := at.one_of("*", "/", "%"):
        left = Expr("arithmetic", sign, (left, _unary(at)))
    return left


def _unary(at: Cursor) -> Expr:
    if at.sees("+") or (at.sees("-") and at.token(1).kind is not Lexeme.number):
        sign = at.skip()
        return Expr("sign", sign, (_unary(at),))
    found = _primary(at)
    while at.takes("AT"):
        at.expect("TIME", "ZONE")
        at.string()
    return found


def _primary(at: Cursor) -> Expr:
    found = _atom(at)
    while True:
        if at.takes("["):
            found = Expr("subscript", "", (found, parse_value(at)))
            at.expect("]")
        elif at.sees("->") and at.word(1) != "*":
            at.takes("->")
            found = Expr("field", at.name(), (found,))
        else:
            return found


def _atom(at: Cursor) -> Expr:  # noqa: PLR0911  # one return per alternative of the rule
    token = at.token()
    if token.kind is Lexeme.number or (at.sees("-") and at.token(1).kind is Lexeme.number):
        return Expr("literal", at.number())
    if token.kind is Lexeme.string:
        return Expr("literal", f"'{at.string()}'")
    if literal := at.one_of("NULL", "TRUE", "FALSE"):
        return Expr("literal", literal)
    if at.takes("("):
        inner = parse_expression(at)
        at.expect(")")
        return inner
    if at.takes("CASE"):
        return _case(at)
    if at.takes("CAST"):
        at.expect("(")
        inner = parse_expression(at)
        at.expect("AS")
        kind = parse_type(at)
        at.expect(")")
        return Expr("cast", str(kind), (inner,), kind)
    if at.sees("ARRAY", "["):
        at.takes("ARRAY")
        return Expr("array", "", _list(at, "[", "]"))
    if at.word() in {"MAP", "STRUCT"} and at.word(1) == "(":
        return _constructor(at)
    return _named(at)


def _named(at: Cursor) -> Expr:
    """A column, or the call of a function."""
    name = at.name()
    if at.token().kind is Lexeme.string:  # DATE '2020-01-01'
        return Expr("typed", name, (Expr("literal", f"'{at.string()}'"),))
    if at.takes("(", "*"):
        at.expect(")")
        return Expr("call", name)
    if at.sees("("):
        return Expr("call", name, _list(at, "(", ")", argument=True))
    if at.sees(".") and at.starts_name(1):
        at.takes(".")
        return Expr("column", at.name(), source=name)
    return Expr("column", name)


def _list(at: Cursor, begin: str, end: str, *, least: int = 0, argument: bool = False) -> tuple[Expr, ...]:
    at.expect(begin)
    found: list[Expr] = []
    while len(found) < least or not at.takes(end):
        if found:
            at.expect(",")
        found.append(_argument(at) if argument else parse_expression(at))
        if len(found) == least and at.takes(end):
            break
    return tuple(found)


def _argument(at: Cursor) -> Expr:
    """An expression, a unit of time, or a lambda."""
    if at.word() in UNITS and at.word(1) in {",", ")"}:
        return Expr("unit", at.skip())
    if at.starts_name() and at.word(1) == "=>":
        at.name()
        at.takes("=>")
        return Expr("lambda", "", (parse_expression(at),))
    if at.sees("(") and at.starts_name(1) and at.word(2) in {",", ")"}:
        ahead = 2
        while at.word(ahead) == "," and at.starts_name(ahead + 1):
            ahead += 2
        if at.word(ahead) == ")" and at.word(ahead + 1) == "=>":
            while not at.takes("=>"):
                at.skip()
            return Expr("lambda", "", (parse_expression(at),))
    return parse_expression(at)


def _case(at: Cursor) -> Expr:
    searched = at.sees("WHEN")
    parts = [] if searched else [parse_value(at)]
    at.expect("WHEN")
    while True:
        parts.append(parse_expression(at))
        at.expect("THEN")
        parts.append(parse_expression(at))
        if not at.takes("WHEN"):
            break
    otherwise = at.takes("ELSE")
    if otherwise:
        parts.append(parse_expression(at))
    at.expect("END")
    return Expr("case" if searched else "simple case", "else" if otherwise else "", tuple(parts))


def _constructor(at: Cursor) -> Expr:
    kind = at.skip()
    at.expect("(")
    parts: list[Expr] = []
    while not at.takes(")"):
        if parts:
            at.expect(",")
        parts.append(Expr("literal", at.name()) if kind == "STRUCT" else parse_expression(at))
        at.expect(":=")
        parts.append(parse_expression(at))
    return Expr(kind.lower(), "", tuple(parts))
