"""CREATE, DROP and SHOW CONNECTOR, by the server's source: nothing of them was recorded."""

from __future__ import annotations

from typing import Any

from migrations.ksql.parse.statement import describe
from tests.ksqldb_server.parsed import Parsed
from tests.ksqldb_server.refusal import Refusal
from tests.ksqldb_server.state import State

Entity = dict[str, Any]


def create_connector(state: State, parsed: Parsed) -> Entity:
    """CREATE SOURCE CONNECTOR and CREATE SINK CONNECTOR. It is checked in a trial, too."""
    info, options = describe(parsed.text), parsed.tree.options
    if not state.connect:
        raise Refusal("Failed to create connector: Connection refused", code=50000)
    if info.name in state.connectors:
        message = f"Connector {info.name} already exists"
        if not info.if_not_exists:
            raise Refusal(message, code=40900)
        return {"@type": "warning_entity", "statementText": parsed.text, "message": message, "warnings": []}
    if "CONNECTOR.CLASS" not in options:
        raise Refusal("Validation error: Connector config contains no connector type", parsed.text)
    kind = parsed.upper[1].lower()
    state.connectors[info.name] = {"type": kind, "className": options["CONNECTOR.CLASS"]}
    state.executed.append(parsed.text)
    made = {"name": info.name, "config": {}, "tasks": [], "type": kind}
    return {"@type": "connector_info", "statementText": parsed.text, "info": made, "warnings": []}


def drop_connector(state: State, parsed: Parsed) -> Entity:
    """DROP CONNECTOR. A trial does not notice that there is none."""
    name = describe(parsed.text).name
    if name not in state.connectors and not state.trial:
        message = f"Connector {name} not found"
        if parsed.has("IF", "EXISTS"):
            return {"@type": "warning_entity", "statementText": parsed.text, "message": message, "warnings": []}
        raise Refusal(f"Failed to drop connector: {message}", code=40400)
    state.connectors.pop(name, None)
    state.executed.append(parsed.text)
    return {"@type": "drop_connector", "statementText": parsed.text, "connectorName": name, "warnings": []}


def show_connectors(state: State, parsed: Parsed) -> Entity:
    """SHOW CONNECTORS."""
    if not state.connect:
        return {"@type": "error_entity", "statementText": parsed.text, "errorMessage": "Connection refused", "warnings": []}
    rows = [{"name": name, **row, "state": "RUNNING (1/1 tasks RUNNING)"} for name, row in state.connectors.items()]
    return {"@type": "connector_list", "statementText": parsed.text, "connectors": rows, "warnings": []}
