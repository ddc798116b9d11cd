"""Leader epochs, by which a reader finds out that a log was truncated, even if it has grown again since (KIP-320).

Each leader of a partition has an epoch, larger than those of its predecessors, and each record batch has the epoch of the
leader that appended it. A leader that lacks batches of its predecessor appends others at their offsets. Then the predecessor's
epoch ends below what was read of it. The broker tells where an epoch ends: OffsetForLeaderEpoch.

Written for aiokafka 0.14.0, which does not have this request, nor a batch's epoch. Version 3 is known to Kafka 2.3 and newer.
"""

from __future__ import annotations

import struct
from typing import Any, ClassVar, NamedTuple

from aiokafka import TopicPartition
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import LeaderNotAvailableError, for_code
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import Array, Int16, Int32, Int64, Schema, String
from aiokafka.record.memory_records import MemoryRecords

from app.kafka.failures import NOT_SPOKEN
from app.kafka.records import NO_EPOCH

AIOKAFKA_VERSION = "0.14.0"
A_CONSUMER = -1  # in the place of a replica's id
TRIES = 2  # the second one with new metadata: the leader may have changed
NOT_THERE = -1  # the end of an epoch that the broker does not know, though a batch had it
_LENGTH, _EPOCH = struct.Struct(">i"), struct.Struct(">i")
_LENGTH_AT, _HEAD, _EPOCH_AT, _MAGIC_AT = 8, 12, 12, 16  # in each batch; the length counts what is behind the head
_FIRST_MAGIC = 2  # older formats have no epoch


class EpochEnd(NamedTuple):
    """The largest epoch up to the one that was asked for, and one after its last offset, or `NOT_THERE`."""

    leader_epoch: int
    offset: int


class OffsetForLeaderEpochResponse_v3(Response):  # type: ignore[misc]  # noqa: N801  # named as aiokafka does, which has no types
    """Where epochs end."""

    API_KEY = 23
    API_VERSION = 3
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "topics",
            Array(
                ("topic", String("utf-8")),
                (
                    "partitions",
                    Array(("error_code", Int16), ("partition", Int32), ("leader_epoch", Int32), ("end_offset", Int64)),
                ),
            ),
        ),
    )


class OffsetForLeaderEpochRequest_v3(RequestStruct):  # type: ignore[misc]  # noqa: N801  # see above
    """Asks the leader of partitions where an epoch ends."""

    API_KEY = 23
    API_VERSION = 3
    RESPONSE_TYPE = OffsetForLeaderEpochResponse_v3
    SCHEMA = Schema(
        ("replica_id", Int32),
        (
            "topics",
            Array(
                ("topic", String("utf-8")),
                ("partitions", Array(("partition", Int32), ("current_leader_epoch", Int32), ("leader_epoch", Int32))),
            ),
        ),
    )


class EpochEndRequest(Request[OffsetForLeaderEpochRequest_v3]):  # type: ignore[misc]  # aiokafka has no types
    """The question about one partition."""

    API_KEY: ClassVar[int] = 23

    def __init__(self, topic: str, partition: int, leader_epoch: int) -> None:
        self._topics = [(topic, [(partition, NO_EPOCH, leader_epoch)])]

    def build(self, request_struct_class: type[OffsetForLeaderEpochRequest_v3]) -> OffsetForLeaderEpochRequest_v3:
        """The request in the one version there is."""
        return request_struct_class(A_CONSUMER, self._topics)


async def end_of_epoch(client: AIOKafkaClient, topic: str, partition: int, leader_epoch: int) -> EpochEnd | None:
    """Where an epoch ends now; None where the broker is too old to tell. Raises aiokafka's errors."""
    tp, error = TopicPartition(topic, partition), LeaderNotAvailableError(f"{topic}[{partition}]")
    for number in range(TRIES):
        if number:
            await client.force_metadata_update()
        await client._wait_on_metadata(topic)  # noqa: SLF001  # as aiokafka's own clients do
        leader = client.cluster.leader_for_partition(tp)
        if leader in (None, -1):
            continue
        try:
            answer = await client.send(leader, EpochEndRequest(topic, partition, leader_epoch))
        except NOT_SPOKEN:
            return None
        [(_, [(code, _, found, end)])] = answer.topics
        if code == 0:
            return EpochEnd(found, end)
        error = for_code(code)(f"{topic}[{partition}]: where leader epoch {leader_epoch} ends")
        if not error.retriable:
            break
    raise error


class EpochedRecords:
    """Stands for aiokafka's `MemoryRecords`, and tells the leader epoch of each batch.

    aiokafka takes all batches for such of the first one's format. Here a batch of another format is the first one of the rest.
    """

    __slots__ = ("_at", "_began", "_data", "_magic", "_records", "leader_epoch")

    def __init__(self, data: bytes) -> None:
        self._records = MemoryRecords(data)
        self._data = data
        self._at = self._began = 0  # where the next batch begins, and where the last one did
        self._magic = data[_MAGIC_AT] if len(data) > _MAGIC_AT else _FIRST_MAGIC
        self.leader_epoch = NO_EPOCH  # of the last batch that `next_batch` returned

    def size_in_bytes(self) -> int:
        """How many bytes were fetched, also of a batch that is incomplete."""
        return int(self._records.size_in_bytes())

    def has_next(self) -> bool:
        """Whether there is another whole batch."""
        return bool(self._records.has_next())

    def next_batch(self) -> Any:
        """The next batch."""
        data, at = self._data, self._at
        magic = data[at + _MAGIC_AT]
        if magic != self._magic:
            self._magic = magic
            data, at = self._data, self._at = data[at:], 0
            self._records = MemoryRecords(data)
        self.leader_epoch = NO_EPOCH if magic < _FIRST_MAGIC else _EPOCH.unpack_from(data, at + _EPOCH_AT)[0]
        self._began, self._at = at, at + _HEAD + _LENGTH.unpack_from(data, at + _LENGTH_AT)[0]
        return self._records.next_batch()

    def last(self) -> memoryview:
        """The bytes of the batch that `next_batch` returned last."""
        return memoryview(self._data)[self._began : self._at]
