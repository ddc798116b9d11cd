"""Records that have arrival times of their own, as those of a CreateTime topic, or of copies: runs of one time at once.

The records of a batch of a LogAppendTime source have one arrival time, and their copies still have it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import groupby, starmap
from operator import attrgetter
from typing import Protocol

from tables.layouts.layout import TickLayout
from tables.progress import CLOCK_STEP, Progress
from tables.records import DecodedRecord, Record, TickRecord
from tables.repartitioned import RepartitionedLayout, restored
from tables.ticks import RawTick

ENOUGH = 3  # records of one arrival time, from which on the fast path takes less time in spite of its beginning
Decoded = Callable[[Iterable[Record]], Iterable[DecodedRecord]]
Process = Callable[[Record, int | None, RawTick | None], None]
_timestamp_of = attrgetter("timestamp")


class Fast(Protocol):
    """A fast path, see `tables.hot`."""

    def feed(self, records: Iterable[Record], arrived: int, process: Process) -> None:
        """Process records that all arrived at `arrived` (epoch ms)."""


def taken(records: Iterable[Record], decoded: Decoded | None) -> Iterable[Record]:
    """The records as the rules take them: those of another layout with their ticks."""
    return records if decoded is None else starmap(TickRecord.of, decoded(records))


def decoded_by(layout: TickLayout) -> Decoded | None:
    """What decodes the records that a fast path takes. Of a repartition topic those are the restored ones."""
    return layout.decoded_of_restored if isinstance(layout, RepartitionedLayout) else layout.decoded


def feed_runs(  # the parts of an engine
    fast: Fast, layout: TickLayout, records: Iterable[Record], arrival_cap: int, progress: Progress, process: Process
) -> None:
    """Process records as the topic has them, each at its own arrival time but not after `arrival_cap`, see `Engine.feed`."""
    decoded = decoded_by(layout)
    # generators: a raw batch must not be iterated again after its last record
    copies = isinstance(layout, RepartitionedLayout)
    came = (restored(record) for record in records) if copies else (record for record in records)

    def process_capped(record: Record, _: int | None, tick: RawTick | None) -> None:
        process(record, arrival_cap, tick)

    for timestamp, same in groupby(came, _timestamp_of):
        arrived, together = timestamp if 0 <= timestamp <= arrival_cap else arrival_cap, list(same)
        # one from far behind is left to `process`: here it is no sign of a clock that was wrong
        if len(together) >= ENOUGH and arrived >= progress.arrival - CLOCK_STEP:
            fast.feed(together, arrived, process_capped)
        else:
            for record in taken(together, decoded):
                process(record, arrival_cap, None)
