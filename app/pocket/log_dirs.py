"""DescribeLogDirs: the bytes of each partition on the disk of each broker. aiokafka 0.14.0 has no schemas for it."""

from __future__ import annotations

from aiokafka.protocol.api import RequestStruct, Response
from aiokafka.protocol.types import Array, Boolean, Int16, Int32, Int64, Schema, String

KEY = 35
_TEXT = String("utf-8")


class DescribeLogDirsResponse_v1(Response):  # type: ignore[misc]  # noqa: N801  # named as aiokafka does, which has no types
    """One row for each directory of the broker, with the partitions in it that were asked for."""

    API_KEY = KEY
    API_VERSION = 1
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "results",
            Array(
                ("error_code", Int16),
                ("log_dir", _TEXT),
                (
                    "topics",
                    Array(
                        ("name", _TEXT),
                        (
                            "partitions",
                            Array(
                                ("partition_index", Int32),
                                ("partition_size", Int64),
                                ("offset_lag", Int64),
                                ("is_future_key", Boolean),
                            ),
                        ),
                    ),
                ),
            ),
        ),
    )


class DescribeLogDirsRequest_v1(RequestStruct):  # type: ignore[misc]  # noqa: N801  # see above
    """Partitions by topic. Every broker since Kafka 2.0 knows this version."""

    FLEXIBLE_VERSION = False
    API_KEY = KEY
    API_VERSION = 1
    RESPONSE_TYPE = DescribeLogDirsResponse_v1
    SCHEMA = Schema(("topics", Array(("topic", _TEXT), ("partitions", Array(Int32)))))
