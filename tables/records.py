"""An input record as the engine sees it, and a late or rejected record."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol


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


MARKER_HEADER = "barwheel-marker"


def is_marker(record: Record) -> bool:
    """Whether a worker wrote this record to tell the time, see `idle_close=marker`: it holds no tick, whoever reads it."""
    return not record.key and not record.value and any(name == MARKER_HEADER for name, _ in record.headers)


@dataclass(frozen=True, slots=True)
class SideRecord:
    """A late or rejected record, unchanged, with the reason (a fixed word) and a detail for people."""

    offset: int
    kind: str  # "late" or "rejected"
    reason: str
    detail: str
    record: Record
