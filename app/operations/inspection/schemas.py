"""The schemas that values name, or the one of a file: what they call their fields, and readers of their values."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from app.errors import InputError, RegistryError
from app.operations.inspection.avro_rows import AvroRows
from app.operations.inspection.protobuf_rows import ProtobufRows
from app.operations.inspection.sample import Seen
from app.registry.client import RegistryAwayError, RegistryClient
from app.registry.schemas import Schemas, WholeSchema
from app.settings import Settings
from app.settings.types import TicksFormat
from tables.layouts.decoded import UnfitSchemaError
from tables.layouts.framing import SchemaId, header_indexes, message_indexes, schema_id
from tables.layouts.protobuf_schema import ProtobufFile, descriptor_set
from tables.layouts.schema_book import shown_id
from tables.ticks import RejectedError

MOST_SCHEMAS = 20  # that are asked for, of those that most records name
TRY_SECONDS = 5.0  # for each


class Rows(Protocol):
    """Reads the values of one schema."""

    @property
    def name(self) -> str:
        """What the schema is, in words."""

    def read(self, value: bytes, at: int = 0) -> dict[str, object]:
        """All fields of a value. Raises `ValueError`."""


@dataclass
class SeenSchemas:
    """The schemas of a sample. `settings`: those with which a worker finds them."""

    names: dict[str, str] = field(default_factory=dict)  # by id, or file
    settings: dict[str, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    _readers: dict[SchemaId, AvroRows | ProtobufFile] = field(default_factory=dict)
    _messages: dict[tuple[SchemaId, tuple[int, ...]], ProtobufRows] = field(default_factory=dict)
    _file: Rows | None = None

    @property
    def by_file(self) -> bool:
        """Whether a file has the schema of all values."""
        return self._file is not None

    def read(self, record: Seen) -> dict[str, object] | None:
        """The fields of a record; None where its schema is not known. Raises `ValueError` where they do not fit it."""
        if not record.value:
            return None
        if self._file is not None:
            return self._file.read(record.value)
        try:
            number, at = schema_id(record.value, record.headers)
            reader = self._readers.get(number)
            if reader is None:
                return None
            if isinstance(reader, AvroRows):
                return reader.read(record.value, at)
            indexes, at = message_indexes(record.value, at) if at else (header_indexes(record.headers), 0)
            return self._message(number, reader, indexes).read(record.value, at)
        except (RejectedError, UnfitSchemaError) as error:
            raise ValueError(str(error)) from None

    def _message(self, number: SchemaId, file: ProtobufFile, indexes: tuple[int, ...]) -> ProtobufRows:
        rows = self._messages.get((number, indexes))
        if rows is None:
            rows = self._messages[number, indexes] = ProtobufRows(file.by_indexes(indexes))
            self.names[shown_id(number)] = rows.name
        return rows

    def use_file(self, settings: Settings) -> None:
        """Read all values by the schema in the file that `ticks_schema` names. Raises `InputError`."""
        file, kind, message = settings.ticks_schema, settings.ticks_format, settings.ticks_message
        try:
            content = Path(file).read_bytes()
            rows: Rows = (
                AvroRows(content.decode(errors="replace"))
                if kind is TicksFormat.avro
                else ProtobufRows(descriptor_set(content).by_name(message))
            )
        except OSError as error:
            raise InputError(f"ticks_schema={file}: it cannot be read ({error.strerror or error})") from None
        except UnfitSchemaError as error:
            raise InputError(f"ticks_schema={file}: {error}") from None
        self._file = rows
        self.names[file] = rows.name
        self.settings = {"ticks_format": kind.value, "ticks_schema": file} | ({"ticks_message": message} if message else {})

    def use(self, number: SchemaId, schema: WholeSchema) -> None:
        """Read the values that name this schema, or note why they cannot be read."""
        try:
            if schema.kind == "AVRO":
                rows = AvroRows(schema.text, [text for _, text in schema.references])
                self._readers[number], self.names[shown_id(number)] = rows, rows.name
            elif schema.kind == "PROTOBUF":
                self._readers[number] = ProtobufFile.registered(schema.text, schema.references)
                self.names[shown_id(number)] = "Protobuf"
            else:
                self.problems.append(f"schema {shown_id(number)} is {schema.kind}: there is no ticks_format for it")
                return
        except UnfitSchemaError as error:
            self.problems.append(f"schema {shown_id(number)}: {error}")
            return
        self.settings.setdefault("ticks_format", schema.kind.lower())


async def schemas_of(records: Iterable[Seen], settings: Settings) -> SeenSchemas:
    """Get the schemas that most of these records name. What cannot be had is among its problems."""
    found = SeenSchemas()
    if settings.ticks_schema:
        found.use_file(settings)
        return found
    ids: Counter[SchemaId] = Counter()
    for record in records:
        with suppress(RejectedError):
            ids[schema_id(record.value, record.headers)[0]] += 1
    if not ids or not settings.schema_registry_url:
        return found
    async with RegistryClient.of(settings, try_seconds=TRY_SECONDS) as client:
        schemas = Schemas(client)
        for number, _ in ids.most_common(MOST_SCHEMAS):
            try:
                found.use(number, await schemas.get(number))
            except RegistryError as error:
                found.problems.append(str(error))
                if isinstance(error, RegistryAwayError):
                    break
    found.settings |= {"schema_registry_url": settings.schema_registry_url}
    return found
