"""Statements of the grammar: each one is parsed to its end, or refused where the real server refuses it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from migrations.ksql.parse.lexer import GAPS, Lexeme, Token
from tests.ksqldb_server.expressions import Expr, parse_expression, parse_type, parse_value
from tests.ksqldb_server.refusal import SyntaxRefusal
from tests.ksqldb_server.sqltypes import SqlType
from tests.ksqldb_server.tokens import Cursor
from tests.ksqldb_server.words import KEYWORDS

LISTED = {"PROPERTIES", "TOPICS", "STREAMS", "TABLES", "FUNCTIONS", "CONNECTORS", "TYPES", "VARIABLES", "QUERIES"}
EXTENDED = {"TOPICS", "STREAMS", "TABLES", "QUERIES"}


@dataclass(frozen=True)
class Element:
    """A declared column: `role` is KEY, PRIMARY KEY, HEADERS, HEADER or empty."""

    name: str
    type: SqlType | None
    role: str = ""


@dataclass(frozen=True)
class Joined:
    """A joined source. `how` is INNER, LEFT, RIGHT or FULL."""

    name: str
    alias: str
    how: str
    within: bool
    on: Expr


@dataclass(frozen=True)
class Windowing:
    """A WINDOW clause, in milliseconds; -1 for what is left out."""

    kind: str
    size: int
    advance: int = -1
    retention: int = -1
    grace: int = -1


@dataclass(frozen=True)
class Query:
    """A SELECT. An item without an expression is a star; its name is then the source's, or empty."""

    items: tuple[tuple[Expr | None, str], ...]
    name: str
    alias: str
    joins: tuple[Joined, ...]
    window: Windowing | None
    where: Expr | None
    groups: tuple[Expr, ...]
    partitions: tuple[Expr, ...]
    having: Expr | None
    emit: str

    @property
    def sources(self) -> list[str]:
        return [self.name, *(join.name for join in self.joins)]


@dataclass
class Parse:
    """A parsed statement, as far as the stand-in looks at it."""

    words: str
    name: str = ""
    elements: list[Element] = field(default_factory=list)
    options: dict[str, str] = field(default_factory=dict)
    query: Query | None = None


def parse(tokens: Sequence[Token]) -> Parse:
    """Parse the tokens of one statement with its semicolon. Raises `SyntaxRefusal`."""
    for token in tokens:
        if token.kind is Lexeme.space and "\\" in token.text:  # ksqlDB's command line takes it at the end of a line
            raise SyntaxRefusal(f"line {token.line}:{token.column}: Syntax Error", token.line, token.column)
    told = [token for token in tokens if token.kind not in GAPS]
    at = Cursor(told[:-1], told[-1])
    found = _statement(at)
    if not at.at_end:
        at.fail()
    return found


def _statement(at: Cursor) -> Parse:  # noqa: C901, PLR0911, PLR0912  # one branch per alternative of the rule
    if at.sees("SELECT"):
        return Parse("SELECT", query=_query(at))
    if at.takes("CREATE"):
        return _create(at)
    if at.takes("INSERT"):
        at.expect("INTO")
        return _insert(at)
    if first := at.one_of("LIST", "SHOW"):
        _listed(at)
        return Parse(first)
    if at.takes("DESCRIBE"):
        if at.word() in {"FUNCTION", "CONNECTOR"} and at.starts_name(1):
            at.skip()
            at.name()
        elif at.takes("STREAMS") or at.name(source=True):
            at.takes("EXTENDED")
        return Parse("DESCRIBE")
    if at.takes("EXPLAIN"):
        if at.starts_name() and at.word(1) == ";":
            return Parse("EXPLAIN", at.name())
        return Parse("EXPLAIN", query=_statement(at).query)
    if first := at.one_of("TERMINATE", "PAUSE", "RESUME"):
        return Parse(first, "ALL" if at.takes("ALL") else at.name(source=True))
    if at.takes("DROP"):
        what = at.one_of("STREAM", "TABLE", "CONNECTOR", "TYPE") or at.fail()
        at.takes("IF", "EXISTS")
        name = at.name(source=True)
        if what in {"STREAM", "TABLE"}:
            at.takes("DELETE", "TOPIC")
        return Parse(f"DROP {what}", name)
    if first := at.one_of("SET", "UNSET", "DEFINE", "UNDEFINE"):
        if first in {"SET", "UNSET"}:
            at.string()
        else:
            at.name()
        if first in {"SET", "DEFINE"}:
            at.expect("=")
            at.string()
        return Parse(first)
    if at.takes("ALTER"):
        return _alter(at)
    if at.takes("ASSERT"):
        return _assert(at)
    if at.takes("PRINT"):
        name = _name_or_string(at)
        at.takes("FROM", "BEGINNING")
        for clause in (("INTERVAL", "SAMPLE"), ("LIMIT",)):
            if at.one_of(*clause):
                at.number()
        return Parse("PRINT", name)
    return at.fail(f"Unknown statement '{at.token().text}'")


def _listed(at: Cursor) -> None:
    """What SHOW and LIST list."""
    if at.takes("CONNECTOR", "PLUGINS"):
        return
    before = at.one_of("ALL", "SOURCE", "SINK")
    allowed = {"": LISTED, "ALL": {"TOPICS"}}.get(before, {"CONNECTORS"})
    if at.word() not in allowed:
        at.fail(f"Syntax error at or near '{at.token().text}' at line {at.token().line}:{at.token().column}")
    if at.skip() in EXTENDED:
        at.takes("EXTENDED")


def _create(at: Cursor) -> Parse:
    replace = at.takes("OR", "REPLACE")
    if not replace and at.word() in {"SOURCE", "SINK"} and at.word(1) == "CONNECTOR":
        at.skip()
        at.expect("CONNECTOR")
        at.takes("IF", "NOT", "EXISTS")
        name = at.name(source=True)
        at.expect("WITH")
        return Parse("CREATE CONNECTOR", name, options=_options(at))
    if not replace and at.takes("TYPE"):
        at.takes("IF", "NOT", "EXISTS")
        name = at.name(source=True)
        at.expect("AS")
        return Parse("CREATE TYPE", name, [Element("", parse_type(at))])
    source = at.takes("SOURCE")
    what = at.one_of("STREAM", "TABLE") or at.fail()
    at.takes("IF", "NOT", "EXISTS")
    found = Parse(f"CREATE {what}", at.name(source=True))
    if at.sees("("):
        found.elements = _elements(at)
    if at.takes("WITH"):
        found.options = _options(at)
    if not found.elements and not source and at.takes("AS"):
        found.query = _query(at)
    if not at.at_end:
        at.fail("Expecting {';', '(', 'WITH'}")
    return found


def _elements(at: Cursor) -> list[Element]:
    at.expect("(")
    found: list[Element] = []
    while not found or at.takes(","):
        name, kind, role = at.name(), parse_type(at), ""
        if at.takes("PRIMARY"):
            at.expect("KEY")
            role = "PRIMARY KEY"
        elif (role := at.one_of("KEY", "HEADERS", "HEADER")) == "HEADER":
            at.expect("(")
            at.string()
            at.expect(")")
        found.append(Element(name, kind, role))
    at.expect(")")
    return found


def _options(at: Cursor) -> dict[str, str]:
    at.expect("(")
    found: dict[str, str] = {}
    while not found or at.takes(","):
        name = _name_or_string(at).upper()
        at.expect("=")
        found[name] = _literal(at)
    at.expect(")")
    return found


def _name_or_string(at: Cursor) -> str:
    return at.string() if at.token().kind is Lexeme.string else at.name()


def _literal(at: Cursor) -> str:
    if at.token().kind is Lexeme.string:
        return at.string()
    return at.one_of("NULL", "TRUE", "FALSE") or at.number()


def _insert(at: Cursor) -> Parse:
    name = at.name(source=True)
    named = at.sees("(")
    if named:
        _names(at)
    if at.takes("VALUES") or (named and at.fail()):
        at.expect("(")
        values: list[Expr] = []
        while not at.takes(")"):
            if values:
                at.expect(",")
            values.append(parse_value(at))
        return Parse("INSERT VALUES", name)
    options = _options(at) if at.takes("WITH") else {}
    return Parse("INSERT SELECT", name, options=options, query=_query(at))


def _names(at: Cursor) -> None:
    at.expect("(")
    at.name()
    while at.takes(","):
        at.name()
    at.expect(")")


def _alter(at: Cursor) -> Parse:
    if at.takes("SYSTEM"):
        at.string()
        at.expect("=")
        at.string()
        return Parse("ALTER SYSTEM")
    if not at.one_of("STREAM", "TABLE"):
        at.fail()
    name = at.name(source=True)
    while True:
        at.expect("ADD")
        if at.sees("COLUMN") and at.starts_name(1):
            at.takes("COLUMN")
        at.name()
        parse_type(at)
        if not at.takes(","):
            return Parse("ALTER", name)


def _assert(at: Cursor) -> Parse:
    at.takes("NOT", "EXISTS")
    if at.takes("TOPIC"):
        name = _name_or_string(at)
        options = _options(at) if at.takes("WITH") else {}
    else:
        at.expect("SCHEMA")
        name, options = "", {}
        if at.takes("SUBJECT"):
            name = _name_or_string(at)
        if at.takes("ID"):
            _literal(at)
    if at.takes("TIMEOUT"):
        at.duration()
    return Parse("ASSERT", name, options=options)


def _query(at: Cursor) -> Query:
    at.expect("SELECT")
    items = [_item(at)]
    while at.takes(","):
        items.append(_item(at))
    if not at.takes("FROM"):
        at.fail("Expecting {',', 'FROM'}")
    name, alias = _relation(at)
    joins = []
    while (how := _join(at)) is not None:
        joins.append(_joined(at, how))
    window = _window(at) if at.takes("WINDOW") else None
    where = parse_expression(at) if at.takes("WHERE") else None
    groups = _keys(at) if at.takes("GROUP", "BY") else ()
    partitions = _keys(at) if at.takes("PARTITION", "BY") else ()
    having = parse_expression(at) if at.takes("HAVING") else None
    emit = (at.one_of("CHANGES", "FINAL") or at.fail()) if at.takes("EMIT") else ""
    if at.takes("LIMIT"):
        at.number()
    return Query(tuple(items), name, alias, tuple(joins), window, where, groups, partitions, having, emit)


def _item(at: Cursor) -> tuple[Expr | None, str]:
    if at.takes("*"):
        return None, ""
    if at.starts_name() and at.word(1) == "." and at.word(2) == "*":
        name = at.name()
        at.takes(".", "*")
        return None, name
    found = parse_expression(at)
    if at.takes("->", "*"):
        return Expr("all fields", "", (found,)), ""
    if at.takes("AS"):
        if not at.starts_name():
            at.fail()
        return found, at.name()
    return found, at.name() if at.starts_name() else ""


def _relation(at: Cursor) -> tuple[str, str]:
    name = at.name(source=True)
    if at.takes("AS"):
        return name, at.name(source=True)
    clause = at.sees("EMIT", "CHANGES") or at.sees("EMIT", "FINAL") or at.sees("PARTITION", "BY")
    return name, at.name() if at.starts_name() and not clause else name


def _join(at: Cursor) -> str | None:
    """The kind of the join that begins here; None if none does."""
    if at.takes("JOIN") or at.takes("INNER", "JOIN"):
        return "INNER"
    for how in ("FULL", "LEFT", "RIGHT"):
        if at.takes(how):
            at.takes("OUTER")
            at.expect("JOIN")
            return how
    return None


def _joined(at: Cursor, how: str) -> Joined:
    name, alias = _relation(at)
    within = at.takes("WITHIN")
    if within:
        if at.takes("("):
            at.duration()
            at.expect(",")
            at.duration()
            at.expect(")")
        else:
            at.duration()
        if at.takes("GRACE", "PERIOD"):
            at.duration()
    at.expect("ON")
    return Joined(name, alias, how, within, parse_expression(at))


def _window(at: Cursor) -> Windowing:
    if at.token().kind is Lexeme.word and at.word() not in KEYWORDS:
        at.skip()  # the window's name
    kind = at.one_of("TUMBLING", "HOPPING", "SESSION") or at.fail()
    at.expect("(")
    if kind != "SESSION":
        at.expect("SIZE")
    size = at.duration()
    advance = retention = grace = -1
    if kind == "HOPPING":
        at.expect(",", "ADVANCE", "BY")
        advance = at.duration()
    if at.takes(",", "RETENTION"):
        retention = at.duration()
    if at.takes(",", "GRACE", "PERIOD"):
        grace = at.duration()
    at.expect(")")
    return Windowing(kind, size, advance, retention, grace)


def _keys(at: Cursor) -> tuple[Expr, ...]:
    """The expressions of GROUP BY or PARTITION BY, which may be in parentheses."""
    if at.sees("(") and _encloses_all(at):
        at.takes("(")
        found = [] if at.sees(")") else _values(at)
        at.expect(")")
        return tuple(found)
    return tuple(_values(at))


def _values(at: Cursor) -> list[Expr]:
    found = [parse_value(at)]
    while at.takes(","):
        found.append(parse_value(at))
    return found


def _encloses_all(at: Cursor) -> bool:
    """Whether the parenthesis that opens here is that of a list, and not of its first expression."""
    depth, ahead = 0, 0
    while at.word(ahead) != ";":
        depth += (at.word(ahead) == "(") - (at.word(ahead) == ")")
        if not depth:
            return at.word(ahead + 1) in {";", "HAVING", "EMIT", "LIMIT", "PARTITION"}
        ahead += 1
    return False
