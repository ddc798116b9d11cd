"""In which format the values of a topic are, and what fields JSON values have. Pure."""

from __future__ import annotations

import json
import struct
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import Any

from app.operations.inspection.sample import Seen

ID_HEADER = "__value_schema_id"  # where a Schema Registry's serializer puts the id, if not into the payload
PREFIX_BYTES = 5  # a zero and the id of the schema
MAX_DEPTH = 4  # of nested records that are looked into
EXAMPLES = 3  # kept of each field
Path = tuple[str, ...]
Row = dict[Path, Any]  # the fields of one record that are not records themselves


class Format(StrEnum):
    """How a value is written."""

    json = "JSON"
    payload_id = "schema id in the payload"  # Avro, Protobuf or JSON Schema, framed for a Schema Registry
    header_id = "schema id in a header"
    other_json = "JSON that is no object"
    other = "not JSON, and without a schema id"
    empty = "empty"


@dataclass
class FieldSeen:
    """One field over all JSON values."""

    count: int = 0
    kinds: Counter[str] = field(default_factory=Counter)  # `number`, `text`, `truth`, `null` or `list`
    examples: list[Any] = field(default_factory=list)

    @property
    def kind(self) -> str:
        """The most frequent kind."""
        return self.kinds.most_common(1)[0][0]


@dataclass
class Values:
    """All values of a sample."""

    formats: Counter[Format]
    schema_ids: Counter[int]
    fields: dict[Path, FieldSeen]
    rows: dict[tuple[int, int], Row]  # of the JSON values, by partition and offset

    @property
    def format(self) -> Format | None:
        """The most frequent format, apart from empty values; None where there are no others."""
        ranked = [found for found, _ in self.formats.most_common() if found is not Format.empty]
        return ranked[0] if ranked else None


def look(records: Iterable[Seen]) -> Values:
    """Look at the values."""
    values = Values(Counter(), Counter(), {}, {})
    for record in records:
        found, content = _classified(record)
        values.formats[found] += 1
        if found in {Format.payload_id, Format.header_id}:
            values.schema_ids[content] += 1
        elif found is Format.json:
            row = values.rows[record.partition, record.offset] = dict(_flat(content))
            for path, value in row.items():
                _note(values.fields.setdefault(path, FieldSeen()), value)
    return values


def _classified(record: Seen) -> tuple[Format, Any]:
    value = record.value
    if not value:
        return Format.empty, None
    for name, content in record.headers:
        if name == ID_HEADER and content:
            return Format.header_id, int.from_bytes(content[-4:], "big")
    try:
        parsed = json.loads(value, parse_float=Decimal)
    except (ValueError, RecursionError):
        if value[0] == 0 and len(value) > PREFIX_BYTES:
            return Format.payload_id, struct.unpack_from(">I", value, 1)[0]
        return Format.other, None
    return (Format.json, parsed) if isinstance(parsed, dict) else (Format.other_json, None)


def _flat(content: Mapping[str, Any], path: Path = ()) -> Iterator[tuple[Path, Any]]:
    for name, value in content.items():
        here = (*path, name)
        if isinstance(value, dict) and len(here) < MAX_DEPTH:
            yield from _flat(value, here)
        else:
            yield here, value


def _note(seen: FieldSeen, value: Any) -> None:
    seen.count += 1
    seen.kinds[kind_of(value)] += 1
    if value is not None and len(seen.examples) < EXAMPLES and value not in seen.examples:
        seen.examples.append(value)


def kind_of(value: Any) -> str:
    """What a JSON value is, in a word."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "truth"
    if isinstance(value, int | Decimal | float):
        return "number"
    return "text" if isinstance(value, str) else "list"
