"""CREATE STREAM, CREATE TABLE, CREATE TYPE and INSERT INTO .. SELECT."""

from __future__ import annotations

from typing import Any

from migrations.ksql.parse.normal import normal_form
from migrations.ksql.parse.statement import describe
from tests.ksqldb_server.commands import command_status, rewritten
from tests.ksqldb_server.parsed import Parsed
from tests.ksqldb_server.refusal import Refusal
from tests.ksqldb_server.state import Query, Source, State

PARTITIONS = 1
FORMATS = {"KAFKA", "JSON", "JSON_SR", "DELIMITED", "AVRO", "PROTOBUF", "PROTOBUF_NOSR", "NONE"}
OPTIONS = {
    *("KAFKA_TOPIC", "PARTITIONS", "REPLICAS", "KEY_FORMAT", "VALUE_FORMAT", "FORMAT", "KEY_DELIMITER", "VALUE_DELIMITER"),
    *("TIMESTAMP", "TIMESTAMP_FORMAT", "WINDOW_TYPE", "WINDOW_SIZE", "WRAP_SINGLE_VALUE", "RETENTION_MS", "QUERY_ID"),
    *("CLEANUP_POLICY", "KEY_SCHEMA_ID", "VALUE_SCHEMA_ID"),
}
PREPARING = "Exception while preparing statement: "
OUTPUT = "Could not determine output schema for query due to error: "
Entity = dict[str, Any]


def create(state: State, parsed: Parsed) -> Entity:
    """CREATE STREAM and CREATE TABLE, with or without AS SELECT."""
    info = describe(parsed.text)
    kind = "TABLE" if "TABLE" in info.words.split() else "STREAM"
    options = parsed.options()
    known = state.sources.get(info.name)
    _check_options(state, parsed, options)
    topic = options.get("KAFKA_TOPIC", info.name if info.kind.query else "")
    if known is not None and not info.replace:
        if not info.if_not_exists:
            article = f"A {known.kind.lower()} with the same name already exists"
            prefix = OUTPUT if info.kind.query else ""
            raise Refusal(f"{prefix}Cannot add {kind.lower()} '{info.name}': {article}", parsed.text)
        state.topics.setdefault(
            topic, int(options.get("PARTITIONS", PARTITIONS))
        )  # the real server too leaves this topic behind
        message = f"Cannot add {kind.lower()} `{info.name}`: A {known.kind.lower()} with the same name already exists."
        return {"@type": "warning_entity", "statementText": parsed.text, "message": message, "warnings": []}
    if known is not None and info.replace and not known.window and not info.windowed:
        _check_upgrade(known, parsed.columns() or [[name, "STRING", ""] for name in _selected(parsed)], parsed.text)
    if info.kind.query:
        return _create_as(state, parsed, kind, topic, options)
    _check_declared(state, parsed, kind, topic, options)
    state.topics.setdefault(topic, int(options.get("PARTITIONS", PARTITIONS)))
    state.sources[info.name] = Source(
        info.name,
        kind,
        topic,
        f"{rewritten(parsed.text)};",
        options.get("WINDOW_TYPE"),
        options.get("KEY_FORMAT", "KAFKA"),
        options.get("VALUE_FORMAT", options.get("FORMAT", "JSON")),
        parsed.columns(),
        read_only="SOURCE" in info.words.split(),
    )
    return command_status(state, parsed, f"{kind.lower()}/`{info.name}`/create", f"{kind.capitalize()} created")


def _check_options(state: State, parsed: Parsed, options: dict[str, str]) -> None:
    if unknown := sorted(options.keys() - OPTIONS):
        message = f"Failed to prepare statement: Invalid config variable(s) in the WITH clause: {', '.join(unknown)}"
        raise Refusal(message, parsed.text)
    if "CLEANUP_POLICY" in options:
        raise Refusal(
            "Invalid config variable in the WITH clause: CLEANUP_POLICY.\n"
            "The CLEANUP_POLICY config is automatically inferred based on the type of source (STREAM or TABLE).\n"
            "Users can't set the CLEANUP_POLICY config manually.",
            code=40000,
        )
    for name in ("KEY_FORMAT", "VALUE_FORMAT", "FORMAT"):
        if options.get(name, "JSON").upper() not in FORMATS:
            raise Refusal(f"Unknown format: {options[name]}", parsed.text)
    found = options.get("KAFKA_TOPIC", "")
    if {options.get(n, "").upper() for n in ("KEY_FORMAT", "VALUE_FORMAT", "FORMAT")} & {"AVRO", "PROTOBUF", "JSON_SR"}:
        message = f"Cannot create topic '{found}' with format AVRO without configuring 'ksql.schema.registry.url'"
        raise Refusal(message, code=42801)
    partitions = state.topics.get(found)
    wanted = options.get("PARTITIONS")
    replicas = options.get("REPLICAS", "1")
    if partitions is not None and ((wanted is not None and int(wanted) != partitions) or replicas != "1"):
        message = f"A Kafka topic with the name '{found}' already exists, with different partitions or replicas"
        raise Refusal(message, parsed.text, code=50000)


def _check_declared(state: State, parsed: Parsed, kind: str, topic: str, options: dict[str, str]) -> None:
    columns = parsed.columns()
    if not topic:
        message = 'Failed to prepare statement: Missing required property "KAFKA_TOPIC" which has no default value.'
        raise Refusal(message, parsed.text)
    if "VALUE_FORMAT" not in options and "FORMAT" not in options:
        raise Refusal("Statement is missing the 'VALUE_FORMAT' property from the WITH clause.", parsed.text)
    if topic not in state.topics and "PARTITIONS" not in options:
        message = (
            f"Topic '{topic}' does not exist. If you want to create a new topic for the stream/table please re-run the "
            "statement providing the required 'PARTITIONS' configuration in the WITH clause (and optionally 'REPLICAS')."
        )
        raise Refusal(message, code=40000)
    keys = [name for name, _, key in columns if key]
    if kind == "TABLE" and not keys:
        raise Refusal("Tables require a PRIMARY KEY. Please define the PRIMARY KEY.", parsed.text)
    if len(keys) > 1 and options.get("KEY_FORMAT", "KAFKA").upper() == "KAFKA":
        raise Refusal("Key format does not support schema.\nformat: KAFKA", parsed.text)
    timestamp = options.get("TIMESTAMP", "").upper()
    if timestamp and timestamp not in {name for name, _, _ in columns}:
        message = f"The TIMESTAMP column set in the WITH clause does not exist in the schema: '{timestamp}'"
        raise Refusal(message, parsed.text)
    for _, type_, _ in columns:
        _check_type(state, parsed, type_)


def _check_type(state: State, parsed: Parsed, type_: str) -> None:
    plain = type_.split("(", maxsplit=1)[0].split("<", maxsplit=1)[0]
    builtin = {"STRING", "INTEGER", "BIGINT", "DOUBLE", "BOOLEAN", "DECIMAL", "TIMESTAMP", "DATE", "TIME", "BYTES"}
    if plain not in builtin | {"STRUCT", "ARRAY", "MAP"} | set(state.types):
        raise Refusal(f"Failed to prepare statement: Cannot resolve unknown type: {plain}", parsed.text)


def _create_as(state: State, parsed: Parsed, kind: str, topic: str, options: dict[str, str]) -> Entity:
    info = describe(parsed.text)
    known = state.sources.get(info.name)
    for source in info.sources:
        if source not in state.sources:
            raise Refusal(f"{PREPARING}{source} does not exist.", parsed.text)
    first = state.sources[info.sources[0]]
    grouped = parsed.has("GROUP", "BY")
    if kind == "TABLE" and first.window and first.kind == "TABLE":
        raise Refusal(f"{OUTPUT}KSQL does not support persistent queries on windowed tables.", parsed.text)
    if known is not None and (info.windowed or known.window):
        raise Refusal("Upgrades not yet supported for StreamWindowedAggregate", code=40000)
    if kind == "STREAM" and grouped:
        message = f"{OUTPUT}Invalid result type. Your SELECT query produces a TABLE. Please use CREATE TABLE AS SELECT."
        raise Refusal(message, parsed.text)
    if parsed.has("EMIT", "FINAL") and not info.windowed:
        raise Refusal(f"{OUTPUT}EMIT FINAL is only supported for windowed aggregations.", parsed.text)
    state.topics.setdefault(topic, int(options.get("PARTITIONS", state.topics.get(first.topic, PARTITIONS))))
    state.sequence += 1
    prefix = "CTAS" if kind == "TABLE" else "CSAS"
    query = known.query if known is not None and known.query else f"{prefix}_{info.name}_{state.sequence}"
    text = f"{rewritten(parsed.text)};"
    state.sources[info.name] = Source(
        info.name,
        kind,
        topic,
        text,
        "TUMBLING" if info.windowed else None,
        options.get("KEY_FORMAT", first.key_format),
        options.get("VALUE_FORMAT", first.value_format),
        [[name, "STRING", ""] for name in _selected(parsed)],
        list(info.sources),
        query,
    )
    state.queries[query] = Query(query, text, list(info.sources), info.name)
    command = f"{kind.lower()}/`{info.name}`/create"
    return command_status(state, parsed, command, f"Created query with ID {query}", query, counted=True)


def insert_select(state: State, parsed: Parsed) -> Entity:
    """INSERT INTO .. SELECT."""
    info = describe(parsed.text)
    sink = state.sources.get(info.name)
    if sink is None:
        raise Refusal(f"{PREPARING}{info.name} does not exist.", parsed.text)
    if sink.kind == "TABLE":
        message = f"{PREPARING}INSERT INTO can only be used to insert into a stream. {info.name} is a table."
        raise Refusal(message, parsed.text)
    for source in info.sources:
        if source not in state.sources:
            raise Refusal(f"{PREPARING}{source} does not exist.", parsed.text)
    state.sequence += 1
    query = info.query_id.upper() or f"INSERTQUERY_{state.sequence}"
    if query in state.queries:
        raise Refusal(f"Query ID '{query}' already exists.", parsed.text)
    state.queries[query] = Query(query, parsed.text, list(info.sources), info.name)
    return command_status(state, parsed, f"stream/`{info.name}`/create", f"Created query with ID {query}", query, counted=True)


def create_type(state: State, parsed: Parsed) -> Entity:
    """CREATE TYPE."""
    info = describe(parsed.text)
    if info.name in state.types:
        if info.if_not_exists:
            return command_status(state, parsed, f"type/`{info.name}`/create", f"{info.name} is already registered")
        message = f"Cannot register custom type '{info.name}' since it is already registered with type: STRUCT"
        raise Refusal(message, parsed.text)
    state.types[info.name] = {"type": "STRUCT", "fields": [], "memberSchema": None, "definition": normal_form(parsed.text)}
    message = f"Registered custom type with name '{info.name}' and SQL type STRUCT"
    return command_status(state, parsed, f"type/`{info.name}`/create", message)


def _check_upgrade(known: Source, columns: list[list[str]], text: str) -> None:
    """An upgrade may only add columns at the end. The columns of SELECT * are unknown here."""
    if columns and known.columns and columns[: len(known.columns)] != known.columns:
        had, has = (", ".join(f"`{name}` {kind}" for name, kind, _ in found) for found in (known.columns, columns))
        message = (
            f"Cannot upgrade data source: DataSource '`{known.name}`' has schema = {had} which is not upgradeable to {has}."
        )
        raise Refusal(message, text)


def _selected(parsed: Parsed) -> list[str]:
    """The names of the columns that a SELECT returns, approximately."""
    begin, end = parsed.index("SELECT"), parsed.index("FROM")
    found: list[str] = []
    depth = 0
    for number in range((begin or 0) + 1, end or 0):
        text = parsed.tokens[number].text
        depth += (text == "(") - (text == ")")
        last = number + 1 == end or (parsed.tokens[number + 1].text == "," and not depth)
        if last and not depth and text not in {")", "*"}:
            found.append(parsed.name(number))
    return found
