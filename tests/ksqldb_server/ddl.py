"""Statements that change something: which function executes which statement."""

from __future__ import annotations

from typing import Any

from migrations.ksql.parse.statement import Kind, describe
from tests.ksqldb_server.connectors import create_connector, drop_connector
from tests.ksqldb_server.create import create, create_type, insert_select
from tests.ksqldb_server.drop import drop, pause_or_resume, terminate
from tests.ksqldb_server.parsed import Parsed
from tests.ksqldb_server.state import State

HANDLERS = {"DROP": drop, "TERMINATE": terminate, "PAUSE": pause_or_resume, "RESUME": pause_or_resume}


def execute(state: State, text: str) -> dict[str, Any] | None:
    """The response entity of one statement; None if it changes nothing. Raises `Refusal`."""
    parsed = Parsed(text)
    kind = describe(text).kind
    if kind.source:
        return create(state, parsed)
    if kind is Kind.insert_select:
        return insert_select(state, parsed)
    if kind is Kind.create_connector:
        return create_connector(state, parsed)
    if parsed.starts("DROP", "CONNECTOR"):
        return drop_connector(state, parsed)
    if kind is Kind.create_type:
        return create_type(state, parsed)
    handler = HANDLERS.get(parsed.upper[0])
    return None if handler is None else handler(state, parsed)
