"""Statements that create, write or take away, from the name to the end. Their queries are in `query`. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from migrations.ksql.parse.expressions import Expressions
from migrations.ksql.parse.lexer import Lexeme, Token


def check_columns(tokens: Sequence[Token], at: int) -> None:
    """Raises `LexError` unless columns, a WITH, or both follow at the position, to the end of a CREATE STREAM or TABLE."""
    form = _Form(tokens, at)
    if form.takes("("):
        form.several(form.column)
        form.expect(")")
    if form.takes("WITH"):
        form.options()
    form.end()


def check_type(tokens: Sequence[Token], at: int) -> None:
    """Raises `LexError` unless AS and a type follow, to the end."""
    form = _Form(tokens, at)
    form.expect("AS")
    form.type()
    form.end()


def check_connector(tokens: Sequence[Token], at: int) -> None:
    """Raises `LexError` unless a WITH follows, to the end."""
    form = _Form(tokens, at)
    form.expect("WITH")
    form.options()
    form.end()


def check_values(tokens: Sequence[Token], at: int) -> None:
    """Raises `LexError` unless VALUES follows, perhaps after names of columns, to the end of an INSERT."""
    form = _Form(tokens, at)
    if form.takes("("):
        form.several(form.name)
        form.expect(")")
    form.expect("VALUES")
    form.list_of("(", ")")
    form.end()


def check_drop(tokens: Sequence[Token], at: int) -> None:
    """Raises `LexError` unless DELETE TOPIC, or nothing, follows."""
    form = _Form(tokens, at)
    form.takes("DELETE", "TOPIC")
    form.end()


def check_assert(tokens: Sequence[Token]) -> None:
    """Raises `LexError` unless it asserts a topic or a schema, to the end."""
    form = _Form(tokens)
    form.expect("ASSERT")
    form.takes("NOT", "EXISTS")
    if form.takes("TOPIC"):
        form.name_or_string()
        if form.takes("WITH"):
            form.options()
    else:
        form.expect("SCHEMA")
        if form.takes("SUBJECT"):
            form.name_or_string()
        if form.takes("ID"):
            form.constant()
    if form.takes("TIMEOUT"):
        form.duration()
    form.end()


class _Form(Expressions):
    """A cursor that reads parts of these statements."""

    def column(self) -> None:
        """Read a column with its type, and whether it is a key or of headers."""
        self.name()
        self.type()
        if self.takes("PRIMARY"):
            self.expect("KEY")
        elif self.takes("HEADER"):
            self.expect("(")
            self.string()
            self.expect(")")
        else:
            self.takes_any("KEY", "HEADERS")

    def options(self) -> None:
        """Read what follows WITH."""
        self.expect("(")
        self.several(self._option)
        self.expect(")")

    def _option(self) -> None:
        self.name_or_string()
        self.expect("=")
        self.constant()

    def name_or_string(self) -> None:
        """Read a name, which may be a text in quotes."""
        if self.is_kind(Lexeme.string):
            self.string()
        else:
            self.name()

    def constant(self) -> None:
        """Read a text, a number, NULL, TRUE or FALSE."""
        if self.is_kind(Lexeme.string):
            self.string()
        elif not self.takes_any("NULL", "TRUE", "FALSE"):
            self.number()
