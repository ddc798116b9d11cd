"""The ids of topics and of the cluster. A topic that is deleted and created again has the same name and another id.

Written for aiokafka 0.14.0. Its newest Metadata request is version 5, and topics have ids since version 10 (Kafka 2.8). So
this module defines that version. It uses aiokafka's private client, which knows the versions that the broker speaks.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any, ClassVar

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.protocol.abstract import AbstractType
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import Boolean, CompactArray, CompactString, Int16, Int32, Schema, TaggedFields

from app.kafka.failures import NOT_SPOKEN

AIOKAFKA_VERSION = "0.14.0"
ID_BYTES = 16
NO_ID = bytes(ID_BYTES)


@dataclass(frozen=True)
class Identities:
    """What the broker tells; empty where it is too old to tell, or may not."""

    cluster: str = ""
    topics: Mapping[str, str] = field(default_factory=dict)  # name -> id, as Kafka's tools write it
    leader_epochs: Mapping[tuple[str, int], int] = field(default_factory=dict)  # of each partition now, see `leader_epochs.py`


class _Uuid(AbstractType[bytes]):  # type: ignore[misc]  # aiokafka has no types
    @classmethod
    def encode(cls, value: bytes) -> bytes:
        return value

    @classmethod
    def decode(cls, data: BytesIO) -> bytes:
        return data.read(ID_BYTES)


_TEXT = CompactString("utf-8")
_TAGS: tuple[str, Any] = ("tags", TaggedFields)
_BROKER = (("node_id", Int32), ("host", _TEXT), ("port", Int32), ("rack", _TEXT), _TAGS)
_PARTITION = (
    ("error_code", Int16),
    ("partition", Int32),
    ("leader", Int32),
    ("leader_epoch", Int32),
    ("replicas", CompactArray(Int32)),
    ("isr", CompactArray(Int32)),
    ("offline_replicas", CompactArray(Int32)),
    _TAGS,
)
_TOPIC = (
    ("error_code", Int16),
    ("topic", _TEXT),
    ("topic_id", _Uuid),
    ("is_internal", Boolean),
    ("partitions", CompactArray(*_PARTITION)),
    ("topic_authorized_operations", Int32),
    _TAGS,
)


class MetadataResponse_v10(Response):  # type: ignore[misc]  # noqa: N801  # named as aiokafka does, which has no types
    """Metadata with topic ids."""

    API_KEY = 3
    API_VERSION = 10
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        ("brokers", CompactArray(*_BROKER)),
        ("cluster_id", _TEXT),
        ("controller_id", Int32),
        ("topics", CompactArray(*_TOPIC)),
        ("cluster_authorized_operations", Int32),
        _TAGS,
    )


class MetadataRequest_v10(RequestStruct):  # type: ignore[misc]  # noqa: N801  # see above
    """Asks for some topics by name."""

    FLEXIBLE_VERSION = True
    API_KEY = 3
    API_VERSION = 10
    RESPONSE_TYPE = MetadataResponse_v10
    SCHEMA = Schema(
        ("topics", CompactArray(("topic_id", _Uuid), ("topic", _TEXT), _TAGS)),
        ("allow_auto_topic_creation", Boolean),
        ("include_cluster_authorized_operations", Boolean),
        ("include_topic_authorized_operations", Boolean),
        _TAGS,
    )


class IdentityRequest(Request[MetadataRequest_v10]):  # type: ignore[misc]  # aiokafka has no types
    """The request for the topics' ids; it never creates a topic."""

    API_KEY: ClassVar[int] = 3

    def __init__(self, topics: Iterable[str]) -> None:
        self._topics = list(topics)

    def build(self, request_struct_class: type[MetadataRequest_v10]) -> MetadataRequest_v10:
        """The request in the one version there is."""
        return request_struct_class([(NO_ID, name, {}) for name in self._topics], False, False, False, {})


async def identify(client: AIOKafkaAdminClient, topics: Iterable[str]) -> Identities:
    """The ids of the cluster and of these topics, as far as the broker tells them. Raises aiokafka's errors."""
    try:
        answer = await client._send_request(IdentityRequest(topics))  # noqa: SLF001  # it has only its own requests
    except NOT_SPOKEN:
        return Identities()
    found: dict[str, str] = {}
    leader_epochs: dict[tuple[str, int], int] = {}
    for error, name, topic_id, _, partitions, *_ in answer.topics:
        if not error and topic_id != NO_ID:
            found[name] = base64.urlsafe_b64encode(topic_id).decode().rstrip("=")
            leader_epochs |= {(name, number): leader_epoch for _, number, _, leader_epoch, *_ in partitions}
    return Identities(answer.cluster_id or "", found, leader_epochs)
