"""IncrementalAlterConfigs: changes some configs of a topic and leaves the others. aiokafka 0.14.0 has no schemas for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiokafka.protocol.api import RequestStruct, Response
from aiokafka.protocol.types import Array, Boolean, Int8, Int16, Int32, Schema, String

TOPIC_RESOURCE = 2
SET, DELETE, APPEND, SUBTRACT = range(4)
LISTS = frozenset({"cleanup.policy"})  # configs with several values, which the last two operations change
_TEXT = String("utf-8")


class IncrementalAlterConfigsResponse_v0(Response):  # type: ignore[misc]  # noqa: N801  # named as aiokafka does, which has no types
    """One row for each resource."""

    API_KEY = 44
    API_VERSION = 0
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "responses",
            Array(("error_code", Int16), ("error_message", _TEXT), ("resource_type", Int8), ("resource_name", _TEXT)),
        ),
    )


class IncrementalAlterConfigsRequest_v0(RequestStruct):  # type: ignore[misc]  # noqa: N801  # see above
    """The changes of each resource."""

    FLEXIBLE_VERSION = False
    API_KEY = 44
    API_VERSION = 0
    RESPONSE_TYPE = IncrementalAlterConfigsResponse_v0
    SCHEMA = Schema(
        (
            "resources",
            Array(
                ("resource_type", Int8),
                ("resource_name", _TEXT),
                ("configs", Array(("name", _TEXT), ("config_operation", Int8), ("value", _TEXT))),
            ),
        ),
        ("validate_only", Boolean),
    )


def changed(own: Mapping[str, str], defaults: Mapping[str, str], changes: list[dict[str, Any]]) -> dict[str, str] | None:
    """The configs of a topic after these changes; None if the changes are no valid request."""
    names = [change["name"] for change in changes]
    if len(set(names)) < len(names):
        return None
    result = dict(own)
    for change in changes:
        name, operation, value = change["name"], change["config_operation"], change["value"]
        if operation == DELETE:
            result.pop(name, None)
        elif value is None or operation not in (SET, APPEND, SUBTRACT) or (operation != SET and name not in LISTS):
            return None
        elif operation == SET:
            result[name] = value
        else:
            present = [part for part in result.get(name, defaults.get(name, "")).split(",") if part]
            given = value.split(",")
            added = [part for part in given if part not in present]
            left = [part for part in present if part not in given]
            result[name] = ",".join([*present, *added] if operation == APPEND else left)
    return result
