"""What an answer of ksqlDB means: its content, its refusal, when to ask again, or that it is no ksqlDB that answers."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpx

from migrations.errors import KsqlDbError, MigrationError

GOOD, BAD_REQUEST, NOT_AUTHENTICATED, NOT_FOUND = 200, 400, 401, 404
TOO_MANY, UNAVAILABLE = 429, 503


def content(answer: httpx.Response, url: str, statement: str = "") -> Any:
    """The JSON of a good answer; raises `KsqlDbError` for a refusal, `MigrationError` for what no ksqlDB says."""
    if answer.status_code >= BAD_REQUEST:
        raise refusal(answer, statement)
    if answer.status_code == GOOD:
        with contextlib.suppress(ValueError):
            return answer.json()
    raise no_ksqldb(url, answer)


def refusal(answer: httpx.Response, statement: str) -> KsqlDbError:
    """What the server refused and why; a proxy's answer, which has no error_code, gets its status times 100."""
    try:
        found = as_object(answer.json())
    except ValueError:
        found = {}
    text = str(found.get("message") or answer.text or answer.reason_phrase)
    if answer.status_code == NOT_AUTHENTICATED:
        text += "; check ksqldb_user and ksqldb_password"
    code = int(found.get("error_code") or answer.status_code * 100)
    return KsqlDbError(code, text, str(statement or found.get("statementText") or ""))


def no_ksqldb(url: str, answer: httpx.Response) -> MigrationError:
    """For what no ksqlDB says: an address that leads elsewhere must not look like a server that has nothing."""
    kind = answer.headers.get("Location") or answer.headers.get("Content-Type") or "nothing"
    return MigrationError(f"{url} answers {answer.status_code} with {kind}: is ksqldb_url={url} a ksqlDB server?")


def within(texts: Sequence[str], error: KsqlDbError) -> KsqlDbError:
    """The same error with its line counted from the first of the one statement it is in, where it names a line."""
    if error.line is None:
        return error
    first = 1
    for text in texts:
        after = first + text.count("\n") + 1
        if error.line < after:
            return error.at(text, error.line - first + 1)
        first = after
    return error


def busy(answer: httpx.Response, *, harmless: bool) -> bool:
    """Whether it says: not now, and nothing was done. Of a request that does something a 503 must be ksqlDB's own.

    A proxy says 503 too when the server behind it broke off, and may have done what it was asked for.
    """
    if answer.status_code != UNAVAILABLE or harmless:
        return answer.status_code in (UNAVAILABLE, TOO_MANY)
    with contextlib.suppress(ValueError):
        return "error_code" in as_object(answer.json())
    return False


def as_object(body: Any) -> dict[str, Any]:
    """A JSON object; empty for anything else."""
    return body if isinstance(body, dict) else {}


def retry_after(answer: httpx.Response) -> float | None:
    """Seconds that the server wants to be left alone; it may say so as a number or as a date."""
    said = answer.headers.get("Retry-After", "").strip()
    if said.isascii() and said.isdigit():
        return float(said)
    try:
        return max(0.0, (parsedate_to_datetime(said) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):  # TypeError: a date without a zone
        return None
