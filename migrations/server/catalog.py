"""What a ksqlDB server has: sources, persistent queries and types, each with the server's own text of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from migrations.ksql.parse.normal import normal_form
from migrations.ksql.parse.statement import Kind
from migrations.plan.model import Statement

QUESTION = "SHOW STREAMS EXTENDED; SHOW TABLES EXTENDED; LIST TYPES;"


@dataclass(frozen=True)
class Source:
    """A stream or a table; `queries` are the ids of those that write to it."""

    name: str
    kind: str  # STREAM or TABLE
    topic: str
    text: str
    windowed: bool
    queries: tuple[str, ...]
    readers: tuple[str, ...]
    keys: tuple[str, ...] = ()


@dataclass(frozen=True)
class Catalogue:
    """By name, as the server shows it; `queries` and `types` by id and name, with their texts."""

    sources: Mapping[str, Source] = field(default_factory=dict)
    queries: Mapping[str, str] = field(default_factory=dict)
    types: Mapping[str, str] = field(default_factory=dict)

    def text_of(self, statement: Statement) -> str | None:
        """The server's text of what this statement makes, None where that is not there."""
        if statement.about.kind is Kind.insert_select:
            return self.queries.get(statement.name)
        if statement.about.kind is Kind.create_type:
            return self.types.get(statement.name)
        source = self.sources.get(statement.name)
        return None if source is None else source.text

    def query_of(self, statement: Statement) -> str:
        """The id of the query that this statement started; empty where there is none."""
        if statement.about.kind is Kind.insert_select:
            return statement.name if statement.name in self.queries else ""
        source = self.sources.get(statement.name)
        return source.queries[0] if source is not None and source.queries else ""


def read(entities: Iterable[Mapping[str, Any]]) -> Catalogue:
    """Make a catalogue of the answer to `QUESTION`; its `statement` of a source is that of DESCRIBE."""
    sources: dict[str, Source] = {}
    queries: dict[str, str] = {}
    types: dict[str, str] = {}
    for entity in entities:
        for source in entity.get("sourceDescriptions", ()):
            sources[source["name"]] = Source(
                source["name"],
                source["type"],
                source["topic"],
                source["statement"],
                source["windowType"] is not None,
                tuple(query["id"] for query in source["writeQueries"]),
                tuple(query["id"] for query in source["readQueries"]),
                tuple(field["name"] for field in source["fields"] if field.get("type") == "KEY"),
            )
            for query in (*source["readQueries"], *source["writeQueries"]):
                queries[query["id"]] = query["queryString"]
        for name, schema in (entity.get("types") or {}).items():
            types[name] = orjson.dumps(schema, option=orjson.OPT_SORT_KEYS).decode()
    return Catalogue(sources, queries, types)


def lag(source: Mapping[str, Any]) -> dict[str, int]:
    """By topic, records that the query which writes to a source has not read yet; `source` is the server's description of it.

    A topic of which it has committed nothing yet is not there.
    """
    topics = [topic for summary in source["queryOffsetSummaries"] for topic in summary["topicSummaries"]]
    return {
        topic["kafkaTopic"]: sum(max(0, int(one["logEndOffset"]) - int(one["consumerOffset"])) for one in topic["offsets"])
        for topic in topics
    }


def same_text(one: str, other: str) -> bool:
    """Whether two of the server's texts say the same; they are equal to the letter unless the server was upgraded."""
    if one == other or one.startswith("{"):
        return one == other
    return normal_form(one) == normal_form(other)
