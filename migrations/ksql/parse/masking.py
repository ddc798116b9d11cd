"""Texts without secrets: what a connector is configured with is not recorded, logged or shown."""

from __future__ import annotations

from migrations.ksql.errors import LexError
from migrations.ksql.parse.lexer import GAPS, Lexeme, lex

MASK = "'[string]'"
_SHOWN = {"connector.class", "topics"}


def masked(text: str) -> str:
    """A CREATE CONNECTOR with the mask in place of its values, as the server shows it; another statement unchanged.

    It may be written wrongly: only the names of options and the values that are no secrets are kept.
    """
    if "CONNECTOR" not in text.upper():
        return text
    try:
        tokens = list(lex(text))
    except LexError:
        return text
    words = [token.text.upper() for token in tokens if token.kind not in GAPS]
    if words[:1] != ["CREATE"] or "CONNECTOR" not in words[1:5]:
        return text
    parts: list[str] = []
    inside, before = False, ["", ""]  # the last two tokens
    for token in tokens:
        named = before[1] in {"(", ","} or (before[1] == "=" and before[0].strip("'\"`").lower() in _SHOWN)
        secret = inside and not named and token.kind in (Lexeme.string, Lexeme.quoted)
        parts.append(MASK if secret else token.text)
        if token.kind not in GAPS:
            inside, before = inside or token.text == "(", [before[1], token.text]
    return "".join(parts)
