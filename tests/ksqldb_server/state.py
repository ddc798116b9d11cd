"""What the stand-in remembers: sources, queries, types and topics, and every statement it executed."""

from __future__ import annotations

import copy
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import orjson


@dataclass
class Source:
    """A stream or table; `query` is the one that writes to it since its creation."""

    name: str
    kind: str
    topic: str
    text: str
    window: str | None
    key_format: str
    value_format: str
    columns: list[list[str]]  # name, type, KEY or nothing
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


@dataclass
class State:
    """All of it; `executed` has the statements that changed something, as they were sent."""

    sources: dict[str, Source] = field(default_factory=dict)
    queries: dict[str, Query] = field(default_factory=dict)
    types: dict[str, Any] = field(default_factory=dict)
    topics: dict[str, int] = field(default_factory=dict)  # partitions by name
    commands: dict[str, Any] = field(default_factory=dict)  # status by command id
    executed: list[str] = field(default_factory=list)
    sequence: int = -1
    committed: bool = True  # whether queries have committed how far they have read; a new one has not

    def sandbox(self) -> State:
        """A copy in which statements can be tried."""
        return copy.deepcopy(self)

    def save(self, path: Path) -> None:
        """Write it, all or nothing."""
        fresh = path.with_suffix(".new")
        fresh.write_bytes(orjson.dumps(asdict(self)))
        fresh.replace(path)

    @classmethod
    def load(cls, path: Path) -> State:
        """Read what `save` wrote."""
        data = orjson.loads(path.read_bytes())
        data["sources"] = {name: Source(**row) for name, row in data["sources"].items()}
        data["queries"] = {name: Query(**row) for name, row in data["queries"].items()}
        return cls(**data)
