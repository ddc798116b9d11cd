"""The next name of what cannot be altered, and statements with the names that things really have. Pure.

A plan goes on saying BAR_1M when the server has BAR_1M_V2 in its place: the history knows the name, every text is sent with it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from migrations.ksql.parse.lexer import Lexeme, Token, tokenize
from migrations.ksql.parse.statement import Kind, describe, identifier
from migrations.plan.model import Plan, Statement
from migrations.run.history import History, Status

_VERSION = re.compile(r"^(?P<name>.*?)(?P<mark>[._-]?[vV])(?P<number>[0-9]+)$")
_BEFORE_NAME = {"STREAM", "TABLE", "INTO", "FROM", "JOIN", "EXISTS"}


@dataclass(frozen=True)
class Names:
    """What the plan's names are called now; `queries` are the ids of INSERT queries."""

    sources: Mapping[str, str] = field(default_factory=dict)
    topics: Mapping[str, str] = field(default_factory=dict)
    queries: Mapping[str, str] = field(default_factory=dict)

    def __bool__(self) -> bool:
        """Whether anything is called otherwise."""
        return bool(self.sources or self.topics or self.queries)

    def __or__(self, other: Names) -> Names:
        """With those of `other` above ours."""
        return Names({**self.sources, **other.sources}, {**self.topics, **other.topics}, {**self.queries, **other.queries})


def next_version(name: str, lone: str = "_V2") -> str:
    """`BAR_V1` becomes `BAR_V2`, `bars.v9` `bars.v10`; one without a version gets `lone`."""
    found = _VERSION.match(name)
    return f"{found['name']}{found['mark']}{int(found['number']) + 1}" if found else name + lone


def names_now(plan: Plan, history: History) -> Names:
    """How the plan's things are called on the server, by what was applied last."""
    names = Names({}, {}, {})
    for statement in plan.statements:
        entry = history.get(statement.id)
        if entry is not None and entry.name != statement.name and entry.status in (Status.applied, Status.sending):
            names |= _renamed(statement, entry.name, describe(entry.text).topic)
    return names


def _renamed(statement: Statement, name: str, topic: str) -> Names:
    if statement.about.kind is Kind.insert_select:
        return Names(queries={statement.name: name})
    return Names({statement.name: name}, {statement.about.topic: topic} if topic and statement.about.topic else {})


def affected(plan: Plan, changed: Iterable[str]) -> list[Statement]:
    """The statements that must be built anew with those of the ids `changed`: whatever reads from them, on and on.

    A source that is declared over a topic reads from what writes to it. A target of an INSERT is not affected: the new writer
    goes on with it.
    """
    ids, sources, topics = set(changed), set[str](), set[str]()
    found = []
    for statement in plan.statements:
        about = statement.about
        reads = bool(sources & set(about.sources)) or (not about.kind.query and about.topic in topics)
        if statement.id in ids or reads:
            found.append(statement)
            if about.kind is not Kind.insert_select:
                sources.add(about.name)
                topics |= {about.topic or about.name} if about.kind.query else set()
    return found


def next_names(statements: Iterable[Statement], now: Names) -> Names:
    """A name after the one it has now for each of these, and for the topics that they make."""
    names = Names({}, {}, {})
    for statement in statements:
        about = statement.about
        if about.kind is Kind.insert_select:
            names |= Names(queries={statement.name: next_version(now.queries.get(statement.name, statement.name))})
            continue
        name = next_version(now.sources.get(about.name, about.name))
        made = (
            {about.topic: next_version(now.topics.get(about.topic, about.topic), "_v2")}
            if about.kind.query and about.topic
            else {}
        )
        names |= Names({about.name: name}, made)
    return names


def placed(statement: Statement, names: Names) -> Statement:
    """The statement as it is sent; its id and its hash stay those of the plan."""
    if not names:
        return statement
    text = rewritten(statement.text, names)
    return replace(statement, text=text, about=describe(text)) if text != statement.text else statement


def rewritten(text: str, names: Names) -> str:
    """The text with other names of sources, topics and queries; columns are left alone."""
    tokens = tokenize(text)
    parts: list[str] = []
    at = 0
    for number, token in enumerate(tokens):
        other = _other(tokens, number, names)
        if other is not None:
            parts += [text[at : token.start], other]
            at = token.start + len(token.text)
    return "".join([*parts, text[at:]])


def _other(tokens: list[Token], number: int, names: Names) -> str | None:
    token = tokens[number]
    before = tokens[number - 1].text.upper() if number else ""
    after = tokens[number + 1].text if number + 1 < len(tokens) else ""
    if token.kind is Lexeme.string and before == "=":
        option = tokens[number - 2].text.upper()
        value = token.text[1:-1].replace("''", "'")
        value = value.upper() if option == "QUERY_ID" else value  # as the server does
        known = {"KAFKA_TOPIC": names.topics, "QUERY_ID": names.queries}.get(option, {})
        return "'" + known[value].replace("'", "''") + "'" if value in known else None
    if token.kind not in (Lexeme.word, Lexeme.quoted) or (before not in _BEFORE_NAME and after not in (".", "->")):
        return None
    if before == ".":
        return None
    name = identifier(token)
    if name not in names.sources:
        return None
    fresh = names.sources[name]
    return f"`{fresh}`" if token.kind is Lexeme.quoted or fresh != fresh.upper() else fresh
