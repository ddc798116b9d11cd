"""Errors of migrations, each with the exit code of a command that ends by it."""

from __future__ import annotations

import re

from app.errors import BarwheelError

_POSITION = re.compile(r"[Ll]ine:? (\d+)(?::|, Col: )(\d+)")


class MigrationError(BarwheelError):
    """The base class: something failed (exit code 1)."""


class PlanError(MigrationError):
    """A plan cannot be used. The message names the file, the position and the value."""

    exit_code = 2


class RefusedError(MigrationError):
    """The request would destroy or silently change something, or the server does not match the history."""

    exit_code = 4


class UnreachableError(MigrationError):
    """The server did not respond in time. A statement may or may not have been executed."""


class LockLostError(MigrationError):
    """Another runner has taken over. Nothing more may be sent or recorded."""


class KsqlDbError(MigrationError):
    """An error response of ksqlDB: `code` is its error_code, `text` its message, `statement` what the message is about.

    `line` and `column` are the position in the statement and count from 1; None if the server does not tell.
    """

    def __init__(self, code: int, text: str, statement: str) -> None:
        one_line = " ".join(statement.split())
        about = f" [{one_line[:120]}]" if one_line else ""
        super().__init__(f"ksqlDB error {code}: {' '.join(text.split())}{about}")
        self.code = code
        self.text = text
        self.statement = statement
        position = _POSITION.search(text)
        self.line = int(position[1]) if position else None
        self.column = int(position[2]) if position else None

    def at(self, statement: str, line: int) -> KsqlDbError:
        """The same error about one statement of the request; `line` is its line in that statement."""
        return KsqlDbError(self.code, _POSITION.sub(f"line {line}:{self.column}", self.text, count=1), statement)


class PlanRefusedError(KsqlDbError):
    """The server would reject the plan, and nothing of it was sent. A later attempt may succeed, once what it lacks exists.

    A worker that requires the plan ends by it; one that applies it in the background tries again.
    """

    exit_code = 4
