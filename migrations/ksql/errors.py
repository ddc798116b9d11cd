"""Errors in KSQL that are found before a server sees it."""

from __future__ import annotations


class KsqlError(Exception):
    """The base class. The message is one line."""


class LexError(KsqlError):
    """The text is not KSQL. `line` and `column` count from 1."""

    def __init__(self, message: str, line: int, column: int) -> None:
        super().__init__(f"line {line}, column {column}: {message}")
        self.line = line
        self.column = column
