"""Statements that change something."""

from __future__ import annotations

from typing import Any

from migrations.ksql.parse.normal import normal_form
from migrations.ksql.parse.statement import Kind, describe
from tests.ksqldb_server.refusal import Refusal
from tests.ksqldb_server.state import Query, Source, State
from tests.ksqldb_server.words import Words

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


class Ddl:
    """Executes on a state: the real one, or a sandbox."""

    def __init__(self, state: State) -> None:
        self.state = state

    def execute(self, text: str) -> Entity | None:
        """The answer to one statement; None where it is none of these. Raises `Refusal`."""
        words = Words(text)
        about = describe(text)
        if about.kind.source:
            return self._create(words)
        if about.kind is Kind.insert_select:
            return self._insert(words)
        if about.kind is Kind.create_type:
            return self._type(words)
        handlers = {"DROP": self._drop, "TERMINATE": self._terminate, "PAUSE": self._pause, "RESUME": self._pause}
        handler = handlers.get(words.upper[0])
        return None if handler is None else handler(words)

    # ---- creating

    def _create(self, words: Words) -> Entity:
        about, state = describe(words.text), self.state
        kind = "TABLE" if "TABLE" in about.words.split() else "STREAM"
        options = words.options()
        known = state.sources.get(about.name)
        self._check_options(words, options)
        topic = options.get("KAFKA_TOPIC", about.name if about.kind.query else "")
        if known is not None and not about.replace:
            if not about.if_not_exists:
                article = f"A {known.kind.lower()} with the same name already exists"
                prefix = OUTPUT if about.kind.query else ""
                raise Refusal(f"{prefix}Cannot add {kind.lower()} '{about.name}': {article}", words.text)
            state.topics.setdefault(topic, int(options.get("PARTITIONS", PARTITIONS)))  # the orphan that the real one leaves
            message = f"Cannot add {kind.lower()} `{about.name}`: A {known.kind.lower()} with the same name already exists."
            return {"@type": "warning_entity", "statementText": words.text, "message": message, "warnings": []}
        if known is not None and about.replace and not known.window and not about.windowed:
            _check_upgrade(known, words.columns() or [[name, "STRING", ""] for name in _selected(words)], words.text)
        if about.kind.query:
            return self._create_as(words, kind, topic, options)
        self._check_declared(words, kind, topic, options)
        state.topics.setdefault(topic, int(options.get("PARTITIONS", PARTITIONS)))
        state.sources[about.name] = Source(
            about.name,
            kind,
            topic,
            f"{_rewritten(words.text)};",
            options.get("WINDOW_TYPE"),
            options.get("KEY_FORMAT", "KAFKA"),
            options.get("VALUE_FORMAT", options.get("FORMAT", "JSON")),
            words.columns(),
            read_only="SOURCE" in about.words.split(),
        )
        return self._done(words, f"{kind.lower()}/`{about.name}`/create", f"{kind.capitalize()} created")

    def _check_options(self, words: Words, options: dict[str, str]) -> None:
        if unknown := sorted(options.keys() - OPTIONS):
            message = f"Failed to prepare statement: Invalid config variable(s) in the WITH clause: {', '.join(unknown)}"
            raise Refusal(message, words.text)
        if "CLEANUP_POLICY" in options:
            raise Refusal(
                "Invalid config variable in the WITH clause: CLEANUP_POLICY.\n"
                "The CLEANUP_POLICY config is automatically inferred based on the type of source (STREAM or TABLE).\n"
                "Users can't set the CLEANUP_POLICY config manually.",
                code=40000,
            )
        for name in ("KEY_FORMAT", "VALUE_FORMAT", "FORMAT"):
            if options.get(name, "JSON").upper() not in FORMATS:
                raise Refusal(f"Unknown format: {options[name]}", words.text)
        found = options.get("KAFKA_TOPIC", "")
        if {options.get(n, "").upper() for n in ("KEY_FORMAT", "VALUE_FORMAT", "FORMAT")} & {"AVRO", "PROTOBUF", "JSON_SR"}:
            message = f"Cannot create topic '{found}' with format AVRO without configuring 'ksql.schema.registry.url'"
            raise Refusal(message, code=42801)
        partitions = self.state.topics.get(found)
        wanted = options.get("PARTITIONS")
        replicas = options.get("REPLICAS", "1")
        if partitions is not None and ((wanted is not None and int(wanted) != partitions) or replicas != "1"):
            message = f"A Kafka topic with the name '{found}' already exists, with different partitions or replicas"
            raise Refusal(message, words.text, code=50000)

    def _check_declared(self, words: Words, kind: str, topic: str, options: dict[str, str]) -> None:
        columns = words.columns()
        if not topic:
            message = 'Failed to prepare statement: Missing required property "KAFKA_TOPIC" which has no default value.'
            raise Refusal(message, words.text)
        if "VALUE_FORMAT" not in options and "FORMAT" not in options:
            raise Refusal("Statement is missing the 'VALUE_FORMAT' property from the WITH clause.", words.text)
        if topic not in self.state.topics and "PARTITIONS" not in options:
            message = (
                f"Topic '{topic}' does not exist. If you want to create a new topic for the stream/table please re-run the "
                "statement providing the required 'PARTITIONS' configuration in the WITH clause (and optionally 'REPLICAS')."
            )
            raise Refusal(message, code=40000)
        keys = [name for name, _, key in columns if key]
        if kind == "TABLE" and not keys:
            raise Refusal("Tables require a PRIMARY KEY. Please define the PRIMARY KEY.", words.text)
        if len(keys) > 1 and options.get("KEY_FORMAT", "KAFKA").upper() == "KAFKA":
            raise Refusal("Key format does not support schema.\nformat: KAFKA", words.text)
        timestamp = options.get("TIMESTAMP", "").upper()
        if timestamp and timestamp not in {name for name, _, _ in columns}:
            message = f"The TIMESTAMP column set in the WITH clause does not exist in the schema: '{timestamp}'"
            raise Refusal(message, words.text)
        for _, type_, _ in columns:
            self._check_type(words, type_)

    def _check_type(self, words: Words, type_: str) -> None:
        plain = type_.split("(", maxsplit=1)[0].split("<", maxsplit=1)[0]
        builtin = {"STRING", "INTEGER", "BIGINT", "DOUBLE", "BOOLEAN", "DECIMAL", "TIMESTAMP", "DATE", "TIME", "BYTES"}
        if plain not in builtin | {"STRUCT", "ARRAY", "MAP"} | set(self.state.types):
            raise Refusal(f"Failed to prepare statement: Cannot resolve unknown type: {plain}", words.text)

    def _create_as(self, words: Words, kind: str, topic: str, options: dict[str, str]) -> Entity:
        about, state = describe(words.text), self.state
        known = state.sources.get(about.name)
        for source in about.sources:
            if source not in state.sources:
                raise Refusal(f"{PREPARING}{source} does not exist.", words.text)
        first = state.sources[about.sources[0]]
        grouped = words.has("GROUP", "BY")
        if kind == "TABLE" and first.window and first.kind == "TABLE":
            raise Refusal(f"{OUTPUT}KSQL does not support persistent queries on windowed tables.", words.text)
        if known is not None and (about.windowed or known.window):
            raise Refusal("Upgrades not yet supported for StreamWindowedAggregate", code=40000)
        if kind == "STREAM" and grouped:
            message = f"{OUTPUT}Invalid result type. Your SELECT query produces a TABLE. Please use CREATE TABLE AS SELECT."
            raise Refusal(message, words.text)
        if words.has("EMIT", "FINAL") and not about.windowed:
            raise Refusal(f"{OUTPUT}EMIT FINAL is only supported for windowed aggregations.", words.text)
        state.topics.setdefault(topic, int(options.get("PARTITIONS", state.topics.get(first.topic, PARTITIONS))))
        state.sequence += 1
        prefix = "CTAS" if kind == "TABLE" else "CSAS"
        query = known.query if known is not None and known.query else f"{prefix}_{about.name}_{state.sequence}"
        text = f"{_rewritten(words.text)};"
        state.sources[about.name] = Source(
            about.name,
            kind,
            topic,
            text,
            "TUMBLING" if about.windowed else None,
            options.get("KEY_FORMAT", first.key_format),
            options.get("VALUE_FORMAT", first.value_format),
            [[name, "STRING", ""] for name in _selected(words)],
            list(about.sources),
            query,
        )
        state.queries[query] = Query(query, text, list(about.sources), about.name)
        command = f"{kind.lower()}/`{about.name}`/create"
        return self._done(words, command, f"Created query with ID {query}", query, counted=True)

    def _insert(self, words: Words) -> Entity:
        about, state = describe(words.text), self.state
        sink = state.sources.get(about.name)
        if sink is None:
            raise Refusal(f"{PREPARING}{about.name} does not exist.", words.text)
        if sink.kind == "TABLE":
            message = f"{PREPARING}INSERT INTO can only be used to insert into a stream. {about.name} is a table."
            raise Refusal(message, words.text)
        for source in about.sources:
            if source not in state.sources:
                raise Refusal(f"{PREPARING}{source} does not exist.", words.text)
        state.sequence += 1
        query = about.query_id.upper() or f"INSERTQUERY_{state.sequence}"
        if query in state.queries:
            raise Refusal(f"Query ID '{query}' already exists.", words.text)
        state.queries[query] = Query(query, words.text, list(about.sources), about.name)
        return self._done(words, f"stream/`{about.name}`/create", f"Created query with ID {query}", query, counted=True)

    def _type(self, words: Words) -> Entity:
        about, state = describe(words.text), self.state
        if about.name in state.types:
            if about.if_not_exists:
                return self._done(words, f"type/`{about.name}`/create", f"{about.name} is already registered")
            message = f"Cannot register custom type '{about.name}' since it is already registered with type: STRUCT"
            raise Refusal(message, words.text)
        state.types[about.name] = {"type": "STRUCT", "fields": [], "memberSchema": None, "definition": normal_form(words.text)}
        message = f"Registered custom type with name '{about.name}' and SQL type STRUCT"
        return self._done(words, f"type/`{about.name}`/create", message)

    # ---- ending

    def _drop(self, words: Words) -> Entity:
        state, what = self.state, words.upper[1]
        if_exists = words.upper[2:4] == ["IF", "EXISTS"]
        name = words.name(4 if if_exists else 2)
        if what == "TYPE":
            if state.types.pop(name, None) is None and not if_exists:
                raise Refusal(f"Type {name} does not exist.", words.text)
            return self._done(words, f"type/`{name}`/drop", f"Dropped type '{name}'")
        source = state.sources.get(name)
        if source is None:
            if if_exists:
                return self._done(words, f"{what.lower()}/`{name}`/drop", f"Source `{name}` does not exist.")
            raise Refusal(f"{what.capitalize()} {name} does not exist.", words.text)
        if source.kind != what:
            message = f"Incompatible data source type is {source.kind.lower()}, but statement was DROP {what.lower()}"
            raise Refusal(message, words.text)
        readers = [other.name for other in state.sources.values() if name in other.sources]
        if readers:
            message = f"Cannot drop {name}.\nThe following streams and/or tables read from this source: [{', '.join(readers)}]."
            raise Refusal(message, words.text)
        busy = [
            query.id for query in state.queries.values() if query.id != source.query and name in (*query.sources, query.sink)
        ]
        if busy:
            raise Refusal(
                f"Cannot drop {name}.\nThe following queries write into this source: [{', '.join(busy)}].", words.text
            )
        if words.has("DELETE", "TOPIC"):
            others = [other.name for other in state.sources.values() if other.topic == source.topic and other is not source]
            if others:
                message = f"Refusing to delete topic. Found other data sources ({', '.join(others)}) using topic {source.topic}"
                raise Refusal(message, words.text, code=50000)
            state.topics.pop(source.topic, None)
        state.queries.pop(source.query, None)
        del state.sources[name]
        return self._done(words, f"{what.lower()}/`{name}`/drop", f"Source `{name}` (topic: {source.topic}) was dropped.")

    def _terminate(self, words: Words) -> Entity:
        name = words.name(1)
        if self.state.queries.pop(name, None) is None and name != "ALL":
            raise Refusal(f"Unknown queryId: {name}", words.text)
        return self._done(words, f"terminate/{name}/execute", "Query terminated.")

    def _pause(self, words: Words) -> Entity:
        name, state = words.name(1), self.state
        if name != "ALL" and name not in state.queries:
            raise Refusal(f"Unknown queryId: {name}", words.text)
        paused = words.upper[0] == "PAUSE"
        for query in state.queries.values():
            if name in {"ALL", query.id}:
                query.status = "PAUSED" if paused else "RUNNING"
        return self._done(
            words, f"{'pause' if paused else 'resume'}/{name}/execute", f"Query {'paused' if paused else 'resumed'}."
        )

    # ---- the answer

    def _done(self, words: Words, command: str, message: str, query: str = "", *, counted: bool = False) -> Entity:
        state = self.state
        if not counted:
            state.sequence += 1
        status = {"status": "SUCCESS", "message": message, "queryId": query or None}
        state.commands[command] = status
        state.executed.append(words.text)
        return {
            "@type": "currentStatus",
            "statementText": words.text if query else f"{_rewritten(words.text)};",
            "commandId": command,
            "commandStatus": status,
            "commandSequenceNumber": state.sequence,
            "warnings": [],
        }


def _check_upgrade(known: Source, columns: list[list[str]], text: str) -> None:
    """Columns are only added, at the end; of SELECT * nothing is known."""
    if columns and known.columns and columns[: len(known.columns)] != known.columns:
        had, has = (", ".join(f"`{name}` {kind}" for name, kind, _ in found) for found in (known.columns, columns))
        message = (
            f"Cannot upgrade data source: DataSource '`{known.name}`' has schema = {had} which is not upgradeable to {has}."
        )
        raise Refusal(message, text)


def _rewritten(text: str) -> str:
    """Another text of the same meaning, as the real server makes one: nobody may compare it with the file."""
    return normal_form(text).replace(" , ", ", ").replace("( ", "(").replace(" )", ")")


def _selected(words: Words) -> list[str]:
    """Names of the columns that a SELECT gives; roughly."""
    begin, end = words.index("SELECT"), words.index("FROM")
    found: list[str] = []
    depth = 0
    for number in range((begin or 0) + 1, end or 0):
        text = words.tokens[number].text
        depth += (text == "(") - (text == ")")
        last = number + 1 == end or (words.tokens[number + 1].text == "," and not depth)
        if last and not depth and text not in {")", "*"}:
            found.append(words.name(number))
    return found
