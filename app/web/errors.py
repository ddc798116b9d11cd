"""Errors of the web port. A `WebError` carries the HTTP status and the title of its response."""

from __future__ import annotations

from app.errors import BarwheelError


class WebError(BarwheelError):
    """The base class. Its text becomes the `detail` of the problem document."""

    status = 500
    title = "Internal Server Error"


class InvalidParametersError(WebError):
    """Request parameters that cannot be used; each has a name, a value and a message."""

    status = 400
    title = "Bad Request"

    def __init__(self, *errors: tuple[str, str, str]) -> None:
        super().__init__("; ".join(f"{name}={value}: {message}" for name, value, message in errors))
        self.errors = errors


class NotAcceptableError(WebError):
    """The client accepts only a form that this worker cannot make."""

    status = 406
    title = "Not Acceptable"


class BusyError(WebError):
    """The worker has too many requests or streams open."""

    status = 503
    title = "Service Unavailable"


class IncompleteError(WebError):
    """The read model has not caught up, and the response has no place to say so."""

    status = 503
    title = "Service Unavailable"


class PeerUnavailableError(Exception):
    """Another worker could not be asked. The text is the reason, written for people."""
