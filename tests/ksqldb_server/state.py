"""The state of the stand-in: sources, queries, types, topics, and the executed statements."""

from __future__ import annotations

import copy
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import orjson


@dataclass
class Source:
    """A stream or table. `query` is the query of its CREATE .. AS SELECT."""

    name: str
    kind: str
    topic: str
    text: str
    window: str | None
    key_format: str
    value_format: str
    columns: list[list[str]]  # name, type, and KEY or an empty string
    sources: list[str] = field(default_factory=list)
    query: str = ""
    read_only: bool = False


@dataclass
class Query:
    """A persistent query."""

    id: str
    text: str
    sources: list[str]
    sink: str
    status: str = "RUNNING"
    errors: list[str] = field(default_factory=list)


@dataclass
class State:
    """The whole state. `executed` has the statements that changed something, as sent."""

    sources: dict[str, Source] = field(default_factory=dict)
    queries: dict[str, Query] = field(default_factory=dict)
    types: dict[str, Any] = field(default_factory=dict)
    topics: dict[str, int] = field(default_factory=dict)  # partitions by name
    commands: dict[str, Any] = field(default_factory=dict)  # status by command id
    executed: list[str] = field(default_factory=list)
    sequence: int = -1
    registry: bool = False  # whether the server has a Schema Registry
    subjects: list[str] = field(default_factory=list)  # of that registry
    rows: dict[str, Any] = field(default_factory=dict)  # of pull queries, by table: lists of values by column
    connectors: dict[str, Any] = field(default_factory=dict)
    connect: bool = True  # whether the server has a Kafka Connect
    trial: bool = False  # whether statements are only checked
    committed: bool = True  # whether queries have committed offsets; a new query has not

    def sandbox(self) -> State:
        """A copy to try statements in."""
        trial = copy.deepcopy(self)
        trial.trial = True
        return trial

    def save(self, path: Path) -> None:
        """Write the state atomically."""
        fresh = path.with_suffix(".new")
        fresh.write_bytes(orjson.dumps(asdict(self)))
        fresh.replace(path)

    @classmethod
    def load(cls, path: Path) -> State:
        """Read a state that `save` wrote."""
        data = orjson.loads(path.read_bytes())
        data["sources"] = {name: Source(**row) for name, row in data["sources"].items()}
        data["queries"] = {name: Query(**row) for name, row in data["queries"].items()}
        return cls(**data)
