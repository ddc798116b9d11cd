"""The meaning of an HTTP response: its JSON, an error of ksqlDB, a request to retry, or a server that is not ksqlDB."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpx

from migrations.errors import KsqlDbError, MigrationError

GOOD, BAD_REQUEST, NOT_AUTHENTICATED, NOT_FOUND = 200, 400, 401, 404
TOO_MANY, FAULT, UNAVAILABLE = 429, 500, 503
STOPPING = "Worker executor closed"  # what a server answers to any request while it shuts down


def json_content(response: httpx.Response, url: str, statement: str = "") -> Any:
    """The JSON of a successful response.

    Raises `KsqlDbError` for an error response, and `MigrationError` for a response that ksqlDB would not send.
    """
    if response.status_code >= BAD_REQUEST:
        raise ksqldb_error(response, statement)
    if response.status_code == GOOD:
        with contextlib.suppress(ValueError):
            return response.json()
    raise not_ksqldb(url, response)


def ksqldb_error(response: httpx.Response, statement: str) -> KsqlDbError:
    """The error in a response. A proxy's response has no error_code; its code is the HTTP status times 100."""
    try:
        body = as_object(response.json())
    except ValueError:
        body = {}
    text = str(body.get("message") or response.text or response.reason_phrase)
    if response.status_code == NOT_AUTHENTICATED:
        text += "; check ksqldb_user and ksqldb_password"
    code = int(body.get("error_code") or response.status_code * 100)
    return KsqlDbError(code, text, str(statement or body.get("statementText") or ""))


def not_ksqldb(url: str, response: httpx.Response) -> MigrationError:
    """The error for a response that ksqlDB would not send, so that a wrong address does not look like an empty server."""
    kind = response.headers.get("Location") or response.headers.get("Content-Type") or "nothing"
    return MigrationError(f"{url} answers {response.status_code} with {kind}: is ksqldb_url={url} a ksqlDB server?")


def located_in(texts: Sequence[str], error: KsqlDbError) -> KsqlDbError:
    """The error about the one statement that contains its line, with the line counted from that statement's first.

    `texts` are the statements of the request, one after the other. An error without a line is returned unchanged.
    """
    if error.line is None:
        return error
    first = 1
    for text in texts:
        after = first + text.count("\n") + 1
        if error.line < after:
            return error.at(text, error.line - first + 1)
        first = after
    return error


def is_busy(response: httpx.Response, *, idempotent: bool) -> bool:
    """Whether the server did nothing and asks to retry later.

    A proxy also sends 503, when the server behind it broke off and may have executed the statement. So after a request that is
    not idempotent, only a 503 of ksqlDB itself counts. A server that shuts down may have executed the statement, too.
    """
    if idempotent and response.status_code == FAULT:
        return STOPPING in response.text
    if response.status_code != UNAVAILABLE or idempotent:
        return response.status_code in (UNAVAILABLE, TOO_MANY)
    with contextlib.suppress(ValueError):
        return "error_code" in as_object(response.json())
    return False


def as_object(body: Any) -> dict[str, Any]:
    """A JSON object; an empty one for any other value."""
    return body if isinstance(body, dict) else {}


def retry_after(response: httpx.Response) -> float | None:
    """Seconds in the header Retry-After, which is a number or a date; None if it is absent or invalid."""
    value = response.headers.get("Retry-After", "").strip()
    if value.isascii() and value.isdigit():
        return float(value)
    try:
        return max(0.0, (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):  # TypeError: a date without a zone
        return None
