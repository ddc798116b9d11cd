"""What a Faust message holds: some record batches of a partition, or of several."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from app.kafka.records import Batch, Record

FULL_FETCH = 2_000  # records of one partition


class GapError(Exception):
    """Offsets are missing between two fetches of a partition: it must be read again from before the gap."""


class Slice(NamedTuple):
    """Some batches of one partition.

    `task` owned the partition when they were fetched; the slice of a former owner is dropped. `fetched` is the time of the
    fetch by `steady_ms`. `last` marks the last slice of a fetch. `full`: the fetch brought more than `FULL_FETCH` records of
    the partition, as it does for a worker that catches up.
    """

    partition: int
    task: object
    batches: Sequence[Batch]
    fetched: int
    last: bool = True
    full: bool = False


def from_offset(records: Iterator[Record], offset: int) -> Iterator[Record]:
    """Drop the records below an offset: after a seek, a fetch begins with the batch that holds the offset."""
    return (record for record in records if record.offset >= offset)
