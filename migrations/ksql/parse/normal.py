"""Text into statements, and a normal form whose hash tells whether two statements are the same."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from hashlib import sha256

from migrations.ksql.errors import LexError
from migrations.ksql.parse.lexer import GAPS, Lexeme, Token, is_one, lex

HASH_VERSION = "v1"
_PARTITIONS = re.compile(r"\bPARTITIONS = [0-9]+")
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_@:]*)\}")


def split(text: str) -> list[str]:
    """The statements as written, each with its semicolon.

    A semicolon in a string, a comment or a quoted name does not end a statement. Raises `LexError`, also for an empty
    statement and for a last one without a semicolon.
    """
    return [text[tokens[0].start : tokens[-1].start + 1] for tokens in split_tokens(text)]


def split_tokens(text: str) -> list[list[Token]]:
    """The tokens of each statement up to its semicolon, including white space and comments. Raises `LexError`; see `split`."""
    statements: list[list[Token]] = []
    current: list[Token] = []
    for token in lex(text):
        if not current and token.kind in GAPS:
            continue
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
    """Replace each `${NAME}` by its value, also in strings and quoted names but not in comments.

    Raises `LexError` if a variable has no value, or if its value would end the string or name that contains it.
    """
    if "${" not in text:
        return text
    return "".join(_substituted(token, variables) for token in lex(text))


def _substituted(token: Token, variables: Mapping[str, str]) -> str:
    def value(match: re.Match[str]) -> str:
        try:
            return variables[match[1]]
        except KeyError:
            known = ", ".join(sorted(variables)) or "none"
            why = f"${{{match[1]}}} has no value (known: {known}): give it by DEFINE, or by --define {match[1]}=VALUE"
            raise LexError(why, token.line, token.column) from None

    if token.kind is Lexeme.comment or "${" not in token.text:
        return token.text
    text = _VARIABLE.sub(value, token.text)
    if token.kind is not Lexeme.variable and not is_one(text, token.kind):
        raise LexError(f"a value ends {token.text} early: double the quotes in the value", token.line, token.column)
    return text


def strip_comments(text: str) -> str:
    """The text without comments, blank lines and trailing white space. Raises `LexError`."""
    return clean(lex(text))


def clean(tokens: Iterable[Token]) -> str:
    """The text of tokens as it is sent to a server: without comments and blank lines. Strings stay as they are."""
    parts: list[str] = []
    gap = ""
    for token in tokens:
        if token.kind in GAPS:
            gap += token.text
            continue
        if gap and parts:
            parts.append(_narrowed(gap))
        gap = ""
        parts.append(token.text)
    return "".join(parts)


def _narrowed(gap: str) -> str:
    """A gap over several lines becomes a line end and the last indentation; a comment within a line becomes one space."""
    _, newline, last = gap.replace("\r", "\n").rpartition("\n")
    if newline:
        return newline + last[: len(last) - len(last.lstrip(" \t"))]
    return gap if gap.isspace() else " "


def normal_form(statement: str) -> str:
    """A statement without differences of spacing, comments and the case of words.

    Tokens are joined by one space. Unquoted words are upper case, quoted names are in backquotes, and `!=` is `<>`. Strings
    stay as they are. The final semicolon is left out.
    """
    return _joined(lex(statement))


def same_definition(one: str, other: str, *, any_partitions: bool = False) -> bool:
    """Whether two statements define the same, OR REPLACE or not; `any_partitions`: also with other numbers of partitions."""
    forms = [normal_form(text).replace("CREATE OR REPLACE ", "CREATE ", 1) for text in (one, other)]
    if any_partitions:
        forms = [_PARTITIONS.sub("PARTITIONS = ?", form, count=1) for form in forms]
    return forms[0] == forms[1]


def _joined(tokens: Iterable[Token]) -> str:
    texts = [_normal(token) for token in tokens if token.kind not in GAPS]
    return " ".join(texts[:-1] if texts[-1:] == [";"] else texts)


def _normal(token: Token) -> str:
    text = token.text
    if token.kind is Lexeme.word or token.kind is Lexeme.number:
        return text.upper()
    if token.kind is Lexeme.quoted and text[0] == '"':
        return "`" + text[1:-1].replace('""', '"').replace("`", "``") + "`"
    return "<>" if text == "!=" else text


def statement_hash(statement: str | Iterable[Token]) -> str:
    """`v1:sha256:<hex>` of the normal form. `v1` is the version of the normal form, which may change."""
    normal = _joined(lex(statement) if isinstance(statement, str) else statement)
    return f"{HASH_VERSION}:sha256:{sha256(normal.encode()).hexdigest()}"


def first_words(text: str, size: int) -> str:
    """The text in one line, and not more of it than this."""
    line = " ".join(text.split())
    return line if len(line) <= size else f"{line[: size - 1]}…"
