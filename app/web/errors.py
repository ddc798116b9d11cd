"""What the API refuses, as exceptions that carry their HTTP status."""

from __future__ import annotations

from app.errors import BarwheelError


class WebError(BarwheelError):
    """The base: its text is the `detail` of the answer."""

    status = 500
    title = "Internal Server Error"


class ParameterProblem(WebError):  # noqa: N818  # the API's word
    """Parameters that cannot be used: name, value and message of each."""

    status = 400
    title = "Bad Request"

    def __init__(self, *errors: tuple[str, str, str]) -> None:
        super().__init__("; ".join(f"{name}={value}: {message}" for name, value, message in errors))
        self.errors = errors


class NotHereError(WebError):
    """What was asked for is not there."""

    status = 404
    title = "Not Found"


class AwayError(Exception):
    """Another worker that cannot be asked, with the reason for people."""


class BusyError(WebError):
    """Too much at once."""

    status = 503
    title = "Service Unavailable"
