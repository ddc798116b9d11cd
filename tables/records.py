"""An input record as the engine sees it, and a late or rejected record."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec


class Record(Protocol):
    """One record of the input topic, as aiokafka's record batches yield it."""

    @property
    def offset(self) -> int:
        """Offset in the source partition."""

    @property
    def timestamp(self) -> int:
        """Arrival time, epoch ms."""

    @property
    def key(self) -> bytes | None:
        """`broker|symbol`."""

    @property
    def value(self) -> bytes | None:
        """The tick as JSON."""

    @property
    def headers(self) -> Iterable[tuple[str, bytes | None]]:
        """The producer's headers."""


class RecordBatch(Protocol):
    """A batch whose records can also be read as bytes, as `app.kafka.raw_batches` has it."""

    base_offset: int
    max_timestamp: int  # epoch ms

    def __iter__(self) -> Iterator[Any]:
        """The records, once."""

    def content(self) -> tuple[bytes | memoryview, int] | None:
        """The records as bytes, in the format of Kafka's record batches 2, and their number; None: they must be iterated."""


MARKER_HEADER = "barwheel-marker"
CUT_HEADER = "barwheel-cut"  # of a marker: records of a source were not copied, or are gone


def is_marker(record: Record) -> bool:
    """Whether a worker wrote this record to tell the time, see `idle_close=marker`: it holds no tick, whoever reads it."""
    return not record.key and not record.value and any(name == MARKER_HEADER for name, _ in record.headers)


def is_cut(marker: Record) -> bool:
    """Whether a marker says that records before it are missing: the windows that have begun by then may lack ticks."""
    return any(name == CUT_HEADER for name, _ in marker.headers)


class TickRecord(msgspec.Struct, gc=False):
    """A record of a topic with another layout, as the engine takes it: the key is `broker|symbol`, the value is decoded.

    The value is a tick, or the `RejectedError` that says why there is none. In the latter case the key is None.
    """

    offset: int
    timestamp: int
    key: bytes | None
    value: Any
    original: Any  # the record as it is in the topic

    @classmethod
    def of(cls, record: Record, key: bytes | None, tick: Any) -> Record:
        """A record that a layout has decoded, see `DecodedRecord`."""
        return record if tick is None else cls(record.offset, record.timestamp, key, tick, record)

    @property
    def headers(self) -> Iterable[tuple[str, bytes | None]]:
        """The producer's headers."""
        headers: Iterable[tuple[str, bytes | None]] = self.original.headers
        return headers


# A record of a topic with another layout, as the layout gives it: the record, `broker|symbol`, and the tick or the
# `RejectedError` that says why there is none. In the latter case the key is None. A marker has neither key nor tick.
DecodedRecord = tuple[Record, bytes | None, Any]


def original_of(record: Record) -> Record:
    """The record as it is in the topic."""
    return record.original if isinstance(record, TickRecord) else record


@dataclass(frozen=True, slots=True)
class SideRecord:
    """A late or rejected record, unchanged, with the reason (a fixed word) and a detail for people."""

    offset: int
    kind: str  # "late" or "rejected"
    reason: str
    detail: str
    record: Record
