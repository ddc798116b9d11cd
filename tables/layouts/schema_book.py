"""The decoders of a topic's schemas, by the bytes with which a record names its schema. Filled before records are fed.

A schema by which no tick can be read has an entry as well: one that rejects its records and says why.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Never

from tables.layouts.avro import avro_decoder
from tables.layouts.config import ParsedLayout
from tables.layouts.decoded import DecodedTick, UnfitSchemaError
from tables.layouts.framing import MAGIC_ID, PREFIX, VALUE_HEADER, SchemaId, schema_id
from tables.records import Record
from tables.ticks import RejectedError

KINDS = {"avro": "AVRO", "protobuf": "PROTOBUF"}  # formats, and what a registry calls them
Decoder = Callable[[bytes, int], DecodedTick]  # a value, and where what follows the id begins
HeaderDecoder = Callable[[bytes, bytes], DecodedTick]  # a value, and the header that names its schema


def frame_of(number: SchemaId) -> bytes:
    """The bytes with which a record names a schema: a magic byte, and its id or GUID."""
    return b"\0" + number.to_bytes(PREFIX - 1) if isinstance(number, int) else b"\1" + number


class SchemaBook:
    """The decoders. `unframed`: the one for all records, where the schema is a file and no record names one."""

    def __init__(self, parsed: ParsedLayout) -> None:
        """Raises `ValueError` where a field is named twice."""
        self.fields = parsed.paths
        self.by_prefix: dict[bytes, Decoder] = {}
        self.by_header: dict[bytes, HeaderDecoder] = {}
        self.unframed: Decoder | None = None
        # Of those decoders that are made for each pass; b"": for `unframed`
        self._makers: dict[bytes, Callable[[], Decoder]] = {}
        self._parsed = parsed

    @property
    def kind(self) -> str:
        """What a registry calls the format."""
        return KINDS[self._parsed.config.format]

    def use_file(self, content: bytes, message: str) -> None:
        """Read all records by one schema: an .avsc, or the message with this name in a descriptor set.

        Raises `UnfitSchemaError`.
        """
        if self.kind == "AVRO":
            self.unframed = avro = avro_decoder(content.decode(errors="replace"), self._parsed)
            self._makers[b""] = lambda: avro
        else:
            from tables.layouts.protobuf_messages import of_file  # noqa: PLC0415  # see there

            self.unframed, self._makers[b""] = of_file(content, message, self._parsed)

    def unknown(self, records: Iterable[Record]) -> set[SchemaId]:
        """The schemas that these records name, and that have no entry yet."""
        if self.unframed is not None:
            return set()
        records = list(records)
        try:
            if not [1 for record in records if record.headers]:
                values: list[Any] = [record.value for record in records]
                first = min(values, default=b"")[:PREFIX]
                if first in self.by_prefix and max(values).startswith(first):
                    return set()  # so do all between them, in the order of bytes
                frames = {value[:PREFIX] for value in values}.difference(self.by_prefix)
                return {int.from_bytes(frame[1:]) for frame in frames if len(frame) == PREFIX and frame[0] == MAGIC_ID}
        except TypeError:
            pass  # a record has no value
        found: set[SchemaId] = set()
        for record in records:
            try:
                number, _ = schema_id(record.value, record.headers)
            except RejectedError:
                continue  # the layout rejects it
            if frame_of(number) not in self.by_prefix:
                found.add(number)
        return found

    def add(self, number: SchemaId, kind: str, text: str, references: Sequence[tuple[str, str]] = ()) -> str:
        """Add the decoder of a schema. Returns why no tick can be read by it; empty: one can."""
        try:
            self._add(number, kind, text, references)
        except UnfitSchemaError as error:
            self.refuse(number, str(error))
            return str(error)
        return ""

    def _add(self, number: SchemaId, kind: str, text: str, references: Sequence[tuple[str, str]]) -> None:
        if kind != self.kind:
            raise UnfitSchemaError(f"it is {kind}, and ticks_format={self._parsed.config.format}")
        frame = frame_of(number)
        if kind == "AVRO":
            decode = avro_decoder(text, self._parsed, [content for _, content in references])
            self.by_prefix[frame] = decode
            self.by_header[frame] = lambda value, _: decode(value, 0)
        else:
            from tables.layouts.protobuf_messages import Messages  # noqa: PLC0415  # see there

            messages = Messages(text, references, self._parsed, shown_id(number))
            self.by_prefix[frame], self.by_header[frame] = messages.decode, messages.decode_by_header
            if messages.maker is not None:
                self._makers[frame] = messages.maker

    def refuse(self, number: SchemaId, why: str) -> None:
        """Reject the records of a schema, with the reason `schema`."""
        detail = f"schema {shown_id(number)}: {why}"

        def rejected(*_: Any) -> Never:
            raise RejectedError("schema", detail)

        self.forget(number)
        self.by_prefix[frame_of(number)] = self.by_header[frame_of(number)] = rejected

    def decoders(self) -> DecodersOfPass:
        """The decoders for one pass over records, in one thread. They hold memory for each record that they have decoded."""
        return DecodersOfPass(self.by_prefix, self._makers)

    def has(self, number: SchemaId) -> bool:
        """Whether a schema has an entry."""
        return frame_of(number) in self.by_prefix

    def forget(self, number: SchemaId) -> None:
        """Remove an entry, so that the schema is asked for again."""
        self.by_prefix.pop(frame_of(number), None)
        self.by_header.pop(frame_of(number), None)
        self._makers.pop(frame_of(number), None)

    def decode(self, record: Record) -> DecodedTick:
        """The tick of any record. Raises `RejectedError`."""
        value = record.value
        if not value:
            raise RejectedError("empty", "the record has no value")
        if self.unframed is not None:
            return self.unframed(value, 0)
        number, at = schema_id(value, record.headers)
        frame = frame_of(number)
        if frame not in self.by_prefix:
            raise RejectedError("schema", f"schema {shown_id(number)}: it has not been fetched")
        try:
            if at:
                return self.by_prefix[frame](value, at)
            content = next(content for name, content in record.headers if name == VALUE_HEADER)
            return self.by_header[frame](value, content or b"")
        except RejectedError as error:
            if error.reason == "schema":
                raise
            raise RejectedError(error.reason, f"{error.detail} (schema {shown_id(number)})") from None


class DecodersOfPass(dict[bytes, Decoder]):
    """The decoders for one pass over records, by prefix; by b"" the one for all. Raises `KeyError` where there is none."""

    def __init__(self, shared: Mapping[bytes, Decoder], makers: Mapping[bytes, Callable[[], Decoder]]) -> None:
        super().__init__()
        self._shared = shared
        self._makers = makers

    def __missing__(self, prefix: bytes) -> Decoder:
        make = self._makers.get(prefix)
        found = self[prefix] = self._shared[prefix] if make is None else make()
        return found


def shown_id(number: SchemaId) -> str:
    """An id for messages; a GUID in hexadecimal digits."""
    return str(number) if isinstance(number, int) else number.hex()
