"""What ends a migration, each with the exit code of a command that ends by it."""

from __future__ import annotations

from app.errors import BarwheelError


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
    """The server's word on a statement: `code` is its error_code, `text` its message, `statement` what it was about."""

    def __init__(self, code: int, text: str, statement: str) -> None:
        first = " ".join(statement.split())
        about = f" [{first[:120]}]" if first else ""
        super().__init__(f"ksqlDB error {code}: {' '.join(text.split())}{about}")
        self.code = code
        self.text = text
        self.statement = statement
