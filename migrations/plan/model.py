"""A plan: statements in order, each with an id that stays and a hash that tells whether it is still the same."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from migrations.errors import PlanError
from migrations.ksql.errors import KsqlError
from migrations.ksql.parse.lexer import Token
from migrations.ksql.parse.normal import clean, split_tokens, statement_hash, substitute
from migrations.ksql.parse.statement import Described, Kind, describe

FORBIDDEN = {
    "DROP": "a plan only creates: drop by hand, in the order that docs/migrations.md gives",
    "TERMINATE": "a plan only creates: terminate by hand",
    "PAUSE": "a plan only creates: pause by hand",
    "RESUME": "a plan only creates: resume by hand",
    "ALTER": "change the CREATE statement instead: what the server can alter is altered",
    "SET": "give the plan `properties` instead: they are sent with every statement",
    "DEFINE": "give the plan `variables` instead",
    "SELECT": "it is a query, which a plan does not run",
    "PRINT": "it is a query, which a plan does not run",
}


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement, ready to be sent: variables in place, no comments, ends with a semicolon.

    `origin` says where it is written, for messages.
    """

    id: str
    text: str
    hash: str
    about: Described
    origin: str

    @property
    def name(self) -> str:
        """Of what it makes, as the server shows it; of an INSERT its query."""
        return self.about.query_id if self.about.kind is Kind.insert_select else self.about.name


@dataclass(frozen=True)
class Plan:
    """Statements in the order in which they are applied, and the `streamsProperties` they are sent with."""

    name: str
    statements: tuple[Statement, ...]
    properties: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Source:
    """KSQL as it was found: `ksql` may hold several statements; `id` names the first of them, where it is given."""

    ksql: str
    origin: str
    group: str
    id: str = ""


def make(name: str, sources: Iterable[Source], variables: Mapping[str, str], properties: Mapping[str, str]) -> Plan:
    """Split, look at and name the statements; raises `PlanError` with file and place."""
    statements: list[Statement] = []
    used: Counter[tuple[str, str]] = Counter()
    for source in sources:
        try:
            found = split_tokens(substitute(source.ksql, variables))
        except KsqlError as error:
            raise PlanError(f"{source.origin}: {error}") from None
        if not found:
            raise PlanError(f"{source.origin}: holds no statement")
        if source.id and len(found) > 1:
            raise PlanError(f"{source.origin}: {len(found)} statements under the one id {source.id}; give each its own entry")
        for tokens in found:
            origin = f"{source.origin}, line {tokens[0].line}" if len(found) > 1 else source.origin
            statements.append(_statement(tokens, source, origin, used))
    _check_ids(statements)
    return Plan(name, tuple(statements), dict(properties))


def _statement(tokens: list[Token], source: Source, origin: str, used: Counter[tuple[str, str]]) -> Statement:
    text = clean(tokens)
    try:
        about = describe(tokens)
    except KsqlError as error:
        raise PlanError(f"{source.origin}: {error}") from None
    shown = f"{origin}: {' '.join(text.split())[:80]}"
    if about.kind is Kind.other:
        first = about.words.split(" ", maxsplit=1)[0]
        why = FORBIDDEN.get(first, "a plan holds CREATE STREAM, CREATE TABLE, CREATE TYPE and INSERT INTO .. SELECT")
        raise PlanError(f"{shown}: {why}")
    if about.kind is Kind.insert_select and not about.query_id:
        raise PlanError(f"{shown}: give it WITH (QUERY_ID='...'): else nobody can tell whether it runs already")
    if about.if_not_exists:
        raise PlanError(f"{shown}: leave IF NOT EXISTS out: it takes whatever is there for the same")
    if about.replace:
        raise PlanError(f"{shown}: leave OR REPLACE out: it is added where the server can alter what it has")
    name = about.query_id or about.name
    number = used[source.group, name] = used[source.group, name] + 1
    if found := set(source.id) & set("<>|"):
        raise PlanError(f"{source.origin}: id: {source.id} must not hold {' '.join(sorted(found))}")
    given = source.id or f"{source.group}/{name}" + (f"#{number}" if number > 1 else "")
    return Statement(given, text, statement_hash(tokens), about, origin)


def _check_ids(statements: list[Statement]) -> None:
    by_id: dict[str, Statement] = {}
    by_name: dict[tuple[str, str], Statement] = {}  # the server keeps types, queries and sources apart
    for statement in statements:
        first = by_id.setdefault(statement.id, statement)
        if first is not statement:
            raise PlanError(f"{statement.origin}: the id {statement.id} is that of {first.origin} too")
        kind = statement.about.kind
        first = by_name.setdefault(("source" if kind.source else kind, statement.name), statement)
        if first is not statement:
            raise PlanError(f"{statement.origin}: {statement.name} is made by {first.origin} already")


def in_order(files: Iterable[Path]) -> list[Path]:
    """Files named `0001_what.ksql`, by number; raises `PlanError` for other names, gaps and repeats."""
    numbered: dict[int, Path] = {}
    for path in sorted(files):
        digits, _, rest = path.stem.partition("_")
        if not (len(digits) == 4 and digits.isdigit() and rest):  # noqa: PLR2004  # 0001
            raise PlanError(f"{path}: must be named like 0001_ticks{path.suffix}")
        if int(digits) in numbered:
            raise PlanError(f"{path}: the number {digits} is that of {numbered[int(digits)].name} too")
        numbered[int(digits)] = path
    for expected, (number, path) in enumerate(sorted(numbered.items()), 1):
        if number != expected:
            raise PlanError(f"{path}: number {expected:04} is missing before it")
    return [path for _, path in sorted(numbered.items())]
