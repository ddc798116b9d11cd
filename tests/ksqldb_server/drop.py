"""DROP, TERMINATE, PAUSE and RESUME."""

from __future__ import annotations

from typing import Any

from tests.ksqldb_server.commands import command_status
from tests.ksqldb_server.parsed import Parsed
from tests.ksqldb_server.refusal import Refusal
from tests.ksqldb_server.state import State

Entity = dict[str, Any]


def drop(state: State, parsed: Parsed) -> Entity:
    what = parsed.upper[1]
    if_exists = parsed.upper[2:4] == ["IF", "EXISTS"]
    name = parsed.name(4 if if_exists else 2)
    if what == "TYPE":
        if state.types.pop(name, None) is None and not if_exists:
            raise Refusal(f"Type {name} does not exist.", parsed.text)
        return command_status(state, parsed, f"type/`{name}`/drop", f"Dropped type '{name}'")
    source = state.sources.get(name)
    if source is None:
        if if_exists:
            return command_status(state, parsed, f"{what.lower()}/`{name}`/drop", f"Source `{name}` does not exist.")
        raise Refusal(f"{what.capitalize()} {name} does not exist.", parsed.text)
    if source.kind != what:
        message = f"Incompatible data source type is {source.kind.lower()}, but statement was DROP {what.lower()}"
        raise Refusal(message, parsed.text)
    readers = [other.name for other in state.sources.values() if name in other.sources]
    if readers:
        message = f"Cannot drop {name}.\nThe following streams and/or tables read from this source: [{', '.join(readers)}]."
        raise Refusal(message, parsed.text)
    busy = [query.id for query in state.queries.values() if query.id != source.query and name in (*query.sources, query.sink)]
    if busy:
        raise Refusal(f"Cannot drop {name}.\nThe following queries write into this source: [{', '.join(busy)}].", parsed.text)
    if parsed.has("DELETE", "TOPIC"):
        others = [other.name for other in state.sources.values() if other.topic == source.topic and other is not source]
        if others:
            message = f"Refusing to delete topic. Found other data sources ({', '.join(others)}) using topic {source.topic}"
            raise Refusal(message, parsed.text, code=50000)
        state.topics.pop(source.topic, None)
    state.queries.pop(source.query, None)
    del state.sources[name]
    return command_status(
        state, parsed, f"{what.lower()}/`{name}`/drop", f"Source `{name}` (topic: {source.topic}) was dropped."
    )


def terminate(state: State, parsed: Parsed) -> Entity:
    name = parsed.name(1)
    if state.queries.pop(name, None) is None and name != "ALL":
        raise Refusal(f"Unknown queryId: {name}", parsed.text)
    return command_status(state, parsed, f"terminate/{name}/execute", "Query terminated.")


def pause_or_resume(state: State, parsed: Parsed) -> Entity:
    name = parsed.name(1)
    if name != "ALL" and name not in state.queries:
        raise Refusal(f"Unknown queryId: {name}", parsed.text)
    paused = parsed.upper[0] == "PAUSE"
    for query in state.queries.values():
        if name in {"ALL", query.id}:
            query.status = "PAUSED" if paused else "RUNNING"
    return command_status(
        state, parsed, f"{'pause' if paused else 'resume'}/{name}/execute", f"Query {'paused' if paused else 'resumed'}."
    )
