"""Mistakes that would make a statement another one than it looks: a missing semicolon, comma or quote. Pure.

The server checks the whole grammar. `plan` and `validate` ask no server, and what is wrong here would give them a wrong name or
wrong options.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import pairwise

from migrations.ksql.errors import LexError
from migrations.ksql.parse.lexer import Lexeme, Token

# words of the grammar that stand nowhere else, and are no names without backquotes
_BEGINNINGS = {"CREATE", "INSERT", "DROP", "TERMINATE", "DESCRIBE", "LIST", "PAUSE", "PRINT", "RESUME", "RUN", "UNSET"}
_NAMES = (Lexeme.word, Lexeme.quoted)
_CONSTANTS = {"TRUE", "FALSE", "NULL"}


def check_one(tokens: Sequence[Token]) -> None:
    """Raises `LexError` if the tokens hold two statements, which is one without its semicolon and the next one."""
    begin = 0
    while begin < len(tokens) and tokens[begin].text.upper() == "EXPLAIN":
        begin += 1
    first = tokens[begin].text.upper() if begin < len(tokens) else ""
    for before, token in pairwise(tokens[begin:]):
        word = token.text.upper() if token.kind is Lexeme.word else ""
        if word in _BEGINNINGS or (word == "SELECT" and first == "CREATE" and before.text.upper() not in {"AS", "("}):
            why = f"{token.text} begins a statement: the one before it, from line {tokens[0].line}, lacks its ;"
            raise LexError(why, token.line, token.column)


def check_name(tokens: Sequence[Token], at: int, follows: Collection[str]) -> None:
    """Raises `LexError` if another token than one of these follows the name: it may belong to the name."""
    if at + 1 >= len(tokens) or tokens[at + 1].text.upper() in follows:
        return
    name, token = tokens[at], tokens[at + 1]
    wanted = " or ".join(follows)
    why = f"{token.text} follows the name {name.text}, where {wanted} must be; a name like a-b is written in backquotes"
    raise LexError(why, token.line, token.column)


def check_beginning(tokens: Sequence[Token], at: int, *, replace: bool, source: bool, sink: bool) -> None:
    """Raises `LexError` for OR REPLACE or SOURCE before a kind, which is at the position, that the grammar has without it."""
    kind, what = tokens[at], tokens[at].text.upper()
    if replace and what in {"TYPE", "CONNECTOR"}:
        _fail(tokens[1], f"{kind.text} has no OR REPLACE: drop it in a destructive file before, or take another name")
    if source and what == "TYPE":
        _fail(kind, "a type has no SOURCE")
    if what == "CONNECTOR" and not source and not sink:
        _fail(kind, "a connector is a SOURCE or a SINK: CREATE SOURCE CONNECTOR ..")


def begin_of_query(tokens: Sequence[Token], words: Sequence[str], at: int, *, creates: bool) -> int:
    """The position of SELECT. Raises `LexError` if more than WITH, and AS of a CREATE, is between the name at `at` and it."""
    begin = words.index("SELECT", at)
    between = list(words[at + 1 : begin])
    if between[:2] == ["WITH", "("]:
        between = between[between.index(")") + 1 :]
    if between != (["AS"] if creates else []):
        _fail(
            tokens[begin - len(between)], f"between {tokens[at].text} and SELECT only WITH{' and AS' if creates else ''} can be"
        )
    return begin


def check_options(tokens: Sequence[Token], begin: int) -> None:
    """Raises `LexError` if a WITH, whose parenthesis is at `begin`, is no list of `name = value`.

    The message shows no value: those of a connector may be secrets.
    """
    at = begin
    while at == begin or tokens[at].text == ",":
        named = _at(tokens, at + 1)
        if named.kind not in (*_NAMES, Lexeme.string):
            _fail(named, f"{named.text} stands where the name of an option must be")
        if _at(tokens, at + 2).text != "=":
            _fail(tokens[at + 2], f"= must follow {named.text}")
        at += 4 if _at(tokens, at + 3).text == "-" else 3
        value = _at(tokens, at)
        if value.kind not in (Lexeme.string, Lexeme.number) and value.text.upper() not in _CONSTANTS:
            _fail(value, f"the value of {named.text} must be text in single quotes, a number, true or false")
        at += 1
        if _at(tokens, at).text not in {",", ")"}:
            _fail(tokens[at], f"a comma or ) must follow the value of {named.text}")


def _at(tokens: Sequence[Token], number: int) -> Token:
    """The token at a position. Raises `LexError` after the last one."""
    if number >= len(tokens):
        raise LexError("a WITH without its )", tokens[-1].line, tokens[-1].column)
    return tokens[number]


def _fail(token: Token, why: str) -> None:
    raise LexError(why, token.line, token.column)
