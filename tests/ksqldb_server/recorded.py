"""Recorded exchanges, and the recorded error responses to pull queries, which the stand-in does not compute."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# errors that depend on the server's current state, which the stand-in has
ELSEWHERE = (
    *("already exists", "does not exist", "Cannot drop", "Unknown queryId", "Could not find", "Incompatible data source"),
    *("into the command topic", "has been fenced", "newer producer", "Timed out", "Timeout", "isn't queryable", "is required"),
    *("Error starting pull query", "Refusing to delete", "already registered", "not present in metadata"),
)


def exchanges(directory: Path) -> Iterator[tuple[str, int, dict[str, Any]]]:
    """File, line and exchange, in the order of their recording."""
    found = []
    for path in sorted(directory.glob("*.jsonl")):
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            exchange = json.loads(line)
            if "request" in exchange:
                found.append((path.name, number, exchange))
    yield from sorted(found, key=lambda one: float(one[2].get("at", 0)))


def refusals(directory: Path) -> dict[str, tuple[int, dict[str, Any]]]:
    """HTTP status and body by the text of the request; see `text_of`."""
    found: dict[str, tuple[int, dict[str, Any]]] = {}
    for _, _, exchange in exchanges(directory):
        body, answer = exchange["request"].get("body"), exchange["response"] or {}
        error = answer.get("body")
        if (
            not isinstance(body, dict)
            or "sql" not in body
            or not isinstance(error, dict)
            or error.get("error_code") not in (40000, 40001, 50000)
        ):
            continue
        message = error.get("message") or ""
        if not any(text in message for text in ELSEWHERE):
            found[text_of(body)] = answer["status"], error
    return found


def text_of(body: dict[str, Any]) -> str:
    """The query of a request with its properties, which may be the cause of an error too."""
    return f"{body.get('sql', '')} {json.dumps(body.get('streamsProperties') or {}, sort_keys=True)}"
