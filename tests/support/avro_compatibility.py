"""Whether a reader with one Avro schema can read what was written with another: "Schema Resolution" in Avro's specification."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

PRIMITIVES = {"null", "boolean", "int", "long", "float", "double", "bytes", "string"}
PROMOTIONS = {
    "int": {"long", "float", "double"},
    "long": {"float", "double"},
    "float": {"double"},
    "string": {"bytes"},
    "bytes": {"string"},
}


def names(schema: Any, space: str = "", found: dict[str, Any] | None = None) -> dict[str, Any]:  # noqa: C901  # one branch for each type
    """The named types of a schema by full name. Raises `ValueError` where it is no Avro schema."""
    found = {} if found is None else found
    if isinstance(schema, list):
        for branch in schema:
            names(branch, space, found)
    elif isinstance(schema, dict):
        kind = schema.get("type")
        if kind in ("record", "error", "enum", "fixed"):
            full = full_name(schema["name"], schema.get("namespace", space))
            found[full] = schema
            for field in schema["fields"] if kind in ("record", "error") else ():
                names(field["type"], full.rpartition(".")[0], found)
        elif kind == "array":
            names(schema["items"], space, found)
        elif kind == "map":
            names(schema["values"], space, found)
        elif isinstance(kind, dict | list):
            names(kind, space, found)
        elif kind not in PRIMITIVES and kind not in found:
            raise ValueError(f"Undefined type: {kind}")
    elif not isinstance(schema, str):
        raise ValueError(f"Not a schema: {schema}")  # noqa: TRY004  # one error for all
    elif schema not in PRIMITIVES and schema not in found and full_name(schema, space) not in found:
        raise ValueError(f"Undefined name: {schema}")
    return found


def full_name(name: str, space: str) -> str:
    return name if "." in name or not space else f"{space}.{name}"


class Resolution:
    """One pair of schemas."""

    def __init__(self, reader: Any, writer: Any) -> None:
        self._reader_names, self._writer_names = names(reader), names(writer)
        self._seen: set[tuple[str, str]] = set()
        self.problems = list(self._check(reader, writer, ""))

    def _check(self, reader: Any, writer: Any, path: str) -> Iterator[str]:
        reader, writer = _named(reader, self._reader_names), _named(writer, self._writer_names)
        if isinstance(writer, list):
            for branch in writer:
                yield from self._check(reader, branch, path)
        elif isinstance(reader, list):
            if all(list(self._check(branch, writer, path)) for branch in reader):
                yield f"MISSING_UNION_BRANCH at {path or '/'}: {_kind(writer)}"
        elif _kind(reader) != _kind(writer):
            if _kind(reader) not in PROMOTIONS.get(_kind(writer), ()):
                yield f"TYPE_MISMATCH at {path or '/'}: reader {_kind(reader)}, writer {_kind(writer)}"
        else:
            yield from self._check_same(reader, writer, path)

    def _check_same(self, reader: Any, writer: Any, path: str) -> Iterator[str]:  # noqa: C901  # one branch for each type
        kind = _kind(reader)
        if kind == "record":
            pair = reader["name"], writer["name"]
            if pair in self._seen:
                return
            self._seen.add(pair)
            written = {field["name"]: field for field in writer["fields"]}
            for field in reader["fields"]:
                known = [name for name in (field["name"], *field.get("aliases", ())) if name in written]
                if known:
                    yield from self._check(field["type"], written[known[0]]["type"], f"{path}/{field['name']}")
                elif "default" not in field:
                    yield f"READER_FIELD_MISSING_DEFAULT_VALUE at {path}/{field['name']}"
        elif kind == "enum":
            missing = set(writer["symbols"]) - set(reader["symbols"])
            if missing and "default" not in reader:
                yield f"MISSING_ENUM_SYMBOLS at {path}: {sorted(missing)}"
        elif kind == "fixed" and reader["size"] != writer["size"]:
            yield f"FIXED_SIZE_MISMATCH at {path}"
        elif kind in ("array", "map"):
            part = "items" if kind == "array" else "values"
            yield from self._check(reader[part], writer[part], f"{path}/{part}")
        if isinstance(reader, dict) and reader.get("logicalType") == "decimal" == writer.get("logicalType"):
            pairs = [(schema.get("precision"), schema.get("scale", 0)) for schema in (reader, writer)]
            if pairs[0] != pairs[1]:
                yield f"DECIMAL_MISMATCH at {path}: reader {pairs[0]}, writer {pairs[1]}"


def _named(schema: Any, known: dict[str, Any]) -> Any:
    while isinstance(schema, str) and schema not in PRIMITIVES:
        schema = known.get(schema) or next(found for name, found in known.items() if name.rpartition(".")[2] == schema)
    if isinstance(schema, dict) and isinstance(schema["type"], dict | list):
        return _named(schema["type"], known)
    return schema


def _kind(schema: Any) -> str:
    return str(schema["type"]) if isinstance(schema, dict) else str(schema)
