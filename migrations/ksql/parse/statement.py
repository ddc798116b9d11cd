"""What a statement does and to what: as much of the grammar as a plan needs."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from enum import StrEnum

from migrations.ksql.errors import LexError
from migrations.ksql.names import RESERVED
from migrations.ksql.parse.forms import check_assert, check_columns, check_connector, check_drop, check_type, check_values
from migrations.ksql.parse.lexer import GAPS, Lexeme, Token, lex, word_of
from migrations.ksql.parse.query import check_query
from migrations.ksql.parse.reads import check_read, is_read
from migrations.ksql.parse.shape import begin_of_query, check_beginning, check_name, check_one, check_options

_SOURCES = ("STREAM", "TABLE")
_AFTER_NAME = {  # what may follow the name of what is created or written to
    "STREAM": ("(", "WITH", "AS", ";"),
    "TABLE": ("(", "WITH", "AS", ";"),
    "TYPE": ("AS",),
    "CONNECTOR": ("WITH",),
    "QUERY": ("(", "WITH", "SELECT"),
}


class Kind(StrEnum):
    """What a statement does."""

    create_stream = "create stream"
    create_table = "create table"
    create_stream_as = "create stream as select"
    create_table_as = "create table as select"
    insert_select = "insert into select"
    create_type = "create type"
    create_connector = "create connector"
    insert_values = "insert values"
    check = "assert"
    drop = "drop"
    terminate = "terminate"
    read = "read"
    other = "other"

    @property
    def source(self) -> bool:
        """Whether it creates a stream or table."""
        return self.name.startswith(("create_stream", "create_table"))

    @property
    def query(self) -> bool:
        """Whether it starts a persistent query."""
        return self in _QUERIES

    @property
    def once(self) -> bool:
        """Whether it is executed once, and leaves nothing of its own that could be compared later."""
        return self in (Kind.insert_values, Kind.check) or self.destructive

    @property
    def destructive(self) -> bool:
        """Whether it takes something away."""
        return self in (Kind.drop, Kind.terminate)


_QUERIES = (Kind.create_stream_as, Kind.create_table_as, Kind.insert_select)


@dataclass(frozen=True, slots=True)
class StatementInfo:
    """A statement's kind, names and options.

    `name` is that of the object it creates or writes to, as the server shows it. `words` are its first words, in upper case.
    `sources` are the streams and tables that its query reads. `what` is STREAM, TABLE, TYPE or CONNECTOR, and QUERY for
    TERMINATE and for an INSERT that starts a query.
    """

    kind: Kind
    name: str
    words: str
    windowed: bool = False
    replace: bool = False
    if_not_exists: bool = False
    query_id: str = ""
    topic: str = ""
    sources: tuple[str, ...] = ()
    what: str = ""


def describe_executed(text: str) -> StatementInfo:
    """As `describe`, of a text that was executed once, perhaps by an earlier version, which knew less of the grammar.

    It is never refused. Where not even its name can be told, it is one of another kind.
    """
    try:
        tokens = _without_gaps(lex(text))
        return _described(tokens, [word_of(token) for token in tokens])
    except LexError:
        return StatementInfo(Kind.other, "", "")


def describe(statement: str | Iterable[Token]) -> StatementInfo:
    """Parse one statement. Raises `LexError` if it begins like a known statement and goes on with something else."""
    tokens = _without_gaps(lex(statement) if isinstance(statement, str) else statement)
    words = [word_of(token) for token in tokens]
    check_one(tokens)
    info = _described(tokens, words)
    _check_form(tokens, words, info)
    return info


def _without_gaps(tokens: Iterable[Token]) -> list[Token]:
    return [token for token in tokens if token.kind not in GAPS and token.text != ";"]


def _described(tokens: list[Token], words: list[str]) -> StatementInfo:
    """What its beginning and its options tell."""
    beginning = " ".join(words[:3])
    if is_read(tokens):
        return StatementInfo(Kind.read, "", beginning)
    if words[:2] == ["INSERT", "INTO"] and "SELECT" in words:
        return _info(Kind.insert_select, tokens, words, 2)
    if words[:1] != ["CREATE"]:
        return _once(tokens, words)
    at, replace = (3, True) if words[1:3] == ["OR", "REPLACE"] else (1, False)
    source = words[at : at + 1] == ["SOURCE"]
    at += source or words[at : at + 2] == ["SINK", "CONNECTOR"]
    what = words[at] if at < len(words) else ""
    if what not in {"STREAM", "TABLE", "TYPE", "CONNECTOR"}:
        return StatementInfo(Kind.other, "", beginning)
    at += 1
    if_not_exists = words[at : at + 3] == ["IF", "NOT", "EXISTS"]
    at += 3 * if_not_exists
    selects = what in _SOURCES and not source and _selects(words, at)  # what is over a SOURCE's topic, no query writes
    kind = Kind(f"create {what.lower()}{' as select' if selects else ''}")
    return _info(kind, tokens, words, at, replace=replace, if_not_exists=if_not_exists)


def _check_form(tokens: list[Token], words: list[str], info: StatementInfo) -> None:
    """Raises `LexError` unless the statement has the form of its kind to its end."""
    kind = info.kind
    if kind is Kind.read:
        _check_read(tokens)
    elif kind is Kind.insert_values:
        check_values(tokens, 3)
    elif kind is Kind.check:
        check_assert(tokens)
    elif kind is Kind.drop:
        check_drop(tokens, _place_of_dropped(words) + 1)
    elif kind is not Kind.terminate and kind is not Kind.other:
        _check_made(tokens, words, info)


def _check_made(tokens: list[Token], words: list[str], info: StatementInfo) -> None:
    """Raises `LexError` unless a CREATE, or an INSERT with a query, has its form to its end."""
    at = len(info.words.split())
    if info.kind is not Kind.insert_select:
        what = words.index(info.what)
        check_beginning(tokens, what, replace=info.replace, source=words[what - 1] == "SOURCE", sink=words[what - 1] == "SINK")
    if info.kind.query:
        check_query(tokens[begin_of_query(tokens, words, at, creates=info.kind is not Kind.insert_select) :])
    else:
        {"TYPE": check_type, "CONNECTOR": check_connector}.get(info.what, check_columns)(tokens, at + 1)


def _check_read(tokens: list[Token]) -> None:
    """As `check_read`; and an EXPLAIN may be that of another read, or of a statement that runs a query."""
    explained = tokens[1:] if word_of(tokens[0]) == "EXPLAIN" and len(tokens) > 2 else []  # noqa: PLR2004  # EXPLAIN and an id
    if not explained or describe(explained).kind not in (Kind.read, *_QUERIES):
        check_read(tokens)


def _once(tokens: list[Token], words: list[str]) -> StatementInfo:
    """A statement that creates nothing."""
    beginning = " ".join(words[:3])
    if words[:2] == ["INSERT", "INTO"] and "VALUES" in words:
        return StatementInfo(Kind.insert_values, _named(tokens, 2, ("(", "VALUES")), beginning)
    if words[:1] == ["ASSERT"]:
        told = [token.text.strip("'`\"") for token in tokens[3 if words[1:2] == ["NOT"] else 1 :]]
        asserted = told[2:3] if [word.upper() for word in told[:1]] == ["SCHEMA"] else told[1:2]  # after SUBJECT or ID
        return StatementInfo(Kind.check, "".join(asserted), beginning)
    if words[:1] == ["DROP"] and words[1:2] and words[1] in {*_SOURCES, "TYPE", "CONNECTOR"}:
        follows = ("DELETE", ";") if words[1] in _SOURCES else (";",)
        return StatementInfo(Kind.drop, _named(tokens, _place_of_dropped(words), follows), " ".join(words[:2]), what=words[1])
    if words[:1] == ["TERMINATE"] and words[1:] != ["ALL"]:
        return StatementInfo(Kind.terminate, _named(tokens, 1, (";",)).upper(), beginning, what="QUERY")
    return StatementInfo(Kind.other, "", beginning)


def _place_of_dropped(words: list[str]) -> int:
    return 4 if words[2:4] == ["IF", "EXISTS"] else 2


def _named(tokens: list[Token], at: int, follows: Collection[str]) -> str:
    """The name at a position, after which one of `follows` must stand. Raises `LexError`."""
    if at >= len(tokens):
        last = tokens[-1]
        raise LexError(f"no name follows {last.text}", last.line, last.column)
    name, token = identifier(tokens[at]), tokens[at]
    if token.kind is Lexeme.word and name in RESERVED:
        raise LexError(f"{token.text} is a reserved word: take another name, or put it in backquotes", token.line, token.column)
    check_name(tokens, at, follows)
    return name


def identifier(token: Token) -> str:
    """A name as the server shows it: upper case unless it is quoted. Raises `LexError` if the token is no identifier."""
    if token.kind is Lexeme.word:
        return token.text.upper()
    if token.kind is Lexeme.quoted:
        mark = token.text[0]
        return token.text[1:-1].replace(mark * 2, mark)
    raise LexError(f"{token.text} stands where a name must be", token.line, token.column)


def _info(
    kind: Kind, tokens: list[Token], words: list[str], at: int, *, replace: bool = False, if_not_exists: bool = False
) -> StatementInfo:
    what = next((one for one in ("STREAM", "TABLE", "TYPE", "CONNECTOR") if one in words[:at]), "QUERY")
    name = _named(tokens, at, _AFTER_NAME[what])
    options = _options(tokens, words)
    return StatementInfo(
        kind,
        name,
        " ".join(words[:at]),
        windowed=kind.query and _windowed(tokens, words),
        replace=replace,
        if_not_exists=if_not_exists,
        query_id=options.get("QUERY_ID", "").upper(),  # the server upper-cases it too
        topic=options.get("KAFKA_TOPIC", ""),
        sources=tuple(_sources(tokens, words)) if kind.query else (),
        what=what,
    )


def _selects(words: list[str], at: int) -> bool:
    """Whether `AS SELECT` stands outside of all parentheses."""
    depth = 0
    for number in range(at, len(words) - 1):
        depth += (words[number] == "(") - (words[number] == ")")
        if not depth and words[number : number + 2] == ["AS", "SELECT"]:
            return True
    return False


def _windowed(tokens: list[Token], words: list[str]) -> bool:
    """Whether it has a WINDOW, which may have a name."""
    kinds = {"TUMBLING", "HOPPING", "SESSION"}
    found = (number for number, word in enumerate(words) if word == "WINDOW" and tokens[number].kind is Lexeme.word)
    return any(not kinds.isdisjoint(words[number + 1 : number + 3]) for number in found)


def _options(tokens: list[Token], words: list[str]) -> dict[str, str]:
    """The string options of the first `WITH (...)`."""
    at = next((n for n in range(len(words) - 1) if words[n : n + 2] == ["WITH", "("]), None)
    options: dict[str, str] = {}
    if at is not None:
        check_options(tokens, at + 1)
    while at is not None and at + 2 < len(tokens) and words[at] != ")":
        if words[at + 1] == "=" and tokens[at + 2].kind is Lexeme.string:
            options[words[at].strip("`\"'").upper()] = tokens[at + 2].text[1:-1].replace("''", "'")
        at += 1
    return options


def _sources(tokens: list[Token], words: list[str]) -> list[str]:
    """The names after FROM and JOIN."""
    names = []
    for number, word in enumerate(words[:-1]):
        named = tokens[number + 1].kind in (Lexeme.word, Lexeme.quoted)
        if word in {"FROM", "JOIN"} and tokens[number].kind is Lexeme.word and named:
            names.append(identifier(tokens[number + 1]))
    return list(dict.fromkeys(names))
