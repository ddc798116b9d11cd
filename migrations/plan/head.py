"""SET, DEFINE, UNSET and UNDEFINE in a `.ksql` file: what they say for the statements after them. Pure.

The server knows them as statements of a session, which a plan does not have: its statements are sent one by one. So what SET
says is sent with each of the statements that follow in the file, and DEFINE is a variable of these.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from migrations.ksql.errors import LexError
from migrations.ksql.parse.lexer import GAPS, Lexeme, Token
from migrations.ksql.parse.normal import split_tokens, substitute

_SHAPES = {
    "SET": (Lexeme.string, "=", Lexeme.string, ";"),
    "DEFINE": (Lexeme.word, "=", Lexeme.string, ";"),
    "UNSET": (Lexeme.string, ";"),
    "UNDEFINE": (Lexeme.word, ";"),
}


_NO_LINE_END = re.compile(r"[^\r\n]")


@dataclass(frozen=True)
class Section:
    """Statements between two of the four. `text` holds only these, in the lines and columns of the file."""

    text: str
    properties: dict[str, str] = field(default_factory=dict)
    variables: dict[str, str] = field(default_factory=dict)


def split_sections(text: str) -> list[Section]:
    """The statements of a file, with what holds for them.

    Raises `LexError` for one of the four that is written in another way. A text that is not KSQL is one section.
    """
    try:
        statements = split_tokens(text)
    except LexError:
        return [Section(text)]  # the plan reports it, with its place
    blank = _NO_LINE_END.sub(" ", text)
    properties: dict[str, str] = {}
    variables: dict[str, str] = {}
    sections: list[Section] = []
    current: list[list[Token]] = []
    for statement in statements:
        told = _told(statement)
        if told is None:
            current.append(statement)
            continue
        if current:
            sections.append(_section(text, blank, current, properties, variables))
            current = []
        _apply(*told, properties, variables)
    if current:
        sections.append(_section(text, blank, current, properties, variables))
    return sections


def _section(
    text: str, blank: str, statements: list[list[Token]], properties: dict[str, str], variables: dict[str, str]
) -> Section:
    begin, end = statements[0][0].start, statements[-1][-1].start + 1
    return Section(blank[:begin] + text[begin:end], dict(properties), dict(variables))


def _told(tokens: list[Token]) -> tuple[str, list[Token]] | None:
    """The word and the further tokens of one of the four statements; None for another statement."""
    first, *more = [token for token in tokens if token.kind not in GAPS]
    shape = _SHAPES.get(first.text.upper())
    if shape is None or first.kind is not Lexeme.word:
        return None
    if len(more) != len(shape) or any(
        token.text != wanted and token.kind is not wanted for token, wanted in zip(more, shape, strict=True)
    ):
        raise LexError(f"{first.text} is written like SET 'name'='value'; or DEFINE name='value';", first.line, first.column)
    return first.text.upper(), more


def _apply(word: str, tokens: list[Token], properties: dict[str, str], variables: dict[str, str]) -> None:
    name = tokens[0].text.strip("'")
    found = properties if word in {"SET", "UNSET"} else variables
    if word in {"UNSET", "UNDEFINE"}:
        found.pop(name, None)
    else:
        found[name] = substitute(tokens[2].text, variables)[1:-1].replace("''", "'")
