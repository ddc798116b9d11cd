"""What ends a migration, each with the exit code of a command that ends by it."""

from __future__ import annotations

import re

from app.errors import BarwheelError

_PLACE = re.compile(r"[Ll]ine:? (\d+)(?::|, Col: )(\d+)")


class MigrationError(BarwheelError):
    """The base: something failed (exit code 1)."""


class PlanError(MigrationError):
    """A plan that cannot be used: names the file, the place and the value."""

    exit_code = 2


class RefusedError(MigrationError):
    """What was asked for would destroy or silently change something, or the server is not as the history says."""

    exit_code = 4


class UnreachableError(MigrationError):
    """The server did not answer, or not in time: what became of a statement is not known."""


class LockLostError(MigrationError):
    """Another runner has taken over; nothing more may be sent or recorded."""


class KsqlDbError(MigrationError):
    """The server's word on a statement: `code` is its error_code, `text` its message, `statement` what it was about.

    `line` and `column` are where in the statement, from 1, and None where the server does not say.
    """

    def __init__(self, code: int, text: str, statement: str) -> None:
        first = " ".join(statement.split())
        about = f" [{first[:120]}]" if first else ""
        super().__init__(f"ksqlDB error {code}: {' '.join(text.split())}{about}")
        self.code = code
        self.text = text
        self.statement = statement
        found = _PLACE.search(text)
        self.line = int(found[1]) if found else None
        self.column = int(found[2]) if found else None

    def at(self, statement: str, line: int) -> KsqlDbError:
        """The same about one statement of those that were sent together, whose own line it is."""
        return KsqlDbError(self.code, _PLACE.sub(f"line {line}:{self.column}", self.text, count=1), statement)


class PlanRefusedError(KsqlDbError):
    """The server would refuse the plan as it stands; nothing of it was sent. What it lacks may be there later."""

    exit_code = 4
