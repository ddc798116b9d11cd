"""Makes rows of the read model from records of the topics of bars and the side topics."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import msgspec

from agents.headers import APP_HEADER, producer_app
from agents.layout import source_layout
from app.kafka.records import Batch
from app.readmodel.rows import BarRow, Partition, SideRow
from app.settings import Settings
from tables.bar_formats.records import bar_of, has_schema
from tables.bars import encode_bar
from tables.layouts.layout import tick_of
from tables.records import Record
from tables.ticks import RejectedError, event_time

MAX_VALUE_LENGTH = 1_000  # characters of a late or rejected value
CHUNK_RECORDS = 500

ToRow = Callable[[Record, int], BarRow | SideRow | None]  # from a record and its partition


class Chunk(NamedTuple):
    """Rows, and for each partition the offset after the last record that went into them."""

    bars: list[BarRow]
    side: list[SideRow]
    positions: dict[Partition, int]


class _Source(NamedTuple):
    """The record of the input that a side record was made of."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Iterable[tuple[str, bytes | None]]


def bar_rows(settings: Settings, frame: str = "") -> ToRow:
    """A function that makes a row of a bar; it gives None for other apps' records and for records that are not bars.

    `frame`: that of the topic.
    """
    app_id = settings.app_id.encode()

    def to_row(record: Record, partition: int) -> BarRow | None:
        value = record.value
        if value is None or producer_app(record.headers) != app_id:
            return None
        try:
            bar = bar_of(value, record.headers)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return None
        shown = encode_bar(bar) if has_schema(value) else value  # the API shows JSON
        return BarRow(bar.broker, bar.symbol, partition, bar.bucket_start, shown, frame, bar.revision)

    return to_row


def side_rows(settings: Settings, kind: str) -> ToRow:
    """A function that makes a row of a late or rejected record; fields that cannot be read from its value are None."""
    layout, unit, size = source_layout(settings), settings.time_unit.value, settings.window_size
    app_id = settings.app_id.encode()

    def to_row(record: Record, _: int) -> SideRow | None:
        headers = {name: value or b"" for name, value in record.headers}
        topic, partition, offset = ([b"", b"", *(record.key or b"").rsplit(b"|", 2)])[-3:]
        if headers.get(APP_HEADER) != app_id or not (partition.isdigit() and offset.isdigit()):
            return None
        broker = symbol = ts = start = None
        try:
            source = _Source(int(offset), record.timestamp, headers.get("source_key"), record.value, record.headers)
            broker, symbol = layout.name_of(source)
            ts = event_time(tick_of(layout, source).ts, unit)[1]
            start = ts - ts % size
        except RejectedError:
            pass  # this is why the record was rejected
        arrival = headers.get("source_arrival", b"")
        value = (record.value or b"").decode(errors="backslashreplace")
        return SideRow(
            kind=kind,
            topic=topic.decode(errors="replace"),
            partition=int(partition),
            offset=int(offset),
            arrival=int(arrival) if arrival.isdigit() else None,
            broker=broker,
            symbol=symbol,
            ts=_storable(ts),
            start=_storable(start),
            reason=headers.get("reason", b"").decode(errors="replace"),
            detail=headers.get("detail", b"").decode(errors="replace"),
            value=value[:MAX_VALUE_LENGTH],
            truncated=len(value) > MAX_VALUE_LENGTH or "truncated" in headers,
        )

    return to_row


def _storable(time: int | None) -> int | None:
    """None for a time that SQLite or a JavaScript number cannot hold; a rejected record may have any."""
    return time if time is not None and abs(time) < 1 << 53 else None


def chunks(
    fetched: Sequence[tuple[str, int, Batch]], rows: Mapping[str, ToRow], positions: Mapping[Partition, int]
) -> Iterator[Chunk]:
    """Split what was fetched into chunks of about `CHUNK_RECORDS` records.

    `rows` has the function for each topic. Records below `positions`, which change between two chunks, are skipped.
    """
    chunk = Chunk([], [], {})
    taken = 0
    for topic, number, batch in fetched:
        partition, to_row = (topic, number), rows[topic]
        for record in batch:
            if record.offset < positions[partition]:
                continue
            row = to_row(record, number)
            if isinstance(row, BarRow):
                chunk.bars.append(row)
            elif row is not None:
                chunk.side.append(row)
            taken += 1
            if taken >= CHUNK_RECORDS:
                yield chunk._replace(positions={**chunk.positions, partition: record.offset + 1})
                chunk, taken = Chunk([], [], {}), 0
        chunk.positions[partition] = max(batch.next_offset, positions[partition])
    if chunk.positions:
        yield chunk
