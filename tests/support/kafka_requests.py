"""Kafka requests that aiokafka 0.14.0 does not know: reassign the replicas of partitions, and elect their leaders."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import CompactArray, CompactString, Int8, Int16, Int32, Schema, TaggedFields

PREFERRED, UNCLEAN = 0, 1  # which leader an election may choose
TIMEOUT_MS = 30_000
_TEXT = CompactString("utf-8")
_TAGS: tuple[str, Any] = ("tags", TaggedFields)
_RESULT = (("partition", Int32), ("error_code", Int16), ("error_message", _TEXT), _TAGS)


class ReassignResponse_v0(Response):  # type: ignore[misc]  # noqa: N801  # named as aiokafka does, which has no types
    """One error code for each partition."""

    API_KEY = 45
    API_VERSION = 0
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        ("error_code", Int16),
        ("error_message", _TEXT),
        ("topics", CompactArray(("topic", _TEXT), ("partitions", CompactArray(*_RESULT)), _TAGS)),
        _TAGS,
    )


class ReassignRequest_v0(RequestStruct):  # type: ignore[misc]  # noqa: N801  # see above
    """AlterPartitionReassignments."""

    FLEXIBLE_VERSION = True
    API_KEY = 45
    API_VERSION = 0
    RESPONSE_TYPE = ReassignResponse_v0
    SCHEMA = Schema(
        ("timeout_ms", Int32),
        (
            "topics",
            CompactArray(
                ("topic", _TEXT),
                ("partitions", CompactArray(("partition", Int32), ("replicas", CompactArray(Int32)), _TAGS)),
                _TAGS,
            ),
        ),
        _TAGS,
    )


class ReassignRequest(Request[ReassignRequest_v0]):  # type: ignore[misc]  # aiokafka has no types
    """Moves partitions to other nodes; it returns before they have moved. `replicas`: by topic and partition."""

    API_KEY: ClassVar[int] = 45

    def __init__(self, replicas: Mapping[str, Mapping[int, Sequence[int]]]) -> None:
        self._replicas = replicas

    def build(self, request_struct_class: type[ReassignRequest_v0]) -> ReassignRequest_v0:
        """The request in the one version there is."""
        topics: list[Any] = [
            (topic, [(number, list(nodes), {}) for number, nodes in parts.items()], {})
            for topic, parts in self._replicas.items()
        ]
        return request_struct_class(TIMEOUT_MS, topics, {})


class ElectResponse_v2(Response):  # type: ignore[misc]  # noqa: N801  # see above
    """One error code for each partition."""

    API_KEY = 43
    API_VERSION = 2
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        ("error_code", Int16),
        ("topics", CompactArray(("topic", _TEXT), ("partitions", CompactArray(*_RESULT)), _TAGS)),
        _TAGS,
    )


class ElectRequest_v2(RequestStruct):  # type: ignore[misc]  # noqa: N801  # see above
    """ElectLeaders."""

    FLEXIBLE_VERSION = True
    API_KEY = 43
    API_VERSION = 2
    RESPONSE_TYPE = ElectResponse_v2
    SCHEMA = Schema(
        ("election_type", Int8),
        ("topics", CompactArray(("topic", _TEXT), ("partitions", CompactArray(Int32)), _TAGS)),
        ("timeout_ms", Int32),
        _TAGS,
    )


class ElectRequest(Request[ElectRequest_v2]):  # type: ignore[misc]  # aiokafka has no types
    """Elects leaders: the preferred ones, or replicas that are not in sync. `partitions`: by topic."""

    API_KEY: ClassVar[int] = 43

    def __init__(self, partitions: Mapping[str, Iterable[int]], kind: int) -> None:
        self._partitions, self._kind = partitions, kind

    def build(self, request_struct_class: type[ElectRequest_v2]) -> ElectRequest_v2:
        """The request in the one version there is."""
        topics: list[Any] = [(topic, list(numbers), {}) for topic, numbers in self._partitions.items()]
        return request_struct_class(self._kind, topics, TIMEOUT_MS, {})
