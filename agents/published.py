"""Reads from the topics of bars which windows can still be corrected: each record tells the state of its window in a header.

The position names the offsets from which these windows lie, and where the topics ended. What was published later is replayed.
"""

from __future__ import annotations

import logging

from msgspec import UnsetType

from agents.beyond import FRAME_HEADER, REVISION_HEADER, STATE_HEADER, tz_version
from agents.headers import APP_HEADER
from app.errors import StateError
from app.kafka.reader import Reader
from app.settings import Settings
from app.settings.types import OnGap
from tables.snapshots import Published
from tables.state import Position

log = logging.getLogger(__name__)


async def begin_beyond(reader: Reader, settings: Settings, partition: int, position: Position) -> dict[str, int]:
    """Note in a first position where the topics end: whatever is published will lie there or later. Returns these offsets."""
    if settings.frames:
        position.tz = tz_version()
    if not settings.corrects:
        return {}
    position.ends = {topic: (await reader.bounds(topic, partition))[1] for topic in settings.beyond_topics}
    position.horizon = {settings.finals_topic: position.finals_end, **position.ends}
    return dict(position.horizon)


def ends_of(settings: Settings, position: Position) -> dict[str, int]:
    """Where the topics of bars ended as of a position; empty without corrections."""
    return {} if isinstance(position.ends, UnsetType) else position.all_ends(settings.finals_topic)


async def read_published(reader: Reader, settings: Settings, partition: int, position: Position) -> list[Published]:
    """The windows within the horizon of a position, and some before it: finals, then revisions of them.

    Raises `StateError` where a topic lacks records that were there.
    """
    horizon = position.known_horizon
    found: list[Published] = []
    app_id = settings.app_id.encode()
    keys: dict[bytes, bytes] = {}  # one object for each symbol
    for topic, end in ends_of(settings, position).items():
        start = max(horizon.get(topic, end), (await reader.bounds(topic, partition))[0])
        async for batch in reader.read(topic, partition, start, await _end(reader, settings, topic, partition, end)):
            for record in batch:
                headers = dict(record.headers)
                state = headers.get(STATE_HEADER)
                if record.key is None or state is None or headers.get(APP_HEADER) != app_id:
                    continue
                key, _, begin = record.key.rpartition(b"|")
                frame, revision = headers.get(FRAME_HEADER) or b"", headers.get(REVISION_HEADER) or b"0"
                found.append(Published(frame.decode(), keys.setdefault(key, key), int(begin), state, int(revision)))
    return found


async def _end(reader: Reader, settings: Settings, topic: str, partition: int, known: int) -> int:
    """Where to stop reading. Raises `StateError` where the topic ends before the offset up to which it had our bars."""
    end = (await reader.bounds(topic, partition))[1]
    if end >= known or topic == settings.finals_topic:  # that one is checked with the tail
        return min(end, known)
    said = (
        f"{topic}[{partition}] ends at offset {end} and had bars of this app up to {known}: it was truncated or created again"
    )
    if settings.on_gap is OnGap.stop:
        raise StateError(f"{said}: set on_gap=continue to go on without them, or use another app_id")
    log.warning("%s (on_gap=continue)", said)
    return end
