"""The head of a `.ksql` file: SET and DEFINE before its first statement, for all of its statements. Pure.

The server knows both as statements of a session, which a plan does not have: its statements are sent one by one. So SET becomes
a property that is sent with each of them, and DEFINE a variable. UNSET and UNDEFINE may also stand at the end of a file, where
they say nothing.
"""

from __future__ import annotations

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


@dataclass
class Head:
    """What SET and DEFINE say. `rest` is the text without them, with the same lines and columns."""

    rest: str
    properties: dict[str, str] = field(default_factory=dict)
    variables: dict[str, str] = field(default_factory=dict)


def split_head(text: str) -> Head:
    """Take the head off a file's text, and UNSET and UNDEFINE off its end.

    Raises `LexError` for one of the four that is written in another way. A text that is not KSQL is left as it is.
    """
    try:
        statements = split_tokens(text)
    except LexError:
        return Head(text)  # the plan reports it, with its place
    head = Head(text)
    while statements and (told := _told(statements[0])) is not None:
        _apply(head, told)
        head.rest = _without(head.rest, statements.pop(0))
    while statements and (told := _told(statements[-1])) is not None and told[0] in {"UNSET", "UNDEFINE"}:
        head.rest = _without(head.rest, statements.pop())
    return head


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


def _apply(head: Head, told: tuple[str, list[Token]]) -> None:
    word, tokens = told
    name = tokens[0].text.strip("'")
    found = head.properties if word in {"SET", "UNSET"} else head.variables
    if word in {"UNSET", "UNDEFINE"}:
        found.pop(name, None)
    else:
        found[name] = substitute(tokens[2].text, head.variables)[1:-1].replace("''", "'")


def _without(text: str, tokens: list[Token]) -> str:
    """The text with a statement's characters as spaces; its line ends stay."""
    begin, end = tokens[0].start, tokens[-1].start + 1
    return text[:begin] + "".join(character if character in "\r\n" else " " for character in text[begin:end]) + text[end:]
