"""What the server says no with."""

from __future__ import annotations

from typing import Any


class Refusal(Exception):  # noqa: N818  # it is an answer, not an error of ours
    """Becomes an answer with this HTTP status and error code; `statement` is empty for a `generic_error`."""

    def __init__(self, message: str, statement: str = "", *, code: int = 40001, status: int = 0) -> None:
        super().__init__(message)
        self.code = code
        self.status = status or code // 100
        self.statement = statement
        self.message = message

    @property
    def body(self) -> dict[str, Any]:
        """As the server writes it."""
        if not self.statement:
            return {"@type": "generic_error", "error_code": self.code, "message": self.message}
        return {
            "@type": "statement_error",
            "error_code": self.code,
            "message": self.message,
            "statementText": self.statement,
            "entities": [],
        }
