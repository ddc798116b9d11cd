"""What ksqlDB does with each tick: it keeps it, drops it as late by the stream time of its partition, or cannot read it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from app.finals import records_to_end, topic_consumer
from app.kafka.cluster import Cluster
from app.ksqldb.fit import misfit
from app.ksqldb.reconciliation import Reading, Window
from app.settings import Settings
from migrations.ksql.queries import milliseconds
from migrations.shipped.bar1m import GRACE
from tables.ticks import RejectedError, event_time


class _Tick(msgspec.Struct):
    ts: int | str = ""
    bid: msgspec.Raw = msgspec.Raw()


_decode = msgspec.json.Decoder(_Tick).decode
_NULL = (b"", b"null")
ReadingOf = Callable[[Window, int], Reading]


@dataclass(frozen=True)
class _Grid:
    """The windows of the plan: their size and grace in ms."""

    size: int
    grace: int

    def end(self, ms: int) -> int:
        """The end of the window that contains this time."""
        return ms - ms % self.size + self.size


async def read_ticks(settings: Settings, cluster: Cluster, reading_of: ReadingOf) -> dict[int, int]:
    """Count what became of the ticks of each window, from the beginning of the ticks topic.

    `reading_of` gives where to count, by window and partition. Returns before which start windows are closed, by partition.
    Kafka Streams has one stream time per partition, that of its latest record, heartbeats included. It drops a record whose
    window has ended, with the grace, before that. A record that it cannot read does not count.
    """
    grid = _Grid(settings.window_size, milliseconds(GRACE) or 0)
    stream_times: dict[int, int] = {}
    async with topic_consumer(cluster, settings.input_topic) as consumer:
        if consumer is not None:
            async for record in records_to_end(consumer):
                _add(reading_of, stream_times, grid, settings, record.partition, record.key or b"", record.value or b"")
    return {partition: now - grid.size - grid.grace + 1 for partition, now in stream_times.items()}


def _add(  # a record's parts, and what they are added to
    reading_of: ReadingOf,
    stream_times: dict[int, int],
    grid: _Grid,
    settings: Settings,
    partition: int,
    key: bytes,
    value: bytes,
) -> None:
    try:
        tick = _decode(value)
        _, ms = event_time(tick.ts, settings.time_unit.value)
    except (msgspec.MsgspecError, RejectedError):
        return
    broker, _, symbol = key.decode(errors="replace").partition("|")
    window = (broker, symbol, grid.end(ms) - grid.size)
    counted = bytes(tick.bid) not in _NULL  # a heartbeat advances the stream time and makes no bar
    kind, _ = misfit(settings, value)
    if counted:
        reading = reading_of(window, partition)
    if kind:
        if counted:
            reading.unfit += 1
        return
    now = stream_times[partition] = max(ms, stream_times.get(partition, ms))
    late = grid.end(ms) + grid.grace <= now
    if counted:
        reading.late += late
        reading.kept += not late
