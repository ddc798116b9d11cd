"""A record of the repartition topic, and the record of a source that it is a copy of.

The copy has the source's value and headers, and behind them headers of its own: where the record lay, its key there, if the
copy has another one, and why no symbol could be found for it, if none was. `restored` makes the source's record of it again. So
the engine decodes and rejects what it would have read in the source.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any

import msgspec

from tables.layouts.layout import TickLayout
from tables.records import DecodedRecord, Record, is_cut, is_marker
from tables.ticks import FieldNames, RawTick, RejectedError

SOURCE_HEADER = "barwheel-source"  # topic|partition|offset|timestamp of the source's record; the timestamp is epoch ms
KEY_HEADER = "barwheel-source-key"
REJECTED_HEADER = "barwheel-rejected"  # reason|detail
Headers = Sequence[tuple[str, bytes | None]]


NEVER_LATER = 0  # an arrival that moves no clock


class SourceRecord(msgspec.Struct, gc=False):
    """A record as it was in its source, at the offset of its copy. It arrived when it arrived in the source.

    Otherwise what is copied late, as after a restart, would come after silence had closed its windows.
    """

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Headers
    copied_at: int  # the timestamp of the copy
    place: bytes = b""  # the content of `SOURCE_HEADER`; empty: it was written to the repartition topic itself
    rejected: bytes | None = None  # the content of `REJECTED_HEADER`

    @property
    def source(self) -> tuple[str, int, int, int] | None:
        """Topic, partition, offset and timestamp in the source."""
        topic, _, numbers = self.place.decode(errors="replace").partition("|")
        try:
            partition, offset, timestamp = map(int, numbers.split("|"))
        except ValueError:
            return None
        return topic, partition, offset, timestamp


def restored(record: Record) -> SourceRecord:
    """The source's record of a copy. Our headers are the last ones, whatever headers the source had."""
    headers: Any = record.headers
    key, rejected = record.key, None
    for at in range(len(headers) - 1, -1, -1):
        name, content = headers[at]
        if name == SOURCE_HEADER:
            place, copied_at = content or b"", record.timestamp
            time = place[place.rfind(b"|") + 1 :]
            arrived = int(time) if time.isdigit() else copied_at
            return SourceRecord(record.offset, arrived, key, record.value, headers[:at], copied_at, place, rejected)
        if name == KEY_HEADER:
            key = content
        elif name == REJECTED_HEADER:
            rejected = content or b""
        else:
            break
    arrived = NEVER_LATER if is_marker(record) and is_cut(record) else record.timestamp
    return SourceRecord(record.offset, arrived, record.key, record.value, headers, record.timestamp)


class RepartitionedLayout:
    """A `TickLayout` of the repartition topic: that of the sources, applied to what the records were there."""

    def __init__(self, inner: TickLayout) -> None:
        """`inner`: the layout of the sources."""
        self.names: FieldNames = inner.names
        self.decode: Callable[[Any], RawTick] = inner.decode
        self.no_heartbeats = inner.no_heartbeats
        self._inner = inner
        self.decoded: Callable[[Iterable[Record]], Iterable[DecodedRecord]] | None = self._decoded

    def _decoded(self, records: Iterable[Record]) -> Iterable[DecodedRecord]:
        came = map(restored, records)
        decoded = self.decoded_of_restored
        return ((record, record.key, None) for record in came) if decoded is None else decoded(came)

    @property
    def decoded_of_restored(self) -> Callable[[Iterable[Record]], Iterable[DecodedRecord]] | None:
        """The same of records that `restored` has given; None: the engine decodes."""
        return None if self._inner.decoded is None else partial(self._rejecting, self._inner.decoded)

    @staticmethod
    def _rejecting(
        decoded: Callable[[Iterable[Record]], Iterable[DecodedRecord]], came: Iterable[Record]
    ) -> Iterator[DecodedRecord]:
        for record, key, tick in decoded(came):
            rejected = record.rejected if isinstance(record, SourceRecord) else None
            if rejected is not None and tick is not None:
                # what could not be read then may be readable now, and its symbol lies in another partition
                reason, _, detail = rejected.decode(errors="replace").partition("|")
                yield record, None, RejectedError(reason, detail)
            else:
                yield record, key, tick

    def name_of(self, record: Record) -> tuple[str, str]:
        """See `TickLayout`."""
        return self._inner.name_of(restored(record))

    def heartbeat(self, key: bytes, ms: int) -> tuple[bytes | None, bytes]:
        """See `TickLayout`."""
        return self._inner.heartbeat(key, ms)
