"""CREATE STREAM, CREATE TABLE, CREATE TYPE and INSERT INTO .. SELECT."""

from __future__ import annotations

import string
from dataclasses import replace
from typing import Any

from migrations.ksql.parse.normal import normal_form
from migrations.ksql.parse.statement import describe
from tests.ksqldb_server.commands import command_status
from tests.ksqldb_server.expressions import unknown
from tests.ksqldb_server.parsed import Parsed
from tests.ksqldb_server.refusal import Refusal
from tests.ksqldb_server.rewriting import source_text
from tests.ksqldb_server.schema import Columns, check_formats, produces_table, result_columns, type_from
from tests.ksqldb_server.sqltypes import SqlType
from tests.ksqldb_server.state import Query, Source, State
from tests.ksqldb_server.words import PSEUDO_COLUMNS

PARTITIONS = 1
FORMATS = {"KAFKA", "JSON", "JSON_SR", "DELIMITED", "AVRO", "PROTOBUF", "PROTOBUF_NOSR", "NONE"}
OPTIONS = {
    *("KAFKA_TOPIC", "PARTITIONS", "REPLICAS", "KEY_FORMAT", "VALUE_FORMAT", "FORMAT", "KEY_DELIMITER", "VALUE_DELIMITER"),
    *("TIMESTAMP", "TIMESTAMP_FORMAT", "WINDOW_TYPE", "WINDOW_SIZE", "WRAP_SINGLE_VALUE", "RETENTION_MS", "QUERY_ID"),
    *("CLEANUP_POLICY", "KEY_SCHEMA_ID", "VALUE_SCHEMA_ID", "KEY_SCHEMA_FULL_NAME", "VALUE_SCHEMA_FULL_NAME"),
    *("KEY_PROTOBUF_NULLABLE_REPRESENTATION", "VALUE_PROTOBUF_NULLABLE_REPRESENTATION", "SOURCED_BY_CONNECTOR"),
    "VALUE_AVRO_SCHEMA_FULL_NAME",
}
TOPIC_CHARACTERS = set(string.ascii_letters + string.digits + "._-")
NAME_CHARACTERS = set(string.ascii_letters + string.digits + "_-")
QUERY_ID_CHARACTERS = set(string.ascii_letters + string.digits + "_")
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
            columns = [] if info.kind.query else columns_of(state, parsed)
            text = source_text(parsed, kind, _partitions(state, parsed, topic), columns)
            raise Refusal(f"{prefix}Cannot add {kind.lower()} '{info.name}': {article}", text)
        state.topics.setdefault(
            topic, int(options.get("PARTITIONS", PARTITIONS))
        )  # the real server too leaves this topic behind
        message = f"Cannot add {kind.lower()} `{info.name}`: A {known.kind.lower()} with the same name already exists."
        return {"@type": "warning_entity", "statementText": parsed.text, "message": message, "warnings": []}
    if known is not None and info.replace and not known.window and not info.windowed:
        _check_upgrade(known, columns_of(state, parsed), parsed.text)
    if info.kind.query:
        return _create_as(state, parsed, kind, topic, options)
    columns = _check_declared(state, parsed, kind, topic, options)
    text = source_text(parsed, kind, PARTITIONS, columns)
    state.topics.setdefault(topic, int(options.get("PARTITIONS", PARTITIONS)))
    state.sources[info.name] = Source(
        info.name,
        kind,
        topic,
        text,
        options.get("WINDOW_TYPE"),
        options.get("KEY_FORMAT", "KAFKA"),
        options.get("VALUE_FORMAT", options.get("FORMAT", "JSON")),
        columns,
        read_only="SOURCE" in info.words.split(),
    )
    command = f"{kind.lower()}/`{info.name}`/create"
    return command_status(state, parsed, command, f"{kind.capitalize()} created", text=text)


def _partitions(state: State, parsed: Parsed, topic: str) -> int:
    """The partitions of a topic; of one that does not exist, those of the query's source."""
    query = parsed.tree.query
    source = state.sources.get(query.name) if query is not None else None
    return state.topics.get(topic, state.topics.get(source.topic, PARTITIONS) if source is not None else PARTITIONS)


def _check_options(  # noqa: C901  # one branch per error
    state: State, parsed: Parsed, options: dict[str, str]
) -> None:
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
    if not set(parsed.tree.name) <= NAME_CHARACTERS:
        message = "Illegal argument at Line: 1, Col: 15. Source names may only contain alphanumeric values, '_' or '-'."
        raise Refusal(message, parsed.text)
    delimiter = options.get("KEY_DELIMITER", "|")
    if len(delimiter) != 1 and delimiter not in {"TAB", "SPACE"}:
        message = f"Configuration KEY_DELIMITER is invalid: Invalid delimiter value: '{delimiter}'."
        raise Refusal(f"Failed to prepare statement: {message}", parsed.text)
    for name in ("KEY_FORMAT", "VALUE_FORMAT", "FORMAT"):
        if options.get(name, "JSON").upper() not in FORMATS:
            raise Refusal(f"Unknown format: {options[name]}", parsed.text)
    found = options.get("KAFKA_TOPIC", "")
    formats = {n: options.get(n, options.get("FORMAT", "")).upper() for n in ("KEY_FORMAT", "VALUE_FORMAT")}
    if set(formats.values()) & {"AVRO", "PROTOBUF", "JSON_SR"} and not state.registry:
        message = f"Cannot create topic '{found}' with format AVRO without configuring 'ksql.schema.registry.url'"
        raise Refusal(message, code=42801)
    for part in ("KEY", "VALUE"):
        name = formats[f"{part}_FORMAT"]
        if f"{part}_SCHEMA_FULL_NAME" in options and name not in {"AVRO", "PROTOBUF", "JSON_SR", ""}:
            raise Refusal(f"{name} does not support the following configs: [fullSchemaName]", parsed.text)
        nullable = f"{part}_PROTOBUF_NULLABLE_REPRESENTATION"
        if nullable in options and not name.startswith("PROTOBUF"):
            raise Refusal(f"Property {nullable} can only be enabled with protobuf format", parsed.text)
    partitions = state.topics.get(found)
    wanted = options.get("PARTITIONS")
    replicas = options.get("REPLICAS", "1")
    if partitions is not None and ((wanted is not None and int(wanted) != partitions) or replicas != "1"):
        message = f"A Kafka topic with the name '{found}' already exists, with different partitions or replicas"
        raise Refusal(message, parsed.text, code=50000)


def columns_of(state: State, parsed: Parsed) -> Columns:
    """The columns that a CREATE declares, or those that its query gives. Raises `Refusal`."""
    query = parsed.tree.query
    if query is not None:
        return result_columns(state, query, parsed.text)
    columns = []
    for element in parsed.tree.elements:
        kind = _resolved(state, element.type)
        if name := unknown(kind):
            raise Refusal(f"Failed to prepare statement: Cannot resolve unknown type: {name}", parsed.text)
        if element.name in PSEUDO_COLUMNS:
            message = f"'{element.name}' is a reserved column name. You cannot use it as a name for a column."
            raise Refusal(message, parsed.text)
        columns.append([element.name, str(kind), "KEY" if element.role in {"KEY", "PRIMARY KEY"} else ""])
    return columns


def _resolved(state: State, kind: SqlType | None) -> SqlType | None:
    """The type with registered types in their places."""
    if kind is None:
        return None
    if kind.name.startswith("?") and kind.name[1:] in state.types:
        definition = str(state.types[kind.name[1:]]["definition"])
        return type_from(definition.partition(" AS ")[2])
    return replace(kind, of=tuple(_resolved(state, inner) or inner for inner in kind.of))


def _check_declared(state: State, parsed: Parsed, kind: str, topic: str, options: dict[str, str]) -> Columns:
    if not topic:
        message = 'Failed to prepare statement: Missing required property "KAFKA_TOPIC" which has no default value.'
        raise Refusal(message, parsed.text)
    if not set(topic) <= TOPIC_CHARACTERS:
        raise Refusal(f"Failed to check if exists for topic: {topic}", parsed.text)
    if "VALUE_FORMAT" not in options and "FORMAT" not in options:
        raise Refusal("Statement is missing the 'VALUE_FORMAT' property from the WITH clause.", parsed.text)
    if topic not in state.topics and "PARTITIONS" not in options:
        message = (
            f"Topic '{topic}' does not exist. If you want to create a new topic for the stream/table please re-run the "
            "statement providing the required 'PARTITIONS' configuration in the WITH clause (and optionally 'REPLICAS')."
        )
        raise Refusal(message, code=40000)
    if topic not in state.topics and (int(options["PARTITIONS"]) < 1 or int(options.get("REPLICAS", 1)) > 1):
        raise Refusal(f"Failed to guarantee existence of topic {topic}", parsed.text, code=50000)
    wrong = "PRIMARY KEY" if kind == "STREAM" else "KEY"
    for element in parsed.tree.elements:
        if element.role == wrong:
            right = "KEY" if kind == "STREAM" else "PRIMARY KEY"
            raise Refusal(
                f"Column `{element.name}` is a '{wrong}' column: please use '{right}' for {kind.lower()}s.", parsed.text
            )
    columns = columns_of(state, parsed)
    keys = [name for name, _, key in columns if key]
    if kind == "TABLE" and not keys:
        raise Refusal("Tables require a PRIMARY KEY. Please define the PRIMARY KEY.", parsed.text)
    value_format = options.get("VALUE_FORMAT", options.get("FORMAT", ""))
    key_format = options.get("KEY_FORMAT", options.get("FORMAT", "KAFKA"))
    check_formats(columns, key_format, value_format, parsed.text)
    _check_timestamp(columns, options, parsed)
    return columns


def _check_timestamp(columns: Columns, options: dict[str, str], parsed: Parsed) -> None:
    timestamp = options.get("TIMESTAMP", "").upper()
    kinds = {name: kind for name, kind, _ in columns}
    if timestamp and columns and timestamp not in kinds:
        message = f"The TIMESTAMP column set in the WITH clause does not exist in the schema: '{timestamp}'"
        raise Refusal(message, parsed.text)
    kind = kinds.get(timestamp, "?")
    if kind == "STRING" and "TIMESTAMP_FORMAT" not in options:
        raise Refusal("A String timestamp field has been specified without also specifying the timestamp_format", parsed.text)
    if kind not in {"?", "STRING", "BIGINT", "TIMESTAMP"}:
        message = f"Timestamp column, `{timestamp}`, should be LONG(INT64), TIMESTAMP, or a String with a timestamp_format"
        raise Refusal(message, parsed.text)


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
    query_tree = parsed.tree.query
    assert query_tree is not None
    columns = result_columns(state, query_tree, parsed.text)
    if kind == "TABLE" and not produces_table(state, query_tree):
        message = f"{OUTPUT}Invalid result type. Your SELECT query produces a STREAM. Please use CREATE STREAM AS SELECT."
        raise Refusal(message, parsed.text)
    key_format = options.get("KEY_FORMAT", options.get("FORMAT", first.key_format))
    if key_format == "NONE" and any(key for _, _, key in columns):
        key_format = "KAFKA"  # the default, as the source has no key
    value_format = options.get("VALUE_FORMAT", options.get("FORMAT", first.value_format))
    check_formats(columns, key_format, value_format, "")
    _check_timestamp(columns, options, parsed)
    partitions = int(options.get("PARTITIONS", _partitions(state, parsed, topic)))
    state.topics.setdefault(topic, partitions)
    state.sequence += 1
    prefix = "CTAS" if kind == "TABLE" else "CSAS"
    query = known.query if known is not None and known.query else f"{prefix}_{info.name}_{state.sequence}"
    text = source_text(parsed, kind, partitions)
    state.sources[info.name] = Source(
        info.name,
        kind,
        topic,
        text,
        "TUMBLING" if info.windowed else None,
        key_format,
        value_format,
        columns,
        list(info.sources),
        query,
    )
    state.queries[query] = Query(query, text, list(info.sources), info.name)
    command = f"{kind.lower()}/`{info.name}`/create"
    return command_status(state, parsed, command, f"Created query with ID {query}", query, counted=True, text=text)


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
    if not set(info.query_id) <= QUERY_ID_CHARACTERS:
        raise Refusal(f"Query IDs may contain only alphanumeric characters and '_'. Got: '{info.query_id}'", parsed.text)
    assert parsed.tree.query is not None
    _check_fits(sink, result_columns(state, parsed.tree.query, parsed.text), parsed.text)
    state.sequence += 1
    query = info.query_id.upper() or f"INSERTQUERY_{state.sequence}"
    if query in state.queries:
        raise Refusal(f"Query ID '{query}' already exists.", parsed.text)
    state.queries[query] = Query(query, parsed.text, list(info.sources), info.name)
    return command_status(state, parsed, f"stream/`{info.name}`/create", f"Created query with ID {query}", query, counted=True)


def _check_fits(sink: Source, columns: Columns, text: str) -> None:
    """The result of an INSERT must have the columns of its target: names and types, keys and values each in order."""
    for key in ("KEY", ""):
        given, wanted = ([one for one in found if one[2] == key] for found in (columns, sink.columns))
        same = len(given) == len(wanted) and all(
            one[0] == other[0] and (one[1] == other[1] or "?" in (one[1], other[1]))
            for one, other in zip(given, wanted, strict=True)
        )
        if sink.columns and not same:
            raise Refusal("Incompatible schema between results and sink.", text)


def create_type(state: State, parsed: Parsed) -> Entity:
    """CREATE TYPE."""
    info = describe(parsed.text)
    if info.name in state.types:
        if info.if_not_exists:
            return command_status(state, parsed, f"type/`{info.name}`/create", f"{info.name} is already registered")
        message = f"Cannot register custom type '{info.name}' since it is already registered with type: "
        message += str(type_from(str(state.types[info.name]["definition"]).partition(" AS ")[2]))
        raise Refusal(message, parsed.text)
    if (kind := parsed.tree.elements[0].type) is not None and (name := unknown(_resolved(state, kind))):
        raise Refusal(f"Failed to prepare statement: Cannot resolve unknown type: {name}", parsed.text)
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
