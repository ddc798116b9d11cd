"""The response to a statement that the server writes to its command topic."""

from __future__ import annotations

from typing import Any

from tests.ksqldb_server.parsed import Parsed
from tests.ksqldb_server.rewriting import rewritten
from tests.ksqldb_server.state import State

Entity = dict[str, Any]


def command_status(
    state: State, parsed: Parsed, command: str, message: str, query: str = "", *, counted: bool = False, text: str = ""
) -> Entity:
    """Count and record the statement. Returns its `currentStatus` entity; `text` is what the server writes of it."""
    if not counted:
        state.sequence += 1
    status = {"status": "SUCCESS", "message": message, "queryId": query or None}
    state.commands[command] = status
    state.executed.append(parsed.text)
    return {
        "@type": "currentStatus",
        "statementText": text or (parsed.text if query else f"{rewritten(parsed.text)};"),
        "commandId": command,
        "commandStatus": status,
        "commandSequenceNumber": state.sequence,
        "warnings": [],
    }
