"""Names after a swap, and statements that use them. Pure.

A swap builds what cannot be altered under its next name: BAR_1M becomes BAR_1M_V2. The plan keeps the old name. The history
knows the new one, and each statement is sent with it.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace

from migrations.ksql.parse.lexer import Lexeme, Token, tokenize
from migrations.ksql.parse.statement import Kind, describe, describe_executed, identifier
from migrations.plan.drops import dropped_later
from migrations.plan.entry import NEW, OLD, Entry, History, Status
from migrations.plan.model import Plan, Statement
from migrations.plan.order import ordered
from migrations.plan.replaced import replaced_later

_VERSION = re.compile(r"^(?P<name>.*?)(?P<mark>[._-]?[vV])(?P<number>[0-9]+)$")
_BEFORE_NAME = {"STREAM", "TABLE", "INTO", "FROM", "JOIN", "EXISTS"}


@dataclass(frozen=True)
class Names:
    """New names by the plan's names; `queries` are the ids of INSERT queries."""

    sources: Mapping[str, str] = field(default_factory=dict)
    topics: Mapping[str, str] = field(default_factory=dict)
    queries: Mapping[str, str] = field(default_factory=dict)

    def __bool__(self) -> bool:
        """Whether anything has a new name."""
        return bool(self.sources or self.topics or self.queries)

    def __or__(self, other: Names) -> Names:
        """Both; `other` takes precedence."""
        return Names({**self.sources, **other.sources}, {**self.topics, **other.topics}, {**self.queries, **other.queries})


def next_version(name: str, first: str = "_V2") -> str:
    """`BAR_V1` becomes `BAR_V2`, and `bars.v9` becomes `bars.v10`. A name without a version gets `first`."""
    version = _VERSION.match(name)
    return f"{version['name']}{version['mark']}{int(version['number']) + 1}" if version else name + first


def current_names(plan: Plan, history: History) -> Names:
    """The names that the plan's objects have on the server, by the history."""
    names = Names({}, {}, {})
    for statement in plan.statements:
        entry = history.get(statement.id)
        if entry is not None and entry.name != statement.name and entry.status in (Status.applied, Status.sending):
            names |= _renamed(statement, entry.name, describe_executed(entry.text).topic)
    return names


def _renamed(statement: Statement, name: str, topic: str) -> Names:
    if statement.info.kind is Kind.insert_select:
        return Names(queries={statement.name: name})
    return Names({statement.name: name}, {statement.info.topic: topic} if topic and statement.info.topic else {})


def why_aside(entry: Entry, history: History) -> str:
    """Why something is no longer in its place."""
    successor = history.get(entry.id.partition(OLD)[0])
    if successor is None:
        return "put aside by a swap: `migrate retire` drops it"
    if _sorted_as(entry.name) > _sorted_as(successor.name):
        return f"rolled back: {successor.name} is in its place again; `migrate retire` drops it"
    return (
        f"swapped for {successor.name}, which readers must ask instead; then `migrate retire` drops it, and "
        "`migrate rollback` puts it back"
    )


def why_new(entry: Entry, history: History) -> str:
    """Why something is not yet in its place."""
    before = history.get(entry.id.partition(NEW)[0])
    place = f"of {before.name}" if before is not None else "that it is for"
    return f"built by a swap that was interrupted: `apply --force-new-name` finishes it and puts it in the place {place}"


def _sorted_as(name: str) -> tuple[int, str]:
    """Sorts BAR before BAR_V2, and BAR_V9 before BAR_V10."""
    return len(name), name


def affected(plan: Plan, changed: Iterable[str], executed: Collection[str] = (), names: Names = Names()) -> list[Statement]:
    """The changed statements, and all statements that read from them, directly or not; `changed` are ids.

    A source that is declared over a topic reads from the query that writes the topic. The target of an INSERT is not
    affected: the new query writes to it too. Nor is a statement whose object another one has replaced or dropped, of those
    whose ids are among `executed`. Each statement comes after what it reads, as a reader may stand before a CREATE OR REPLACE.
    """
    dropped = dropped_later(renamed(plan, names))
    gone = replaced_later(plan, executed).keys() | {made for made, drop in dropped.items() if drop.id in executed}
    found = set(changed)
    statements: list[Statement] = []
    left = [statement for statement in plan.statements if statement.id not in gone]
    while more := [one for one in left if one.id in found or any(_reads(one, other) for other in statements)]:
        statements += more
        found |= {one.id for one in more}
        left = [one for one in left if one.id not in found]
    places = {statement.id: number for number, statement in enumerate(plan.statements)}
    return ordered(sorted(statements, key=lambda one: places[one.id]), _reads)


def _reads(one: Statement, other: Statement) -> bool:
    """Whether a statement reads from what another one makes, or is declared over the topic that the other one writes."""
    info, made = one.info, other.info
    if made.kind is Kind.insert_select:
        return False
    return made.name in info.sources or (not info.kind.query and made.kind.query and info.topic == (made.topic or made.name))


def put_aside(history: History) -> set[str]:
    """Names and topics of what swaps and roll-backs have put aside, and `retire` has not dropped yet."""
    replaced = [entry for entry in history.values() if entry.status is Status.replaced]
    return {entry.name for entry in replaced} | {describe_executed(entry.text).topic for entry in replaced}


def next_names(statements: Iterable[Statement], now: Names, taken: Collection[str] = ()) -> Names:
    """The next names of what these statements create, and of the topics that they write; none of them is `taken`."""
    names = Names({}, {}, {})
    for statement in statements:
        info = statement.info
        if info.kind is Kind.insert_select:
            name = _next_free(now.queries.get(statement.name, statement.name), taken)
            names |= Names(queries={statement.name: name})
            continue
        name = _next_free(now.sources.get(info.name, info.name), taken)
        topic = now.topics.get(info.topic, info.topic)
        topics = {info.topic: _next_free(topic, taken, "_v2")} if info.kind.query and info.topic else {}
        names |= Names({info.name: name}, topics)
    return names


def _next_free(name: str, taken: Collection[str], first: str = "_V2") -> str:
    name = next_version(name, first)
    while name in taken:
        name = next_version(name, first)
    return name


def with_names(statement: Statement, names: Names) -> Statement:
    """The statement with other names. Its id and hash stay those of the plan."""
    if not names:
        return statement
    text = rewritten(statement.text, names)
    return replace(statement, text=text, info=describe(text)) if text != statement.text else statement


def renamed(plan: Plan, names: Names) -> Plan:
    """The plan with other names."""
    return replace(plan, statements=tuple(with_names(one, names) for one in plan.statements)) if names else plan


def rewritten(text: str, names: Names) -> str:
    """The text with other names of sources, topics and queries. Columns keep their names."""
    tokens = tokenize(text)
    parts: list[str] = []
    at = 0
    for number, token in enumerate(tokens):
        replacement = _replacement(tokens, number, names)
        if replacement is not None:
            parts += [text[at : token.start], replacement]
            at = token.start + len(token.text)
    return "".join([*parts, text[at:]])


def _replacement(tokens: list[Token], number: int, names: Names) -> str | None:
    token = tokens[number]
    before = tokens[number - 1].text.upper() if number else ""
    after = tokens[number + 1].text if number + 1 < len(tokens) else ""
    if token.kind is Lexeme.string and before == "=":
        option = tokens[number - 2].text.upper()
        value = token.text[1:-1].replace("''", "'")
        value = value.upper() if option == "QUERY_ID" else value  # the server upper-cases it too
        known = {"KAFKA_TOPIC": names.topics, "QUERY_ID": names.queries}.get(option, {})
        return "'" + known[value].replace("'", "''") + "'" if value in known else None
    if number == 1 and before == "TERMINATE":
        return names.queries.get(identifier(token).upper())
    if token.kind not in (Lexeme.word, Lexeme.quoted) or (before not in _BEFORE_NAME and after not in (".", "->")):
        return None
    if before == ".":
        return None
    name = identifier(token)
    if name not in names.sources:
        return None
    new = names.sources[name]
    return f"`{new}`" if token.kind is Lexeme.quoted or new != new.upper() else new
