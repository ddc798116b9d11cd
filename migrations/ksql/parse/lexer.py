"""The tokens of ksqlDB's grammar (SqlBase.g4 of the 0.29 line), with their positions.

The grammar has surprises. White space is only space, tab, CR and LF. A `--` comment consumes one character after the dashes
whatever it is, so a line of two dashes swallows the next line. `/* */` does not nest. A backslash escapes nothing.

One thing is of ksqlDB's command line and not of the grammar: a backslash at the end of a line, which is white space. No
statement is sent with it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import StrEnum
from typing import NamedTuple

from migrations.ksql.errors import LexError


class Lexeme(StrEnum):
    """The kind of a token."""

    word = "word"
    quoted = "quoted"  # an identifier in backquotes or double quotes
    string = "string"
    number = "number"
    symbol = "symbol"
    variable = "variable"
    comment = "comment"
    space = "space"


GAPS = frozenset({Lexeme.space, Lexeme.comment})  # tokens without a meaning


class Token(NamedTuple):
    """A piece of text. `start` is its index; `line` and `column` count from 1."""

    kind: Lexeme
    text: str
    start: int
    line: int
    column: int


_PATTERN = re.compile(
    r"""(?P<space>(?:[ \t\r\n]|\\(?=[ \t]*\r?\n))+)
      | (?P<comment>--.[^\r\n]*|/\*.*?\*/)
      | (?P<variable>\$\{[A-Za-z_][A-Za-z0-9_@:]*\})
      | (?P<string>'(?:[^']|'')*')
      | (?P<quoted>`(?:[^`]|``)*`|"(?:[^"]|"")*")
      | (?P<number>(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?(?![A-Za-z0-9_@]))
      | (?P<word>[A-Za-z0-9_][A-Za-z0-9_@]*)
      | (?P<symbol>->|:=|=>|\|\||<>|!=|<=|>=|-(?!-)|/(?!\*)|[;(),.=<>+*%\[\]:?])""",
    re.VERBOSE | re.DOTALL,
)
_UNFINISHED = {"'": "a string without its end", "`": "an identifier without its end", '"': "an identifier without its end"}
_INSTEAD = {"\u201c": "'", "\u201d": "'", "\u2018": "'", "\u2019": "'", "\u2013": "-", "\u00a0": "a space", "\ufeff": "nothing"}


def lex(text: str) -> Iterator[Token]:
    """All tokens, including white space and comments; their joined texts are the input. Raises `LexError`."""
    at, line, begin = 0, 1, 0
    while at < len(text):
        match = _PATTERN.match(text, at)
        if match is None:
            raise LexError(_problem(text, at), line, at - begin + 1)
        piece = match.group()
        yield Token(Lexeme(match.lastgroup or ""), piece, at, line, at - begin + 1)
        if "\n" in piece:
            line += piece.count("\n")
            begin = at + piece.rindex("\n") + 1
        at = match.end()


def tokenize(text: str) -> list[Token]:
    """The tokens without white space and comments. Raises `LexError`."""
    return [token for token in lex(text) if token.kind not in GAPS]


def word_of(token: Token) -> str:
    """A word in upper case; another token as it is."""
    return token.text.upper() if token.kind is Lexeme.word else token.text


def is_one(text: str, kind: Lexeme) -> bool:
    """Whether the whole text is one token of this kind."""
    match = _PATTERN.fullmatch(text)
    return match is not None and match.lastgroup == kind


def _problem(text: str, at: int) -> str:
    if text.startswith("/*", at):
        return "a comment without its end"
    if text.startswith("--", at):
        return "a comment must not be the last two characters"
    if text.startswith("${", at):
        return "a variable is written ${NAME}"
    character = text[at]
    if character in _UNFINISHED:
        return _UNFINISHED[character]
    way_out = f"write {_INSTEAD[character]} instead" if character in _INSTEAD else "only strings and quoted names may hold it"
    return f"U+{ord(character):04X} ({character!r}) cannot stand here: {way_out}"
