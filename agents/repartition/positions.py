"""The stored positions of the sources: up to where each partition has been copied. They decide, not the group's offsets.

A position is written in the transaction of the copies that it covers. It has the form of an engine's position. One more record
says which topics there were when the app first started: they begin where `start` says, and all others at their beginning.

The group's offset of a partition is committed in the same transaction. It serves lag monitors alone: Kafka deletes the offsets
of a group that has had no members for a week.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec

from agents.gaps import Log, Moved, check_cluster, check_input
from app.errors import StateError
from app.kafka.cluster import Cluster
from app.kafka.leaders import Place
from app.kafka.reader import Reader, high_watermarks
from app.kafka.records import Record
from app.settings import Settings
from app.settings.types import Start
from tables.state import Counters, Identity, Position, decode_position

START_KEY = b"start"
_decode_start = msgspec.json.Decoder(dict[str, int]).decode


class Resumed(NamedTuple):
    """Where a partition goes on. `write`: the position must be written before anything is read; `cut`: ticks are missing."""

    position: Position
    write: bool
    cut: bool


@dataclass
class Stored:
    """What the topic of the positions holds. `start`: the topics at the first start, None before it."""

    positions: dict[bytes, Position] = field(default_factory=dict)
    start: Mapping[str, int] | None = None


def position_key(topic: str, partition: int) -> bytes:
    """The key of a position; no topic has a | in its name."""
    return f"{topic}|{partition}".encode()


async def read_positions(cluster: Cluster, settings: Settings, partitions: int) -> Stored:
    """Read all positions. Those of partitions whose former owners have been fenced cannot change any more.

    Reads up to the end as it is now, and so waits for transactions of other partitions that are open: an older end could hide a
    position. `partitions`: of the repartition topic. Raises `StateError` where the positions are gone, and aiokafka's errors.
    """
    stored = await _read(cluster, settings)
    if stored.start is None and await _has_copies(cluster, settings, partitions):
        stored = await _read(cluster, settings)  # another worker may have begun meanwhile
        if stored.start is None:
            raise StateError(
                f"{settings.repartition_positions_topic} holds no positions, though {settings.repartition_topic} has records "
                "(was it deleted?): restore it, or use another app_id and topics_prefix"
            )
    return stored


async def _read(cluster: Cluster, settings: Settings) -> Stored:
    topic = settings.repartition_positions_topic
    place = topic, 0
    end = (await high_watermarks(cluster, [place]))[place]
    stored = Stored()
    async with Reader(cluster, frozenset({topic})) as reader:
        begin, _ = await reader.bounds(topic, 0)
        async for batch in reader.read(topic, 0, begin, end):
            for record in batch:
                _take(stored, record, topic)
    return stored


def _take(stored: Stored, record: Record, topic: str) -> None:
    if record.key is None or record.value is None:
        return
    try:
        if record.key == START_KEY:
            stored.start = _decode_start(record.value)
        else:
            stored.positions[record.key] = decode_position(record.value)
    except msgspec.MsgspecError as error:
        raise StateError(f"{topic}[0], offset {record.offset}: not a position of this version ({error})") from error


async def _has_copies(cluster: Cluster, settings: Settings, partitions: int) -> bool:
    """Whether anything was ever copied. Without positions, all ticks would be copied a second time."""
    ends = await high_watermarks(cluster, [(settings.repartition_topic, number) for number in range(partitions)])
    return any(ends.values())


def resume(settings: Settings, place: Place, ticks: Log, stored: Stored, now: Identity) -> Resumed:
    """Where a partition goes on. `ticks`: its log as it is now, with the end of the stored leader epoch, and `now` its ids.

    Raises `StateError` where records are gone, unless `on_gap` allows that.
    """
    position = stored.positions.get(position_key(*place))
    if position is None:
        known = stored.start is None or place[1] < stored.start.get(place[0], 0)
        begin_at = ticks.end if known and settings.start is Start.latest else ticks.begin
        first = Position(
            next_offset=begin_at,
            arrival=0,
            counters=Counters(),
            finals_end=0,
            changelog_start=0,
            fingerprint={},
            identity=now,
        )
        return Resumed(first, write=True, cut=begin_at > 0)
    check_cluster(f"{settings.repartition_positions_topic}[0], the position of {ticks.name},", position.identity, now)
    moved = check_input(settings, ticks, position)
    before, position.identity = position.identity, now.completed_by(position.identity)
    gone = moved is not Moved.no
    return Resumed(position, write=gone or before != position.identity, cut=gone)
