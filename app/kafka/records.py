"""What a consumer of raw batches yields: record batches and their records, as aiokafka's Cython classes make them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple, Protocol

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
