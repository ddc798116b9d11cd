"""Parses an Avro schema into types: names are resolved, what a decoder need not know is left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from tables.layouts.decoded import UnfitSchemaError
from tables.ticks import shown

PRIMITIVES = frozenset({"null", "boolean", "int", "long", "float", "double", "bytes", "string"})
_SIZES = {"null": 0, "boolean": 1, "float": 4, "double": 8}
MAX_SCALE = 400
MAX_SIZE = (1 << 31) - 1  # bytes of a fixed
MAX_DEPTH = 64  # types in types


@dataclass(eq=False)
class AvroType:
    """A type. A record's fields are filled in after it got its name, because it may hold itself."""

    kind: str
    logical: str = ""
    name: str = ""
    scale: int = 0  # of a decimal
    size: int = 0  # of a fixed
    symbols: tuple[str, ...] = ()  # of an enum
    items: AvroType | None = None  # of an array or a map
    branches: tuple[AvroType, ...] = ()  # of a union
    fields: list[tuple[str, AvroType]] = field(default_factory=list)  # of a record
    _sizes: list[int | None] = field(default_factory=list, repr=False)  # once it was asked for

    def constant_size(self) -> int | None:
        """How many bytes each value takes; None where that differs. It is computed once: records may share others."""
        if self.kind == "fixed":
            return self.size
        if self.kind != "record":
            return _SIZES.get(self.kind)
        if not self._sizes:
            self._sizes.append(None)  # that of a record that holds itself
            sizes = [kind.constant_size() for _, kind in self.fields]
            self._sizes[0] = None if None in sizes else sum(size for size in sizes if size is not None)
        return self._sizes[0]

    def __str__(self) -> str:
        if self.kind == "union":
            return " or ".join(str(branch) for branch in self.branches)
        return f"{self.kind} ({self.logical})" if self.logical else self.kind


def parse_schema(text: str, references: Sequence[str] = ()) -> AvroType:
    """The record that a schema describes. `references`: schemas whose names it uses, each after those that it uses itself.

    Raises `UnfitSchemaError`.
    """
    parser = _Parser()
    try:
        for reference in references:
            parser.parse(msgspec.json.decode(reference), "")
        found = parser.parse(msgspec.json.decode(text), "")
    except msgspec.DecodeError as error:
        raise UnfitSchemaError(f"it is not an Avro schema in JSON: {error}") from None
    except (KeyError, TypeError, AttributeError, ValueError, RecursionError) as error:
        if isinstance(error, UnfitSchemaError):
            raise
        raise UnfitSchemaError(f"it is not an Avro schema: {error!r}") from None
    if found.kind != "record":
        raise UnfitSchemaError(f"it is {found.kind}, and a tick is a record")
    return found


class _Parser:
    def __init__(self) -> None:
        self._names: dict[str, AvroType] = {}
        self._depth = 0

    def parse(self, schema: Any, space: str) -> AvroType:
        """The type that a part of a schema describes."""
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise UnfitSchemaError(f"its types are more than {MAX_DEPTH} deep in one another")
        found = self._parsed(schema, space)
        self._depth -= 1
        return found

    def _parsed(self, schema: Any, space: str) -> AvroType:  # noqa: PLR0911  # one for each form of a schema
        if isinstance(schema, str):
            return AvroType(schema) if schema in PRIMITIVES else self._known(schema, space)
        if isinstance(schema, list):
            branches = tuple(self.parse(branch, space) for branch in schema)
            if any(branch.kind == "union" for branch in branches):
                raise UnfitSchemaError("a union is directly inside another one")
            return AvroType("union", branches=branches)
        kind = schema["type"]
        if not isinstance(kind, str):
            return self.parse(kind, space)
        if kind in PRIMITIVES:
            return self._logical(AvroType(kind), schema)
        if kind in ("array", "map"):
            return AvroType(kind, items=self.parse(schema["items" if kind == "array" else "values"], space))
        if kind in ("record", "error", "enum", "fixed"):
            return self._named(kind, schema, space)
        return self._known(kind, space)

    def _named(self, kind: str, schema: Any, space: str) -> AvroType:
        name = _full(schema["name"], schema.get("namespace", space))
        found = self._names[name] = AvroType("record" if kind == "error" else kind, name=name)
        if kind == "enum":
            found.symbols = tuple(str(symbol) for symbol in schema["symbols"])
        elif kind == "fixed":
            found.size = int(schema["size"])
            if not 0 <= found.size <= MAX_SIZE:
                raise UnfitSchemaError(f"fixed {shown(name)} has a size of {shown(found.size)}")
            self._logical(found, schema)
        else:
            space = name.rpartition(".")[0]
            found.fields += [(str(field["name"]), self.parse(field["type"], space)) for field in schema["fields"]]
        return found

    @staticmethod
    def _logical(found: AvroType, schema: Any) -> AvroType:
        """Take over a logical type. One that does not fit its type is ignored, as the specification says."""
        logical, scale = str(schema.get("logicalType", "")), schema.get("scale", 0)
        usable = {
            "decimal": found.kind in ("bytes", "fixed") and type(scale) is int and 0 <= scale <= MAX_SCALE,
            "uuid": found.kind == "string" or (found.kind == "fixed" and found.size == 16),  # noqa: PLR2004  # bytes
            "date": found.kind == "int",
            "time-millis": found.kind == "int",
        }
        if usable.get(logical, found.kind == "long"):
            found.logical = logical
            found.scale = scale if logical == "decimal" else 0
        return found

    def _known(self, name: str, space: str) -> AvroType:
        found = self._names.get(_full(name, space)) or self._names.get(name)
        if found is None:
            raise UnfitSchemaError(f"it uses a type {shown(name)}, which it does not define")
        return found


def _full(name: str, space: str) -> str:
    return name if "." in name or not space else f"{space}.{name}"
