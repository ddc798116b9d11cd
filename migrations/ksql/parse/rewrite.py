"""Statements with some words more or less, such as OR REPLACE. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

from migrations.ksql.parse.lexer import GAPS, Lexeme, Token, lex, tokenize, word_of


def without_delete_topic(text: str) -> str:
    """A DROP without DELETE TOPIC; another statement unchanged."""
    tokens = [token for token in lex(text) if token.kind not in GAPS and token.text != ";"]
    if [word_of(token) for token in tokens[-2:]] != ["DELETE", "TOPIC"] or word_of(tokens[0]) != "DROP":
        return text
    return text[: tokens[-2].start].rstrip() + ";"


def plain_create(tokens: Iterable[Token]) -> list[Token]:
    """The tokens of a statement without OR REPLACE and IF NOT EXISTS after CREATE; those of another statement unchanged."""
    listed = list(tokens)
    told = [number for number, token in enumerate(listed) if token.kind not in GAPS]
    words = [word_of(listed[number]) for number in told[:8]]
    if words[:1] != ["CREATE"]:
        return listed
    left_out: set[int] = set()
    for phrase, at in ((["OR", "REPLACE"], {1}), (["IF", "NOT", "EXISTS"], {2, 3, 4, 5})):
        for begin in at:
            if words[begin : begin + len(phrase)] == phrase:
                left_out |= set(range(told[begin], told[begin + len(phrase)]))
    return [token for number, token in enumerate(listed) if number not in left_out]


def says_or_replace(tokens: Iterable[Token]) -> bool:
    """Whether it begins with CREATE OR REPLACE."""
    words = [word_of(token) for token in islice((token for token in tokens if token.kind not in GAPS), 3)]
    return words == ["CREATE", "OR", "REPLACE"]


def or_replace(text: str) -> str:
    """`CREATE ..` as `CREATE OR REPLACE ..`."""
    return _inserted_after(text, "CREATE", "OR REPLACE")


def if_not_exists(text: str) -> str:
    """`CREATE TABLE x ..` as `CREATE TABLE IF NOT EXISTS x ..`; other statements unchanged."""
    words = [token.text.upper() for token in tokenize(text)[:3] if token.text.upper() not in {"SOURCE", "SINK"}]
    return _inserted_after(text, words[1], "IF NOT EXISTS") if words[0] == "CREATE" else text


def _inserted_after(text: str, word: str, more: str) -> str:
    for token in tokenize(text):
        if token.kind is Lexeme.word and token.text.upper() == word:
            at = token.start + len(token.text)
            return f"{text[:at]} {more}{text[at:]}"
    return text
