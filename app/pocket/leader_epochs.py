"""Leader epochs: which leader appended which part of a log. A client finds out by them that a log was truncated (KIP-320).

The broker's leader epoch grows with each of its starts. Each batch has the epoch in which it was appended. Where a log lost its
newest batches and grew again, the new ones have a larger epoch, so the end of the former epoch lies below what a client read.
"""

from __future__ import annotations

from typing import Any

from aiokafka.protocol.api import RequestStruct, Response
from aiokafka.protocol.types import Array, Int16, Int32, Int64, Schema, String

NONE = -1, -1  # the answer about an epoch that has not begun yet


class LeaderEpochs:
    """The first offset of each leader epoch of one log."""

    def __init__(self) -> None:
        self._starts: list[tuple[int, int]] = []  # (epoch, first offset); both grow

    @property
    def latest(self) -> int:
        """The epoch of what is appended now."""
        return self._starts[-1][0] if self._starts else -1

    def begin(self, epoch: int, offset: int) -> None:
        """Let an epoch begin at an offset, if it is larger than the latest one. One without a batch is forgotten."""
        if epoch > self.latest:
            if self._starts and self._starts[-1][1] == offset:
                del self._starts[-1]
            self._starts.append((epoch, offset))

    def forget_before(self, offset: int) -> None:
        """The records before an offset were deleted."""
        while len(self._starts) > 1 and self._starts[1][1] <= offset:
            del self._starts[0]
        if self._starts and self._starts[0][1] < offset:
            self._starts[0] = self._starts[0][0], offset

    def end_of(self, epoch: int, log_end: int) -> tuple[int, int]:
        """The largest epoch that is not above this one, and one after its last offset, as Kafka answers."""
        if epoch == self.latest:
            return epoch, log_end
        if not 0 <= epoch < self.latest:
            return NONE
        number = next(n for n, (begun, _) in enumerate(self._starts) if begun > epoch)
        return self._starts[number - 1][0] if number else epoch, self._starts[number][1]


def _request(version: int) -> type[RequestStruct]:
    """OffsetForLeaderEpoch in a version that all brokers since Kafka 2.3 know; aiokafka 0.14.0 has no schemas for it."""
    partition = [("partition", Int32), ("current_leader_epoch", Int32), ("leader_epoch", Int32)]
    topics = Array(("topic", String("utf-8")), ("partitions", Array(*partition)))
    end = [("error_code", Int16), ("partition", Int32), ("leader_epoch", Int32), ("end_offset", Int64)]
    ends = Array(("topic", String("utf-8")), ("partitions", Array(*end)))
    replica: list[tuple[str, Any]] = [("replica_id", Int32)] if version >= 3 else []  # noqa: PLR2004  # the version that has it
    common = {"API_KEY": 23, "API_VERSION": version}
    schemas = Schema(*replica, ("topics", topics)), Schema(("throttle_time_ms", Int32), ("topics", ends))
    response = type(f"OffsetForLeaderEpochResponse_v{version}", (Response,), {**common, "SCHEMA": schemas[1]})
    own = {"RESPONSE_TYPE": response, "SCHEMA": schemas[0]}
    return type(f"OffsetForLeaderEpochRequest_v{version}", (RequestStruct,), {**common, **own})


LEADER_EPOCH_REQUESTS = [_request(version) for version in (2, 3)]
