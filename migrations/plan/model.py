"""A plan: statements in order, each with a stable id and a hash that changes when the statement does."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from migrations.errors import PlanError
from migrations.ksql.errors import KsqlError
from migrations.ksql.parse.lexer import GAPS, Token, lex
from migrations.ksql.parse.normal import clean, first_words, split_tokens, statement_hash, substitute
from migrations.ksql.parse.reads import is_read
from migrations.ksql.parse.rewrite import plain_create, says_or_replace
from migrations.ksql.parse.statement import Kind, StatementInfo, describe

# Variables that follow the settings of one instance. An id and a hash must not: they are made of the text with these values.
IN_IDS = {"bars_instance": "", "bars_window": "1m", "bars_window_upper": "1M", "bars_five": "5m"}
IN_HASHES = {"partitions": "${partitions}"}  # only for topics that do not exist yet
_LABELS = {
    Kind.create_connector: "CONNECTOR",
    Kind.insert_values: "VALUES_INTO",
    Kind.check: "ASSERT",
    Kind.drop: "DROP",
    Kind.terminate: "TERMINATE",
}
FORBIDDEN = {
    "TERMINATE": "it would end the queries of others, too: name the query",
    "PAUSE": "a plan only creates: pause by hand",
    "RESUME": "a plan only creates: resume by hand",
    "ALTER": "change the CREATE statement instead: `apply` sends it as CREATE OR REPLACE",
    "SET": "it is for .ksql files; other ones have `properties`, for all statements of the plan",
    "UNSET": "it is for .ksql files",
    "DEFINE": "it is for .ksql files; other ones have `variables`",
    "UNDEFINE": "it is for .ksql files",
    "INSERT": "neither VALUES nor SELECT follows",
    "RUN": "write the statements of that script into a file of the plan",
}


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement as it is sent: variables replaced, without comments, with its semicolon.

    OR REPLACE and IF NOT EXISTS are left out: the runner compares what is there by itself, and adds the former where it alters
    or replaces.

    `origin` is its place in a file, for messages. `any_partitions`: it names the partitions of its topic by the variable
    `partitions`, so that another number is no change. `replaces` is the id of an earlier statement of the plan, whose stream or
    table this one replaces: it says OR REPLACE. `properties` are sent with it, as `streamsProperties`.
    """

    id: str
    text: str
    hash: str
    info: StatementInfo
    origin: str
    any_partitions: bool = False
    replaces: str = ""
    properties: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The name of what it creates, as the server shows it; for an INSERT the id of its query.

        A statement that creates nothing has a name that says what it does.
        """
        if self.info.kind.once:
            return _label(self.info)
        return self.info.query_id if self.info.kind is Kind.insert_select else self.info.name


@dataclass(frozen=True, slots=True)
class Read:
    """A statement of a file that only reads, and so is left out of the plan: its line, and its first words."""

    file: str
    line: int
    text: str


@dataclass(frozen=True)
class Plan:
    """Statements in the order of their application. `properties` are those of all of them; one may have further ones.

    `reads` are what its files hold besides: no statement, hash or entry of the history comes of these.
    """

    name: str
    statements: tuple[Statement, ...]
    properties: Mapping[str, str] = field(default_factory=dict)
    reads: tuple[Read, ...] = ()

    @property
    def connectors(self) -> bool:
        """Whether it creates or drops connectors."""
        return any(statement.info.what == "CONNECTOR" for statement in self.statements)


@dataclass(frozen=True)
class KsqlText:
    """KSQL from a file, with one or more statements.

    A statement's id is `<group>/<name>`; `id` replaces it, for a text with a single statement. `destructive`: the file says
    that it takes something away. `properties` and `variables` are those of its SETs and DEFINEs. `in_lines`: `origin` is a
    file, and its lines are those of the text.
    """

    ksql: str
    origin: str
    group: str
    id: str = ""
    destructive: bool = False
    properties: Mapping[str, str] = field(default_factory=dict)
    variables: Mapping[str, str] = field(default_factory=dict)
    in_lines: bool = False


def build_plan(
    name: str,
    texts: Sequence[KsqlText],
    variables: Mapping[str, str],
    properties: Mapping[str, str],
    given: Mapping[str, str] = MappingProxyType({}),
) -> Plan:
    """Split the texts into statements and give them ids.

    `given` are variables that take precedence over those of a text, which take precedence over `variables`. Raises `PlanError`
    with the file and the position.
    """
    statements: list[Statement] = []
    settings: list[Mapping[str, str]] = []  # of the texts with statements
    reads: list[Read] = []
    replacing: set[str] = set()  # ids of statements that say OR REPLACE
    used: Counter[tuple[str, str]] = Counter()
    for text in texts:
        values = {**variables, **text.variables, **given}
        try:
            split = split_tokens(substitute(text.ksql, values))
            hashed = _split_with(text.ksql, values, IN_HASHES) or split
            named = _split_with(text.ksql, values, IN_IDS) or split
        except KsqlError as error:
            raise PlanError(f"{text.origin}: {error}") from None
        if not split:
            raise PlanError(f"{text.origin}: holds no statement")
        if text.id and len(split) > 1:
            raise PlanError(f"{text.origin}: {len(split)} statements under the one id {text.id}; give each its own entry")
        for number, tokens in enumerate(split):
            if text.in_lines and _only_reads(tokens, text.origin):
                reads.append(Read(text.origin, tokens[0].line, first_words(clean(tokens), 60)))
                continue
            settings.append(text.properties)
            origin = f"{text.origin}, line {tokens[0].line}" if text.in_lines or len(split) > 1 else text.origin
            sent = plain_create(tokens)
            others = (sent if part is split else plain_create(part[number]) for part in (hashed, named))
            made = _statement(_Tokens(sent, *others), text, origin, used)
            statements.append(replace(made, properties={**properties, **text.properties}))
            if says_or_replace(tokens):
                replacing.add(statements[-1].id)
    common = settings[0] if settings and all(one == settings[0] for one in settings) else {}
    return Plan(name, tuple(_linked(statements, replacing)), {**properties, **common}, tuple(reads))


def _only_reads(tokens: list[Token], origin: str) -> bool:
    """Whether a statement only reads. Raises `PlanError` if it begins so and is written wrongly."""
    told = [token for token in tokens if token.kind not in GAPS]
    if not is_read(told):
        return False
    try:
        describe(told)
    except KsqlError as error:
        raise PlanError(f"{origin}: {error}") from None
    return True


@dataclass(frozen=True)
class _Tokens:
    """The tokens of one statement: as it is sent, as it is hashed, and as it gives its id."""

    sent: list[Token]
    hashed: list[Token]
    named: list[Token]


def made_query_id(group: str, target: str) -> str:
    """The QUERY_ID of an INSERT that has none; further ones of the same file and target have a number after it."""
    return re.sub(r"[^A-Z0-9_]", "_", f"{group}_INTO_{target}".upper())


def _with_query_id(tokens: _Tokens, source: KsqlText, target: str, used: Counter[tuple[str, str]]) -> _Tokens:
    """The INSERT with a QUERY_ID of its file and its target: the server's own id would not tell whose query it is.

    Raises `PlanError` if it has a WITH clause, which then lacks the QUERY_ID.
    """
    base = made_query_id(source.group, target)
    number = used[f"{source.group} INSERT", base] = used[f"{source.group} INSERT", base] + 1
    query_id = base if number == 1 else f"{base}_{number}"
    told = [token for token in tokens.sent if token.kind not in GAPS]
    if told[3].text.upper() == "WITH":
        raise PlanError(f"{source.origin}: line {told[3].line}: the WITH of an INSERT is for QUERY_ID='...', which is missing")

    def given(part: list[Token]) -> list[Token]:
        third = [number for number, token in enumerate(part) if token.kind not in GAPS][2]
        added = list(lex(f" WITH (QUERY_ID='{query_id}')"))
        place = part[third]
        return [*part[: third + 1], *(one._replace(line=place.line, column=place.column) for one in added), *part[third + 1 :]]

    return _Tokens(given(tokens.sent), given(tokens.hashed), given(tokens.named))


def _split_with(ksql: str, variables: Mapping[str, str], fixed: Mapping[str, str]) -> list[list[Token]]:
    """The statements with fixed values of some variables; empty if the text has none of these."""
    values = {name: value for name, value in fixed.items() if name in variables and f"${{{name}}}" in ksql}
    return split_tokens(substitute(ksql, {**variables, **values})) if values else []


def _statement(tokens: _Tokens, source: KsqlText, origin: str, used: Counter[tuple[str, str]]) -> Statement:
    text = clean(tokens.sent)
    try:
        info = describe(tokens.sent)
        named = info if tokens.named is tokens.sent else describe(tokens.named)
    except KsqlError as error:
        raise PlanError(f"{source.origin}: {error}") from None
    if info.kind is Kind.insert_select and not info.query_id:
        return _statement(_with_query_id(tokens, source, named.name, used), source, origin, used)
    _check_allowed(info, source, f"{origin}: {first_words(text, 80)}")
    name = named.query_id or _label(named)
    number = used[source.group, name] = used[source.group, name] + 1
    if reserved := set(source.id) & set("<>|"):
        raise PlanError(f"{source.origin}: id: {source.id} must not hold {' '.join(sorted(reserved))}")
    statement_id = source.id or f"{source.group}/{name}" + (f"#{number}" if number > 1 else "")
    any_partitions = any(token.text == IN_HASHES["partitions"] for token in tokens.hashed)
    return Statement(statement_id, text, statement_hash(tokens.hashed), info, origin, any_partitions)


def _label(info: StatementInfo) -> str:
    """What a statement does, as a part of its id. What it creates has its own name."""
    label = _LABELS.get(info.kind, "")
    return f"{label}_{info.name}" if label else info.name


def _check_allowed(info: StatementInfo, source: KsqlText, shown: str) -> None:
    if info.kind is Kind.read:
        raise PlanError(f"{shown}: it only reads, and leaves nothing on the server: take it out of the plan")
    if info.kind is Kind.other:
        first = info.words.split(" ", maxsplit=1)[0]
        why = FORBIDDEN.get(
            first, "a plan holds CREATE and DROP of STREAM, TABLE, TYPE and CONNECTOR, INSERT INTO, ASSERT and TERMINATE"
        )
        raise PlanError(f"{shown}: {why}")
    if info.kind.destructive and not source.destructive:
        raise PlanError(
            f"{shown}: it takes something away: write the line `-- destructive: yes` into the file; it is executed only with "
            "`apply --allow-destructive`"
        )


def _linked(statements: list[Statement], replacing: set[str]) -> Iterable[Statement]:
    """The statements, each with what it replaces.

    Raises `PlanError` for an id that two statements have, and for a name that two of them make. A name may be made again after
    it was dropped, and by a statement that says OR REPLACE; `replacing` are the ids of these.
    """
    by_id: dict[str, Statement] = {}
    by_name: dict[tuple[str, str], Statement] = {}  # on the server, types, queries, connectors and sources have separate names
    for statement in statements:
        first = by_id.setdefault(statement.id, statement)
        if first is not statement:
            raise PlanError(f"{statement.origin}: the id {statement.id} is that of {first.origin} too")
        if statement.info.kind.destructive:
            by_name.pop(place_of(statement), None)
        before = None if statement.info.kind.once else by_name.get(place_of(statement))
        if before is not None and not (statement.info.kind.source and statement.id in replacing):
            more = ", or write CREATE OR REPLACE" if statement.info.kind.source else ""
            raise PlanError(
                f"{statement.origin}: {statement.name} is made by {before.origin} already: change that statement instead{more}"
            )
        if before is not None and before.info.what != statement.info.what:
            raise PlanError(f"{statement.origin}: {statement.name} is a {before.info.what} by {before.origin}, and stays one")
        if not statement.info.kind.once:
            by_name[place_of(statement)] = statement
        yield statement if before is None else replace(statement, replaces=before.id)


def place_of(statement: Statement) -> tuple[str, str]:
    """The kind and name of what a statement creates, or takes away: streams and tables share their names."""
    info = statement.info
    return place(info.what, statement.name if info.kind is Kind.insert_select else info.name)


def place(what: str, name: str) -> tuple[str, str]:
    """The same for a name on the server; `what` is STREAM, TABLE, TYPE, CONNECTOR or QUERY."""
    return "SOURCE" if what in {"STREAM", "TABLE"} else what, name
