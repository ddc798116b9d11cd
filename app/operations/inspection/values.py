"""In which format the values of a topic are, and what fields JSON values have. Pure."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import Any

from app.operations.inspection.sample import Seen
from tables.layouts.framing import VALUE_HEADER, schema_id
from tables.layouts.schema_book import shown_id
from tables.ticks import RejectedError

MAX_DEPTH = 4  # of nested records that are looked into
EXAMPLES = 3  # kept of each field
Path = tuple[str, ...]
Row = dict[Path, Any]  # the fields of one record that are not records themselves


class Format(StrEnum):
    """How a value is written."""

    json = "JSON"
    payload_id = "schema id in the payload"  # Avro, Protobuf or JSON Schema, framed for a Schema Registry
    header_id = "schema id in a header"
    schema_file = "by the schema in ticks_schema"
    misread = "not written with its schema"
    other_json = "JSON that is no object"
    other = "not JSON, and without a schema id"
    empty = "empty"


WITH_SCHEMA = frozenset({Format.payload_id, Format.header_id, Format.schema_file})


@dataclass
class FieldSeen:
    """One field over all JSON values."""

    count: int = 0
    kinds: Counter[str] = field(default_factory=Counter)  # `number`, `text`, `truth`, `null`, `bytes` or `list`
    examples: list[Any] = field(default_factory=list)

    @property
    def kind(self) -> str:
        """The most frequent kind."""
        return self.kinds.most_common(1)[0][0]


@dataclass
class Values:
    """All values of a sample."""

    formats: Counter[Format]
    schema_ids: Counter[str]
    fields: dict[Path, FieldSeen]
    rows: dict[tuple[int, int], Row]  # of the JSON values, by partition and offset

    @property
    def format(self) -> Format | None:
        """The most frequent format, apart from empty values; None where there are no others."""
        ranked = [found for found, _ in self.formats.most_common() if found is not Format.empty]
        return ranked[0] if ranked else None


ReadBySchema = Callable[[Seen], Mapping[str, Any] | None]  # None: its schema is not known


def look(records: Iterable[Seen], read: ReadBySchema, *, by_file: bool = False) -> Values:
    """Look at the values. `read`: reads those that name a schema, or all of them `by_file`."""
    values = Values(Counter(), Counter(), {}, {})
    for record in records:
        found, content = _classified(record)
        if by_file and found is not Format.empty:
            found = Format.schema_file
        if found in {Format.payload_id, Format.header_id}:
            values.schema_ids[content] += 1
        if found in WITH_SCHEMA:
            try:
                content = read(record)
            except ValueError:
                found, content = Format.misread, None
        values.formats[found] += 1
        if isinstance(content, Mapping):
            row = values.rows[record.partition, record.offset] = dict(_flat(content))
            for path, value in row.items():
                _note(values.fields.setdefault(path, FieldSeen()), value)
    return values


def _classified(record: Seen) -> tuple[Format, Any]:
    value = record.value
    if not value:
        return Format.empty, None
    try:
        number, at = schema_id(value, record.headers)
    except RejectedError:
        if any(name == VALUE_HEADER for name, _ in record.headers):
            return Format.other, None
    else:
        return Format.payload_id if at else Format.header_id, shown_id(number)
    try:
        parsed = json.loads(value, parse_float=Decimal)
    except (ValueError, RecursionError):
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
    """What a value is, in a word."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "truth"
    if isinstance(value, int | Decimal | float):
        return "number"
    if isinstance(value, bytes):
        return "bytes"
    return "text" if isinstance(value, str) else "list"
