"""Kafka's wire format: requests and responses as dictionaries, by aiokafka's schemas.

Written for aiokafka 0.14.0, whose protocol classes describe the requests and responses this broker knows, beside those of
`app.pocket.metadata`, `app.pocket.leader_epochs`, `app.pocket.incremental` and `app.pocket.log_dirs`.
"""

from __future__ import annotations

import importlib
import struct
from io import BytesIO
from typing import Any

from aiokafka.protocol.api import RequestStruct
from aiokafka.protocol.types import Array, Schema, TaggedFields

from app.pocket.incremental import IncrementalAlterConfigsRequest_v0
from app.pocket.leader_epochs import LEADER_EPOCH_REQUESTS
from app.pocket.log_dirs import DescribeLogDirsRequest_v1
from app.pocket.metadata import METADATA_REQUESTS, UUID_BYTES

_MODULES = ("admin", "commit", "coordination", "fetch", "group", "metadata", "offset", "produce", "transaction")
_ZERO = {"Int8": 0, "Int16": 0, "Int32": 0, "Int64": 0, "Boolean": False, "TaggedFields": {}, "Uuid": bytes(UUID_BYTES)}
_HEADER = struct.Struct(">hhih")  # api key, version, correlation id, length of the client id
API_VERSIONS = 18
MAX_FRAME = 128 << 20  # bytes; a longer frame cannot be a Kafka request

Body = dict[str, Any]


def _subclasses(kind: type[Any]) -> list[type[Any]]:
    classes = []
    for child in kind.__subclasses__():
        classes += [child, *_subclasses(child)]
    return classes


def _requests() -> dict[tuple[int, int], Any]:
    for module in _MODULES:
        importlib.import_module(f"aiokafka.protocol.{module}")
    inflexible = [
        kind
        for kind in _subclasses(RequestStruct)
        if kind.__module__.startswith("aiokafka.")
        and isinstance(getattr(kind, "API_KEY", None), int)
        and not getattr(kind, "FLEXIBLE_VERSION", False)
    ]
    own: list[Any] = [*METADATA_REQUESTS, *LEADER_EPOCH_REQUESTS, IncrementalAlterConfigsRequest_v0, DescribeLogDirsRequest_v1]
    return {(kind.API_KEY, kind.API_VERSION): kind for kind in [*inflexible, *own]}


REQUESTS = _requests()


def versions(api: int) -> tuple[int, int]:
    """Lowest and highest version of an API for which there is a schema."""
    known = [version for key, version in REQUESTS if key == api]
    return min(known), max(known)


def read_header(frame: bytes) -> tuple[int, int, int, str, int]:
    """API key, version, correlation id, client id, and the position of the body."""
    api, version, correlation, length = _HEADER.unpack_from(frame)
    start = _HEADER.size
    if length < 0:
        return api, version, correlation, "", start
    return api, version, correlation, frame[start : start + length].decode(), start + length


def read_request(api: int, version: int, body: bytes) -> Body:
    """A request's fields by name; raises `KeyError` for an unknown version and `ValueError` for an invalid body."""
    kind, data = REQUESTS[api, version], BytesIO(body)
    if kind.FLEXIBLE_VERSION:
        TaggedFields.decode(data)  # the end of the header
    fields: Body = _to_dict(kind.SCHEMA, kind.SCHEMA.decode(data))
    return fields


def write_response(api: int, version: int, fields: Body) -> bytes:
    """The bytes of a response after its correlation id; a missing field is zero, empty or null."""
    kind = REQUESTS[api, version]
    schema = kind.RESPONSE_TYPE.SCHEMA
    kinds = zip(schema.names, schema.fields, strict=True)
    header = TaggedFields.encode({}) if kind.FLEXIBLE_VERSION else b""
    return header + b"".join(kind.encode(_to_fields(kind, fields.get(name))) for name, kind in kinds)


def api_versions(version: int, supported: dict[int, tuple[int, int]]) -> bytes:
    """The response to ApiVersions. Above version 2 it is an error in the format of version 0, so that the client downgrades."""
    rows = {**supported, API_VERSIONS: (0, 2)}
    error = 35 if version > 2 else 0  # noqa: PLR2004  # UNSUPPORTED_VERSION
    body = struct.pack(">hi", error, len(rows)) + b"".join(struct.pack(">hhh", k, *v) for k, v in sorted(rows.items()))
    return body + (b"\0\0\0\0" if version in (1, 2) else b"")


def _to_dict(kind: Any, value: Any) -> Any:
    if isinstance(kind, Array):
        return None if value is None else [_to_dict(kind.array_of, item) for item in value]
    if isinstance(kind, Schema):
        return {name: _to_dict(field, item) for name, field, item in zip(kind.names, kind.fields, value, strict=True)}
    return value


def _to_fields(kind: Any, value: Any) -> Any:
    if isinstance(kind, Array):
        return [_to_fields(kind.array_of, item) for item in value or ()]
    if isinstance(kind, Schema):
        return (
            [_to_fields(field, value.get(name)) for name, field in zip(kind.names, kind.fields, strict=True)]
            if isinstance(value, dict)
            else value
        )
    return _ZERO.get(getattr(kind, "__name__", type(kind).__name__), value) if value is None else value
