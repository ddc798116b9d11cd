"""Metadata requests and responses of versions 6 to 10, which aiokafka 0.14.0 has no schemas for.

A topic has an id since version 10. Versions from 9 on are flexible: compact lengths, and tagged fields after each structure.
"""

from __future__ import annotations

from io import BytesIO
from typing import Any

from aiokafka.protocol.abstract import AbstractType
from aiokafka.protocol.api import RequestStruct, Response
from aiokafka.protocol.types import Array, Boolean, CompactArray, CompactString, Int16, Int32, Schema, String, TaggedFields

API_KEY = 3
FLEXIBLE_FROM = 9
UUID_BYTES = 16


class Uuid(AbstractType[bytes]):  # type: ignore[misc]  # aiokafka has no types
    """The 16 bytes of a topic id."""

    @classmethod
    def encode(cls, value: bytes) -> bytes:
        """The bytes as they are."""
        return value

    @classmethod
    def decode(cls, data: BytesIO) -> bytes:
        """Read them."""
        return data.read(UUID_BYTES)


def _fields(version: int, *fields: tuple[int, str, Any]) -> list[tuple[str, Any]]:
    """The fields that a structure has in this version. Each comes with the first version that has it."""
    tags = [("tags", TaggedFields)] if version >= FLEXIBLE_FROM else []
    return [(name, kind) for since, name, kind in fields if since <= version] + tags


def _request_schema(version: int) -> Schema:
    text, many = _kinds(version)
    named = [*_fields(version, (10, "topic_id", Uuid), (9, "topic", text))]
    return Schema(
        *_fields(
            version,
            (0, "topics", many(*named) if named else many(text)),
            (4, "allow_auto_topic_creation", Boolean),
            (8, "include_cluster_authorized_operations", Boolean),
            (8, "include_topic_authorized_operations", Boolean),
        )
    )


def _response_schema(version: int) -> Schema:
    text, many = _kinds(version)
    brokers = _fields(version, (0, "node_id", Int32), (0, "host", text), (0, "port", Int32), (1, "rack", text))
    partitions = _fields(
        version,
        (0, "error_code", Int16),
        (0, "partition", Int32),
        (0, "leader", Int32),
        (7, "leader_epoch", Int32),
        (0, "replicas", many(Int32)),
        (0, "isr", many(Int32)),
        (5, "offline_replicas", many(Int32)),
    )
    topics = _fields(
        version,
        (0, "error_code", Int16),
        (0, "topic", text),
        (10, "topic_id", Uuid),
        (1, "is_internal", Boolean),
        (0, "partitions", many(*partitions)),
        (8, "topic_authorized_operations", Int32),
    )
    return Schema(
        *_fields(
            version,
            (3, "throttle_time_ms", Int32),
            (0, "brokers", many(*brokers)),
            (2, "cluster_id", text),
            (1, "controller_id", Int32),
            (0, "topics", many(*topics)),
            (8, "cluster_authorized_operations", Int32),
        )
    )


def _kinds(version: int) -> tuple[Any, Any]:
    return (CompactString("utf-8"), CompactArray) if version >= FLEXIBLE_FROM else (String("utf-8"), Array)


def _request(version: int) -> type[RequestStruct]:
    common = {"API_KEY": API_KEY, "API_VERSION": version}
    response = type(f"MetadataResponse_v{version}", (Response,), {**common, "SCHEMA": _response_schema(version)})
    own = {"FLEXIBLE_VERSION": version >= FLEXIBLE_FROM, "RESPONSE_TYPE": response, "SCHEMA": _request_schema(version)}
    return type(f"MetadataRequest_v{version}", (RequestStruct,), {**common, **own})


METADATA_REQUESTS = [_request(version) for version in range(6, 11)]
