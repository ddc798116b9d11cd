"""Reads the state of a partition: position, open windows, and the bars that were published since the last checkpoint.

The position record decides. It is the last record of every checkpoint, so recovery looks for it from the end of the changelog
backwards, and reads the states from the offset that it names.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import TypeVar

import msgspec

from agents.fingerprint import check_fingerprint, fingerprint
from agents.gaps import check_changelog, check_finals, check_input
from app.errors import StateError
from app.kafka.reader import Reader
from app.settings import Settings
from app.settings.types import Start
from tables.bars import Bar, decode_bar
from tables.records import Record
from tables.state import POSITION_KEY, Counters, Position, SymbolState, decode_position, decode_state
from tables.ticks import shown

APP_HEADER = "app_id"
FIRST_SEARCH = 200  # records from the end that the search for the position reads first
SEARCH_FACTOR = 20  # how many times more it reads at each further try
LOG_EVERY = 500_000  # records between two lines of progress
log = logging.getLogger(__name__)
T = TypeVar("T")


@dataclass
class Recovered:
    """The state of one partition; `tail` holds the bars that were published after the checkpoint.

    `needs_first_checkpoint`: the position must be written before anything is read. It is the first one, or it had to jump.
    """

    position: Position
    needs_first_checkpoint: bool = False
    states: dict[bytes, SymbolState] = field(default_factory=dict)
    tail: list[Bar] = field(default_factory=list)
    finals_end: int = 0
    changelog_end: int = 0


def stop_if_given_up() -> None:
    """Re-raise a cancellation that a client swallowed, as `wait_for` may do.

    Otherwise an abandoned recovery would fence the new owner and register its partitions here.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


async def recover(reader: Reader, settings: Settings, partition: int, partitions: int) -> Recovered:
    """Read the state of one partition. Raises `StateError` where it does not fit the settings, or records are gone.

    `partitions`: how many the input has.
    """
    begin, end = await reader.bounds(settings.changelog_topic, partition)
    position = await _last_position(reader, settings.changelog_topic, partition, begin, end)
    finals_begin, finals_end = await reader.bounds(settings.finals_topic, partition)
    ours = await _check_owner(reader, settings, partition, finals_begin, finals_end)
    wanted = fingerprint(settings, partitions)
    if position is None:
        if ours:  # a position is written before the first bar: reading the ticks anew would publish all of them again
            raise StateError(
                f"{settings.changelog_topic}[{partition}] holds no position, though {settings.finals_topic}[{partition}] has "
                "bars of this app_id (was the changelog deleted?): restore it, or use another app_id and topics_prefix"
            )
        source_begin, source_end = await reader.bounds(settings.ticks_topic, partition)
        first = Position(
            next_offset=source_begin if settings.start is Start.earliest else source_end,
            arrival=-(1 << 62),
            scopes={},
            counters=Counters(),
            finals_end=finals_end,
            changelog_start=end,
            fingerprint=wanted,
        )
        return Recovered(first, needs_first_checkpoint=True, finals_end=finals_end, changelog_end=end)
    check_fingerprint(f"{settings.changelog_topic}[{partition}]", position.fingerprint, wanted)
    check_changelog(f"{settings.changelog_topic}[{partition}]", position, begin)
    reread = check_finals(settings, f"{settings.finals_topic}[{partition}]", position, (finals_begin, finals_end))
    found = Recovered(position, finals_end=finals_end, changelog_end=end)
    if position.fingerprint != wanted:  # an older version wrote it: from now on all that this one checks is stored
        position.fingerprint, found.needs_first_checkpoint = wanted, True
    async for record in _records(reader, settings.changelog_topic, partition, position.changelog_start, end):
        _take_state(found, record)
    published_from = position.next_offset if reread else -1
    bounds = await reader.bounds(settings.ticks_topic, partition)
    moved, made_anew = check_input(settings, f"{settings.ticks_topic}[{partition}]", position, bounds)
    if moved:  # stored at once: by the next start the topic may have grown past the old position
        found.needs_first_checkpoint = True
    async for record in _records(reader, settings.finals_topic, partition, position.finals_end, finals_end):
        if record.value is not None and _producer_app(record) == settings.app_id.encode():
            bar = _decoded(decode_bar, record, "bar", settings.finals_topic)
            if bar.closed_at_offset >= published_from:  # older ones would fill the memory, and none of their windows is open
                found.tail.append(bar)
    if made_anew:  # the bars name offsets of records that are gone: treat all of them as passed
        found.tail = [msgspec.structs.replace(bar, closed_at_offset=position.next_offset) for bar in found.tail]
    return found


async def _records(reader: Reader, topic: str, partition: int, start: int, end: int) -> AsyncIterator[Record]:
    read = 0
    async for batch in reader.read(topic, partition, start, end):
        for record in batch:
            if start <= record.offset < end:
                yield record
                read += 1
                if not read % LOG_EVERY:
                    log.info("recovery: %s[%d] at offset %d of %d", topic, partition, record.offset, end)


def _take_state(found: Recovered, record: Record) -> None:
    key = record.key
    if key is None or key == POSITION_KEY:
        return
    found.states.pop(key, None)
    if record.value is not None:
        found.states[key] = _decoded(decode_state, record, "state", "the changelog")


def _decoded(decode: Callable[[bytes], T], record: Record, what: str, where: str) -> T:
    try:
        return decode(record.value or b"")
    except msgspec.MsgspecError as error:
        raise StateError(
            f"{where}, offset {record.offset}, key {shown(record.key)}: not a {what} of this version ({error})"
        ) from error


async def _last_position(reader: Reader, topic: str, partition: int, begin: int, end: int) -> Position | None:
    def is_position(record: Record) -> bool:
        return record.key == POSITION_KEY and record.value is not None

    record = await _last(reader, topic, partition, begin, end, is_position)
    return None if record is None else _decoded(decode_position, record, "position", topic)


async def _last(
    reader: Reader, topic: str, partition: int, begin: int, end: int, wanted: Callable[[Record], bool]
) -> Record | None:
    """The last record for which `wanted` is true, searched from the end backwards: a transaction ends with a marker."""
    size = FIRST_SEARCH
    while begin < end:
        start = max(begin, end - size)
        last: Record | None = None
        async for record in _records(reader, topic, partition, start, end):
            if wanted(record):
                last = record
        if last is not None or start == begin:
            return last
        size *= SEARCH_FACTOR
    return None


async def _check_owner(reader: Reader, settings: Settings, partition: int, begin: int, end: int) -> bool:
    """Whether the last bar is ours. Raises `StateError` where it is another app's: the two would close each other's windows."""
    last = await _last(reader, settings.finals_topic, partition, begin, end, lambda _: True)
    owner = None if last is None else _producer_app(last)
    if owner not in (None, settings.app_id.encode()):
        other = (owner or b"").decode(errors="replace")
        raise StateError(
            f"{settings.finals_topic}[{partition}] ends with a bar of app_id {other}, this is {settings.app_id}: "
            "give one of the two another topics_prefix"
        )
    return owner is not None


def _producer_app(record: Record) -> bytes | None:
    return next((value for name, value in record.headers if name == APP_HEADER), None)
