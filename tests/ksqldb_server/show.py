"""Statements that change nothing: SHOW, LIST, DESCRIBE, EXPLAIN and ASSERT; and INSERT VALUES, whose rows are not kept."""

from __future__ import annotations

from typing import Any

from tests.ksqldb_server.connectors import show_connectors
from tests.ksqldb_server.ddl import execute
from tests.ksqldb_server.parsed import Parsed
from tests.ksqldb_server.refusal import Refusal
from tests.ksqldb_server.state import Query, Source, State

HOST = "127.0.0.1:8088"
Entity = dict[str, Any]


def answer(state: State, text: str) -> Entity | None:
    """The response entity of one of these statements; None for another one. Raises `Refusal`."""
    parsed = Parsed(text)
    first = parsed.upper[0]
    if first in {"SHOW", "LIST"} or parsed.upper[:2] in (["DESCRIBE", "STREAMS"], ["DESCRIBE", "TABLES"]):
        return _show(state, parsed)
    if first == "DESCRIBE":
        return _describe(state, parsed)
    if first == "EXPLAIN":
        return _explain(state, parsed)
    if first == "ASSERT":
        return _assert(state, parsed)
    if parsed.starts("INSERT", "INTO"):
        return _insert_values(state, parsed)
    return None


def _show(state: State, parsed: Parsed) -> Entity:  # noqa: C901, PLR0911  # one branch per statement
    what = next(word for word in parsed.upper[1:] if word != "ALL")
    extended = parsed.upper[-1] == "EXTENDED" or parsed.upper[0] == "DESCRIBE"
    base: Entity = {"@type": what.lower(), "statementText": parsed.text}
    if what in {"STREAMS", "TABLES"}:
        found = [source for source in state.sources.values() if source.kind == what[:-1]]
        if extended:
            rows = [description(state, source, extended=parsed.upper[0] != "DESCRIBE") for source in found]
            return base | {"@type": "source_descriptions", "sourceDescriptions": rows, "warnings": []}
        return base | {what.lower(): [_row(source) for source in found], "warnings": []}
    if what == "QUERIES":
        if extended:
            rows = [query_description(state, query) for query in state.queries.values()]
            return base | {"@type": "query_descriptions", "queryDescriptions": rows, "warnings": []}
        return base | {"queries": [_query(state, query) for query in state.queries.values()], "warnings": []}
    if what == "TYPES":
        types = {name: {k: v for k, v in row.items() if k != "definition"} for name, row in state.types.items()}
        return base | {"@type": "type_list", "types": types, "warnings": []}
    if what == "TOPICS":
        rows = [{"name": name, "replicaInfo": [1] * count} for name, count in state.topics.items()]
        if extended:
            rows = [row | {"consumerCount": 0, "consumerGroupCount": 0} for row in rows]
        return base | {"@type": "kafka_topics_extended" if extended else "kafka_topics", "topics": rows, "warnings": []}
    if what == "PROPERTIES":
        one = {"name": "ksql.extension.dir", "scope": "KSQL", "value": "ext", "editable": False, "level": "SERVER"}
        return base | {
            "properties": [one],
            "overwrittenProperties": [],
            "defaultProperties": ["metric.reporters"],
            "warnings": [],
        }
    if what == "CONNECTORS":
        return show_connectors(state, parsed)
    if what == "FUNCTIONS":
        one = {"name": "LATEST_BY_OFFSET", "type": "AGGREGATE", "category": "AGGREGATE"}
        return base | {"@type": "function_names", "functions": [one], "warnings": []}
    if what == "VARIABLES":
        return base | {"variables": [], "warnings": []}
    raise Refusal(f"line 1:6: Syntax Error\nUnknown statement '{what}'", parsed.text)


def _row(source: Source) -> Entity:
    return {
        "type": source.kind,
        "name": source.name,
        "topic": source.topic,
        "keyFormat": source.key_format,
        "valueFormat": source.value_format,
        "isWindowed": source.window is not None,
    }


def _query(state: State, query: Query) -> Entity:
    return {
        "queryString": query.text,
        "sinks": [query.sink],
        "sinkKafkaTopics": [state.sources[query.sink].topic] if query.sink in state.sources else [],
        "id": query.id,
        "statusCount": {query.status: 1},
        "queryType": "PERSISTENT",
        "state": "RUNNING",  # also of a paused query
    }


def description(state: State, source: Source, *, extended: bool) -> Entity:
    """The description of a source by DESCRIBE."""
    queries = state.queries.values()
    group = f"_confluent-ksql-default_query_{source.query}"
    offsets = [{"partition": 0, "logStartOffset": 0, "logEndOffset": 0, "consumerOffset": 0}]
    topics = [{"kafkaTopic": state.sources[name].topic, "offsets": offsets} for name in source.sources if name in state.sources]
    summaries = [{"groupId": group, "topicSummaries": topics if state.committed else []}] if source.query and extended else []
    cluster = [{"name": "messages-per-sec", "host": HOST, "value": 0.0, "timestamp": 1}]
    return {
        "name": source.name,
        "windowType": source.window,
        "readQueries": [_query(state, query) for query in queries if source.name in query.sources],
        "writeQueries": [_query(state, query) for query in queries if source.name == query.sink],
        "fields": [_field(*column) for column in source.columns],
        "type": source.kind,
        "timestamp": "",
        "statistics": "",
        "errorStats": "",
        "extended": extended,
        "keyFormat": source.key_format,
        "valueFormat": source.value_format,
        "topic": source.topic,
        "partitions": state.topics.get(source.topic, 0) if extended else 0,
        "replication": 1 if extended else 0,
        "statement": source.text,
        "queryOffsetSummaries": summaries,
        "sourceConstraints": [other.name for other in state.sources.values() if source.name in other.sources],
        "clusterStatistics": cluster if extended else [],
        "clusterErrorStats": [],
    }


def _field(name: str, type_: str, key: str) -> Entity:
    schema: Entity = {"type": type_.split("(", maxsplit=1)[0], "fields": None, "memberSchema": None}
    if type_.startswith("DECIMAL("):
        precision, scale = type_[8:-1].split(",")
        schema["parameters"] = {"precision": int(precision), "scale": int(scale)}
    return {"name": name, "schema": schema} | ({"type": "KEY"} if key else {})


def query_description(state: State, query: Query) -> Entity:
    """The description of a query by EXPLAIN and SHOW QUERIES EXTENDED."""
    sink = state.sources.get(query.sink)
    return {
        "id": query.id,
        "statementText": query.text,
        "windowType": sink.window if sink is not None else None,
        "fields": [_field(*column) for column in sink.columns] if sink is not None else [],
        "sources": query.sources,
        "sinks": [query.sink],
        "topology": "Topologies:\n",
        "executionPlan": "",
        "overriddenProperties": {},
        "ksqlHostQueryStatus": {HOST: query.status},
        "queryType": "PERSISTENT",
        "queryErrors": [{"timestamp": 0, "errorMessage": text, "type": "UNKNOWN"} for text in query.errors],
        "tasksMetadata": [],
        "consumerGroupId": f"_confluent-ksql-default_query_{query.id}",
        "state": "RUNNING",
    }


def _describe(state: State, parsed: Parsed) -> Entity:
    if parsed.upper[1] == "FUNCTION":
        rows = [{"arguments": [], "returnType": "T", "description": "", "argumentTypes": ["T"]}]
        about = {
            "description": "",
            "author": "Confluent",
            "version": "",
            "path": "internal",
            "functions": rows,
            "type": "AGGREGATE",
        }
        return {"@type": "describe_function", "statementText": parsed.text, "name": parsed.name(2), **about, "warnings": []}
    name = parsed.name(1)
    if name not in state.sources:
        raise Refusal(f"Could not find STREAM/TABLE '{name}' in the Metastore", parsed.text)
    found = description(state, state.sources[name], extended=parsed.upper[-1] == "EXTENDED")
    return {"@type": "sourceDescription", "statementText": parsed.text, "sourceDescription": found, "warnings": []}


def _explain(state: State, parsed: Parsed) -> Entity:
    base = {"@type": "queryDescription", "statementText": parsed.text, "warnings": []}
    if len(parsed.tokens) == 2:  # EXPLAIN id
        name = parsed.name(1)
        if name not in state.queries:
            message = f"Query with id:{name} does not exist, use SHOW QUERIES to view the full set of queries."
            raise Refusal(message, parsed.text)
        return base | {"queryDescription": query_description(state, state.queries[name])}
    if not parsed.has("SELECT"):
        raise Refusal("The provided statement does not run a ksql query", parsed.text)
    trial = state.sandbox()
    inner = parsed.text[parsed.tokens[1].start :]
    before = set(trial.queries)
    if parsed.upper[1] != "SELECT":
        execute(trial, inner)
    fresh = [query for name, query in trial.queries.items() if name not in before]
    query = fresh[0] if fresh else Query("transient_1", inner, [], "")
    return base | {"queryDescription": query_description(trial, query) | {"ksqlHostQueryStatus": {}, "state": None}}


def _assert(state: State, parsed: Parsed) -> Entity:
    """ASSERT TOPIC and ASSERT SCHEMA: a trial does not look."""
    absent = parsed.upper[1] == "NOT"
    if parsed.index("SCHEMA") in {1, 3}:
        return _assert_schema(state, parsed, absent=absent)
    at = parsed.index("TOPIC") or 0
    topic = parsed.tokens[at + 1].text.strip("'")
    exists = topic in state.topics
    if state.trial:
        return {}
    if exists == absent:
        raise Refusal(f"Topic {topic} {'exists' if absent else 'does not exist'}", code=41700)
    actual = {"PARTITIONS": state.topics.get(topic, 0), "REPLICAS": 1}
    for name, wanted in parsed.options().items() if exists else ():
        if name not in actual:
            raise Refusal(f"Cannot assert unknown topic property: {name}", code=41700)
        if wanted != str(actual[name]):
            message = (
                f"Mismatched configuration for topic {topic}: For config {name.lower()}, expected {wanted} got {actual[name]}"
            )
            raise Refusal(message, code=41700)
    return {"@type": "assert_topic", "statementText": parsed.text, "topicName": topic, "exists": exists, "warnings": []}


def _assert_schema(state: State, parsed: Parsed, *, absent: bool) -> Entity:
    """By the server's source: nothing of it was recorded. Ids count from 1, in the order of the subjects."""
    subject = parsed.tree.name
    at = parsed.index("ID")
    number = int(parsed.tokens[at + 1].text) if at is not None else None
    exists = (subject in state.subjects if subject else True) and (number is None or 0 < number <= len(state.subjects))
    if not state.trial and exists == absent:
        named = (f" subject name {subject}" if subject else "") + (f" id {number}" if number is not None else "")
        raise Refusal(f"Schema with{named} {'exists' if absent else 'does not exist'}", code=41700)
    told = {"subject": subject or None, "id": number, "exists": exists}
    return {"@type": "assert_schema", "statementText": parsed.text, **told, "warnings": []}


def _insert_values(state: State, parsed: Parsed) -> Entity:
    source = state.sources.get(parsed.name(2))
    if source is None:
        raise Refusal(f"Exception while preparing statement: {parsed.name(2)} does not exist.", parsed.text)
    if source.read_only:
        raise Refusal(f"Cannot insert values into read-only table: {source.name}", code=40000)
    end = parsed.index("VALUES") or 0
    given = {parsed.name(n) for n in range(3, end) if parsed.tokens[n].text not in "(),"}
    keys = [name for name, _, key in source.columns if key]
    if source.kind == "TABLE" and given and (missing := [name for name in keys if name not in given]):
        message = (
            f"Failed to insert values into '{source.name}'. Value for primary key column(s) {', '.join(missing)} is required"
        )
        raise Refusal(message, parsed.text)
    state.executed.append(parsed.text)
    return {}
