"""An error response of the stand-in."""

from __future__ import annotations

from typing import Any


class Refusal(Exception):  # noqa: N818  # it becomes a response, and is no error of the stand-in
    """Raised to respond with an HTTP status and error code. `statement` is empty for a `generic_error`."""

    def __init__(self, message: str, statement: str = "", *, code: int = 40001, status: int = 0) -> None:
        super().__init__(message)
        self.code = code
        self.status = status or code // 100
        self.statement = statement
        self.message = message

    @property
    def body(self) -> dict[str, Any]:
        """The JSON body of the response."""
        if not self.statement:
            return {"@type": "generic_error", "error_code": self.code, "message": self.message}
        return {
            "@type": "statement_error",
            "error_code": self.code,
            "message": self.message,
            "statementText": self.statement,
            "entities": [],
        }


class SyntaxRefusal(Exception):  # noqa: N818  # see above
    """A statement that the grammar does not have. `line` and `column` are in the text that was parsed."""

    def __init__(self, message: str, line: int, column: int) -> None:
        super().__init__(message)
        self.message = message
        self.line = line
        self.column = column
