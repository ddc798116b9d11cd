"""The catalog of a ksqlDB server: its sources, persistent queries and types, each with the server's own text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from migrations.ksql.parse.normal import normal_form
from migrations.ksql.parse.statement import Kind

CATALOG_STATEMENTS = "SHOW STREAMS EXTENDED; SHOW TABLES EXTENDED; LIST TYPES;"


@dataclass(frozen=True)
class SourceDescription:
    """A stream or table. `queries` are the ids of the queries that write to it, `readers` of those that read from it."""

    name: str
    kind: str  # STREAM or TABLE
    topic: str
    text: str
    windowed: bool
    queries: tuple[str, ...]
    readers: tuple[str, ...]
    keys: tuple[str, ...] = ()

    @property
    def queryable(self) -> bool:
        """Whether the server answers pull queries of it: it is a table that a query materializes."""
        return self.kind == "TABLE" and bool(self.queries)


@dataclass(frozen=True)
class Catalog:
    """Sources by name, and the texts of queries by id, of types and of connectors by name, as the server shows them.

    Connectors are there only if they were asked for; their text is their kind and class, as the server tells no more.
    """

    sources: Mapping[str, SourceDescription] = field(default_factory=dict)
    queries: Mapping[str, str] = field(default_factory=dict)
    types: Mapping[str, str] = field(default_factory=dict)
    connectors: Mapping[str, str] = field(default_factory=dict)

    def has(self, what: str, name: str) -> bool:
        """Whether the server has something of this name; `what` is STREAM, TABLE, TYPE, CONNECTOR or QUERY."""
        found: Mapping[str, object] = {"TYPE": self.types, "CONNECTOR": self.connectors, "QUERY": self.queries}.get(
            what, self.sources
        )
        return name in found

    def text_of(self, kind: Kind, name: str) -> str | None:
        """The server's text of what a statement creates; None if the server does not have it.

        `name` is the id of the query for an INSERT, else the name of the source or type.
        """
        if kind is Kind.insert_select:
            return self.queries.get(name)
        if kind is Kind.create_type:
            return self.types.get(name)
        if kind is Kind.create_connector:
            return self.connectors.get(name)
        source = self.sources.get(name)
        return None if source is None else source.text

    def query_of(self, kind: Kind, name: str) -> str:
        """The id of the query that a statement starts; empty if there is none. `name` is as in `text_of`.

        What an INSERT writes to a source is no query of the source's own.
        """
        if kind is Kind.insert_select:
            return name if name in self.queries else ""
        source = self.sources.get(name) if kind.query else None
        written = () if source is None else source.queries
        return next((query for query in written if self.queries.get(query, "")[:6].upper() != "INSERT"), "")


def parse_catalog(entities: Iterable[Mapping[str, Any]]) -> Catalog:
    """The catalog from the response to `CATALOG_STATEMENTS`. A source's text is that of DESCRIBE."""
    sources: dict[str, SourceDescription] = {}
    queries: dict[str, str] = {}
    types: dict[str, str] = {}
    for entity in entities:
        for source in entity.get("sourceDescriptions", ()):
            sources[source["name"]] = SourceDescription(
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
    return Catalog(sources, queries, types)


def parse_connectors(rows: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """The texts of connectors by name, from the response to SHOW CONNECTORS. Their states are no part of them."""
    return {
        str(row["name"]): orjson.dumps({"class": row.get("className"), "type": str(row.get("type")).lower()}).decode()
        for row in rows
    }


def query_lag(source: Mapping[str, Any]) -> dict[str, int]:
    """By topic: records that the query writing a source has still to read. `source` is the server's description of it.

    A topic is absent while the query has committed no offset of it.
    """
    topics = [topic for summary in source["queryOffsetSummaries"] for topic in summary["topicSummaries"]]
    return {
        topic["kafkaTopic"]: sum(max(0, int(one["logEndOffset"]) - int(one["consumerOffset"])) for one in topic["offsets"])
        for topic in topics
    }


def same_text(one: str, other: str) -> bool:
    """Whether two of the server's texts are the same statement. Only an upgraded server formats the same one differently."""
    if one == other or one.startswith("{"):
        return one == other
    return normal_form(one) == normal_form(other)
