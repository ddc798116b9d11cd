"""The query of a statement, from SELECT to its end. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from migrations.ksql.errors import LexError
from migrations.ksql.parse.expressions import Expressions
from migrations.ksql.parse.lexer import Lexeme, Token

_AFTER_KEYS = {"", "PARTITION", "HAVING", "EMIT", "LIMIT"}


def check_query(tokens: Sequence[Token]) -> None:
    """Raises `LexError` unless the tokens, which begin with SELECT, are one query to their end."""
    try:
        _Query(tokens).check()
    except RecursionError:
        first = tokens[0]
        raise LexError("parentheses are too deep in each other", first.line, first.column) from None


class _Query(Expressions):
    """A cursor that reads a query."""

    def check(self) -> None:
        """Read all of it."""
        self.expect("SELECT")
        self.several(self._item)
        self.expect("FROM")
        self._source()
        while self._join():
            pass
        if self.takes("WINDOW"):
            self._window()
        if self.takes("WHERE"):
            self.expression()
        for clause in ("GROUP", "PARTITION"):
            if self.takes(clause, "BY"):
                self._keys()
        if self.takes("HAVING"):
            self.expression()
        if self.takes("EMIT"):
            self.one_of("CHANGES", "FINAL")
        if self.takes("LIMIT"):
            self.number()
        self.end()

    def _item(self) -> None:
        """A column of the result."""
        if self.takes("*"):
            return
        if self.is_name() and self.word(1) == "." and self.word(2) == "*":
            self.at += 3
            return
        self.expression()
        if not self.takes("->", "*") and (self.takes("AS") or self.is_name()):
            self.name()

    def _source(self) -> None:
        self.name()
        clause = self.sees("EMIT", "CHANGES") or self.sees("EMIT", "FINAL") or self.sees("PARTITION", "BY")
        if self.takes("AS") or (self.is_name() and not clause):
            self.name()

    def _join(self) -> bool:
        if self.takes_any("FULL", "LEFT", "RIGHT"):
            self.takes("OUTER")
        elif not self.sees("JOIN") and not self.takes("INNER"):
            return False
        self.expect("JOIN")
        self._source()
        if self.takes("WITHIN"):
            if self.takes("("):
                self.duration()
                self.expect(",")
                self.duration()
                self.expect(")")
            else:
                self.duration()
            if self.takes("GRACE", "PERIOD"):
                self.duration()
        self.expect("ON")
        self.expression()
        return True

    def _window(self) -> None:
        if self.is_name() and self.is_kind(Lexeme.word) and self.word(1) != "(":
            self.name()
        kind = self.word()
        self.one_of("TUMBLING", "HOPPING", "SESSION")
        self.expect("(", *([] if kind == "SESSION" else ["SIZE"]))
        self.duration()
        if kind == "HOPPING":
            self.expect(",", "ADVANCE", "BY")
            self.duration()
        for clause in ((",", "RETENTION"), (",", "GRACE", "PERIOD")):
            if self.takes(*clause):
                self.duration()
        self.expect(")")

    def _keys(self) -> None:
        """What rows are grouped or partitioned by. All of it may be in parentheses."""
        begin = self.at
        if self.sees("("):
            self.list_of("(", ")")
            if self.word() in _AFTER_KEYS:
                return
            self.at = begin
        self.several(self.expression)
