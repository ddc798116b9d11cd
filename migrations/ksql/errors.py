"""What is wrong with KSQL before any server sees it."""

from __future__ import annotations


class KsqlError(Exception):
    """The base; its text is one line."""


class LexError(KsqlError):
    """Text that is not KSQL; line and column count from 1."""

    def __init__(self, message: str, line: int, column: int) -> None:
        super().__init__(f"line {line}, column {column}: {message}")
        self.line = line
        self.column = column
