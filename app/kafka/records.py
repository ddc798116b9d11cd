"""What a consumer of raw batches yields: record batches and their records, as aiokafka's Cython classes make them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple, Protocol

NO_EPOCH = -1  # not known, as in message formats before 2

APPEND_TIME = 1  # the timestamp_type of a batch or record with the broker's time


class Record(Protocol):
    """One record of a batch."""

    @property
    def offset(self) -> int:
        """Offset in its partition."""

    @property
    def timestamp(self) -> int:
        """Epoch ms; whose clock it is depends on the batch's `timestamp_type`."""

    @property
    def key(self) -> bytes | None:
        """The key as its producer sent it."""

    @property
    def value(self) -> bytes | None:
        """The value as its producer sent it; None is a tombstone."""

    @property
    def headers(self) -> Iterable[tuple[str, bytes | None]]:
        """Names and values, in the producer's order."""


class Batch(Protocol):
    """Records with offsets from `base_offset` up to, not including, `next_offset`."""

    @property
    def base_offset(self) -> int:
        """Offset of the first record."""

    @property
    def next_offset(self) -> int:
        """One after the offset of the last record."""

    @property
    def timestamp_type(self) -> int:
        """0, CreateTime: the producer's time of each record. 1, LogAppendTime: the broker's time, one for all records."""

    @property
    def max_timestamp(self) -> int:
        """The latest timestamp, epoch ms."""

    def __iter__(self) -> Iterator[Record]:
        """The records. A batch can be iterated once."""


class Skipped(NamedTuple):
    """Stands for offsets without records for the consumer: control records and aborted transactions."""

    base_offset: int
    next_offset: int
    timestamp_type: int = 0
    max_timestamp: int = -1

    def __iter__(self) -> Iterator[Record]:  # type: ignore[override]  # a batch without records, not a tuple of its fields
        return iter(())


class LeaderEpoch(NamedTuple):
    """Stands before the first batch of a fetch, and where the leader epoch changes. It covers no offsets."""

    base_offset: int  # of the batch behind it
    leader_epoch: int
    timestamp_type: int = 0
    max_timestamp: int = -1

    @property
    def next_offset(self) -> int:
        """No offset is covered."""
        return self.base_offset

    def __iter__(self) -> Iterator[Record]:  # type: ignore[override]  # a batch without records, not a tuple of its fields
        return iter(())


class OldRecord(NamedTuple):
    """A record of a message format before 2. Format 0 has no timestamps."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Iterable[tuple[str, bytes | None]] = ()


class OldBatch(NamedTuple):
    """Records of a message format before 2: one, or those that were compressed together."""

    base_offset: int
    next_offset: int
    timestamp_type: int
    max_timestamp: int
    records: list[OldRecord]

    @classmethod
    def of(cls, records: Iterable[Any]) -> OldBatch:
        """Take over aiokafka's records, which have None for what format 0 lacks. Raises `ValueError` where there are none."""
        taken = list(records)
        if not taken:
            raise ValueError("a compressed message without messages in it")
        old = [OldRecord(r.offset, -1 if r.timestamp is None else r.timestamp, r.key, r.value) for r in taken]
        latest = max(record.timestamp for record in old)
        return cls(old[0].offset, old[-1].offset + 1, taken[0].timestamp_type or 0, latest, old)

    def __iter__(self) -> Iterator[Record]:  # type: ignore[override]  # the records, not a tuple of its fields
        return iter(self.records)
