"""Statements out of text, and what makes two of them the same: a normal form and its hash."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from hashlib import sha256

from migrations.ksql.errors import LexError
from migrations.ksql.lexer import Lexeme, Token, lex, tokenize

HASH_VERSION = "v1"
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_@:]*)\}")


def split(text: str) -> list[str]:
    """The statements as they are written, each with its semicolon, without what stands between them.

    By tokens: a semicolon in a string, a comment or a quoted name ends nothing. Raises `LexError`, also for an empty statement
    and for a last one without a semicolon.
    """
    return [text[tokens[0].start : tokens[-1].start + 1] for tokens in split_tokens(text)]


def split_tokens(text: str) -> list[list[Token]]:
    """The tokens of each statement, the semicolon last."""
    statements: list[list[Token]] = []
    current: list[Token] = []
    for token in tokenize(text):
        current.append(token)
        if token.text == ";":
            if len(current) == 1:
                raise LexError("an empty statement", token.line, token.column)
            statements.append(current)
            current = []
    if current:
        raise LexError("the last statement does not end with ;", current[0].line, current[0].column)
    return statements


def substitute(text: str, variables: Mapping[str, str]) -> str:
    """Put values in the place of `${NAME}`, in strings and quoted names too, not in comments; raises `LexError`."""
    return "".join(token.text if token.kind is Lexeme.comment else _substituted(token, variables) for token in lex(text))


def _substituted(token: Token, variables: Mapping[str, str]) -> str:
    def value(match: re.Match[str]) -> str:
        try:
            return variables[match[1]]
        except KeyError:
            known = ", ".join(sorted(variables)) or "none"
            raise LexError(f"${{{match[1]}}} has no value (known: {known})", token.line, token.column) from None

    return _VARIABLE.sub(value, token.text)


def strip_comments(text: str) -> str:
    """The text with a space, or the line's end, in the place of each comment: what is sent to a server."""
    return prepare(text, None)


def prepare(text: str, variables: Mapping[str, str] | None) -> str:
    """Both at once: without comments, and with values in the place of variables (None: as they are)."""
    parts = []
    for token in lex(text):
        if token.kind is Lexeme.comment:
            parts.append("\n" * token.text.count("\n") or " ")
        else:
            parts.append(token.text if variables is None or "$" not in token.text else _substituted(token, variables))
    return "\n".join(line.rstrip() for line in "".join(parts).splitlines() if line.strip())


def normal_form(statement: str) -> str:
    """What remains of a statement when spacing, comments and the case of words are left out.

    Tokens are joined by one space, unquoted words are upper case, quoted names are in backquotes, `!=` is `<>`; strings stay
    as they are.
    """
    return _joined(tokenize(statement))


def _joined(tokens: Iterable[Token]) -> str:
    return " ".join(_normal(token) for token in tokens if token.text != ";")


def _normal(token: Token) -> str:
    text = token.text
    if token.kind is Lexeme.word or token.kind is Lexeme.number:
        return text.upper()
    if token.kind is Lexeme.quoted and text[0] == '"':
        return "`" + text[1:-1].replace('""', '"').replace("`", "``") + "`"
    return "<>" if text == "!=" else text


def statement_hash(statement: str | Iterable[Token]) -> str:
    """`v1:sha256:<hex>` of the normal form; the version is of that form, so that it may change."""
    normal = normal_form(statement) if isinstance(statement, str) else _joined(statement)
    return f"{HASH_VERSION}:sha256:{sha256(normal.encode()).hexdigest()}"
