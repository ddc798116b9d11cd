"""The framings that name a record's schema: in front of the value, or in a header.

Written after `SchemaId` in confluent-kafka-python 2.16 (`schema_registry/common/serde.py`) and the class of the same name in
Confluent's .NET client, which document the same bytes:

- in front of the value: a magic byte 0, the schema's id as four bytes, big-endian; with Protobuf then the message's indexes;
- in the header `__value_schema_id`: a magic byte 0 with the id, or 1 with the schema's GUID as 16 bytes; with Protobuf then
  the message's indexes. The value has no framing of its own.

The indexes say which message of the file it is: their count, then each one, as zigzag varints. A count of 0 stands for `[0]`,
the first message. As Confluent's deserializers do, the header is looked for first.
"""

from __future__ import annotations

from collections.abc import Iterable

from tables.ticks import RejectedError

VALUE_HEADER = "__value_schema_id"
MAGIC_ID, MAGIC_GUID = 0, 1
PREFIX = 5  # bytes: the magic byte and the id
GUID_BYTES = 16
MAX_INDEXES = 100  # nested messages
FIRST_MESSAGE = (0,)
SchemaId = int | bytes  # an id, or a GUID's 16 bytes
Headers = Iterable[tuple[str, bytes | None]]


def schema_id(value: bytes | None, headers: Headers) -> tuple[SchemaId, int]:
    """The id of a record's schema, and where in the value what follows the id begins. Raises `RejectedError`."""
    for name, content in headers:
        if name == VALUE_HEADER:
            return _header_id(content or b""), 0
    if not value:
        raise RejectedError("empty", "the record has no value")
    if value[0] != MAGIC_ID or len(value) < PREFIX:
        raise RejectedError(
            "framing", f"value: it does not begin with a 0 byte and a schema id, and there is no header {VALUE_HEADER}"
        )
    return int.from_bytes(value[1:PREFIX]), PREFIX


def header_indexes(headers: Headers) -> tuple[int, ...]:
    """The message's indexes in the header. Raises `RejectedError`."""
    for name, content in headers:
        if name == VALUE_HEADER and content:
            at = PREFIX if content[0] == MAGIC_ID else 1 + GUID_BYTES
            indexes, _ = message_indexes(content, at)
            return indexes
    raise RejectedError("framing", f"header {VALUE_HEADER}: it is missing")


def message_indexes(data: bytes, at: int) -> tuple[tuple[int, ...], int]:
    """The message's indexes that begin here, and where they end. Raises `RejectedError`."""
    if data[at : at + 1] == b"\0":  # the usual case
        return FIRST_MESSAGE, at + 1
    count, at = _varint(data, at)
    if not 0 <= count <= MAX_INDEXES:
        raise RejectedError("framing", f"message indexes: there cannot be {count} of them")
    indexes = []
    for _ in range(count):
        index, at = _varint(data, at)
        indexes.append(index)
    return tuple(indexes) or FIRST_MESSAGE, at


def _header_id(content: bytes) -> SchemaId:
    if content[:1] == b"\0" and len(content) >= PREFIX:
        return int.from_bytes(content[1:PREFIX])
    if content[:1] == b"\1" and len(content) > GUID_BYTES:
        return content[1 : 1 + GUID_BYTES]
    raise RejectedError(
        "framing", f"header {VALUE_HEADER}: {content[:20]!r} is neither a 0 byte and an id nor a 1 byte and a GUID"
    )


def _varint(data: bytes, at: int) -> tuple[int, int]:
    number = shift = 0
    while at < len(data) and shift < 32:  # noqa: PLR2004  # bits
        byte = data[at]
        at += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:  # noqa: PLR2004  # no further byte
            return (number >> 1) ^ -(number & 1), at
        shift += 7
    raise RejectedError("framing", "message indexes: they are cut off or too long")
