"""What one Faust message carries: some record batches of one partition."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from app.kafka.fetcher import Batch
from tables.records import Record


class GapError(Exception):
    """Records between the last one and this one did not come: reading must go back."""


class Slice(NamedTuple):
    """Some batches of one partition, as one Faust message carries them.

    `task` is what owned the partition when they were fetched: a slice of a former owner is dropped. `fetched_ms` is the time
    of the fetch (epoch ms). `last`: nothing more was fetched with it.
    """

    partition: int
    task: object
    batches: Sequence[Batch]
    fetched_ms: int
    last: bool = True


def from_offset(records: Iterator[Record], offset: int) -> Iterator[Record]:
    """The records of a batch that are not below an offset: a seek leads to the batch that holds it."""
    return (record for record in records if record.offset >= offset)
