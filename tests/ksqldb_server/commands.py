"""The response to a statement that the server writes to its command topic."""

from __future__ import annotations

from typing import Any

from migrations.ksql.parse.normal import normal_form
from tests.ksqldb_server.parsed import Parsed
from tests.ksqldb_server.state import State

Entity = dict[str, Any]


def command_status(
    state: State, parsed: Parsed, command: str, message: str, query: str = "", *, counted: bool = False
) -> Entity:
    """Count and record the statement. Returns its `currentStatus` entity."""
    if not counted:
        state.sequence += 1
    status = {"status": "SUCCESS", "message": message, "queryId": query or None}
    state.commands[command] = status
    state.executed.append(parsed.text)
    return {
        "@type": "currentStatus",
        "statementText": parsed.text if query else f"{rewritten(parsed.text)};",
        "commandId": command,
        "commandStatus": status,
        "commandSequenceNumber": state.sequence,
        "warnings": [],
    }


def rewritten(text: str) -> str:
    """The statement in other words, as the real server returns it: no test may rely on getting the original text."""
    return normal_form(text).replace(" , ", ", ").replace("( ", "(").replace(" )", ")")
