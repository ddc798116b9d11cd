"""Texts without secrets: what a connector is configured with is not recorded, logged or shown."""

from __future__ import annotations

from migrations.ksql.errors import LexError
from migrations.ksql.parse.lexer import GAPS, Lexeme, lex
from migrations.ksql.parse.statement import Kind, describe

MASK = "'[string]'"
_SHOWN = {"connector.class", "topics"}


def masked(text: str) -> str:
    """A CREATE CONNECTOR with the mask in place of its values, as the server shows it; another statement unchanged."""
    try:
        if "CONNECTOR" not in text.upper() or describe(text).kind is not Kind.create_connector:
            return text
        parts: list[str] = []
        before = ["", ""]  # the last two tokens
        for token in lex(text):
            secret = token.kind is Lexeme.string and before[1] == "=" and before[0].strip("'\"`").lower() not in _SHOWN
            parts.append(MASK if secret else token.text)
            if token.kind not in GAPS:
                before = [before[1], token.text]
    except LexError:
        return text
    return "".join(parts)
