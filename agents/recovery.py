"""Reads the state of a partition: position, open windows, and the bars that were published since the last checkpoint.

The position record decides. It is the last record of every checkpoint, so recovery looks for it from the end of the changelog
backwards, and reads the states from the offset that it names.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TypeVar

import msgspec

from agents.fingerprint import check_fingerprint, fingerprint
from agents.gaps import Log, Moved, check_changelog, check_cluster, check_finals, check_input, check_passed
from agents.headers import leader_epoch_of, producer_app
from agents.published import begin_beyond, ends_of, read_published
from app.errors import StateError
from app.kafka.reader import Reader
from app.kafka.records import NO_EPOCH
from app.settings import Settings
from app.settings.types import Start
from tables.bar_formats.records import ClosedBar, closed_bar
from tables.bars import Bar
from tables.further import is_further
from tables.records import Record
from tables.snapshots import Beyond
from tables.state import (
    CUT_AT_NEXT,
    NO_CUT,
    POSITION_KEY,
    UNKNOWN,
    Counters,
    Identity,
    Position,
    SymbolState,
    decode_further,
    decode_position,
    decode_state,
)
from tables.ticks import shown

FIRST_SEARCH = 200  # records from the end that the search for the position reads first
SEARCH_FACTOR = 20  # how many times more it reads at each further try
MOST_SEEN = 4_000  # records of a search that are kept, so that they are not read again
LOG_EVERY = 500_000  # records between two lines of progress
log = logging.getLogger(__name__)
T = TypeVar("T")


@dataclass
class Recovered:
    """The state of one partition; `tail` holds the bars that were published after the checkpoint.

    `needs_first_checkpoint`: the position must be written before anything is read. It is the first one, or it had to jump.
    `tail_read`: up to which offset of the input the tail's bars say that it was read, and in which leader epoch.
    `cuts`: records that were read after the checkpoint are gone from each of these offsets on, smallest first.
    """

    position: Position
    needs_first_checkpoint: bool = False
    cuts: tuple[int, ...] = ()
    tail_read: tuple[int, int] = 0, NO_EPOCH
    states: dict[bytes, SymbolState] = field(default_factory=dict)
    tail: list[Bar | ClosedBar] = field(default_factory=list)
    finals_end: int = 0
    changelog_end: int = 0
    beyond: Beyond = field(default_factory=Beyond)
    ends: dict[str, int] = field(default_factory=dict)  # of the topics of bars, as of the position


@dataclass(frozen=True)
class Seen:
    """The last records of a partition, from `start` on, as a search has read them."""

    start: int
    records: Sequence[Record] = ()


def stop_if_given_up() -> None:
    """Re-raise a cancellation that a client swallowed, as `wait_for` may do.

    Otherwise an abandoned recovery would fence the new owner and register its partitions here.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


async def recover(reader: Reader, settings: Settings, partition: int, partitions: int, now: Identity = UNKNOWN) -> Recovered:
    """Read the state of one partition. Raises `StateError` where it does not fit the settings, or records are gone.

    `partitions`: how many the input has. `now`: the ids of the cluster and the topics.
    """
    where = f"{settings.changelog_topic}[{partition}]"
    begin, end = await reader.bounds(settings.changelog_topic, partition)
    position, seen = await last_position(reader, settings.changelog_topic, partition, begin, end)
    finals = await _log_now(reader, settings.finals_topic, partition, now.finals)
    ours, seen_bars = await _check_owner(reader, settings, partition, finals.begin, finals.end)
    ticks = await _log_now(reader, settings.input_topic, partition, now.input)
    wanted = fingerprint(settings, partitions)
    if position is None:
        if ours:  # the position is written before the first bar; reading all ticks again would publish bars twice
            raise StateError(
                f"{where} holds no position, though {finals.name} has bars of this app_id (was the changelog deleted?): "
                "restore it, or use another app_id and topics_prefix"
            )
        # the ticks in a topic of our own begin where `start` said: see `agents.repartition`
        begin_at = ticks.begin if settings.start is Start.earliest or settings.repartition else ticks.end
        first = Position(
            next_offset=begin_at,
            arrival=-(1 << 62),
            counters=Counters(),
            finals_end=finals.end,
            changelog_start=end,
            fingerprint=wanted,
            identity=now,
            cut=CUT_AT_NEXT if begin_at else NO_CUT,  # offset 0: nothing was ever before it
        )
        found = Recovered(first, needs_first_checkpoint=True, finals_end=finals.end, changelog_end=end)
        found.ends = await begin_beyond(reader, settings, partition, first)
        return found
    check_cluster(where, position.identity, now)
    check_fingerprint(where, position.fingerprint, wanted)
    check_changelog(where, position, begin)
    found = Recovered(position, finals_end=finals.end, changelog_end=end)
    found.beyond.published = await read_published(reader, settings, partition, position)
    async for record in _records(reader, settings.changelog_topic, partition, position.changelog_start, end, seen):
        _take_state(found, record)
    before, finals_before = position.next_offset, position.finals_end
    stored = position.identity
    finals = await _with_epoch(reader, settings.finals_topic, partition, finals, stored.finals, position.finals_epoch[0])
    reread = check_finals(settings, finals, position)
    ticks = await _with_epoch(reader, settings.input_topic, partition, ticks, stored.input, position.leader_epoch)
    moved = check_input(settings, ticks, position)
    tail = await _tail(reader, settings, partition, finals.end, position, before if reread else -1, seen_bars)
    if moved is Moved.other_log:  # the bars name offsets of records that are gone: treat all of them as passed
        found.tail = [_passed_at(bar, position.next_offset) for bar, _ in tail]
    else:
        for leader_epoch in sorted({leader_epoch for _, leader_epoch in tail}):
            last_bar = max(bar.closed_at_offset for bar, of_bar in tail if of_bar == leader_epoch)
            if leader_epoch != ticks.leader_epoch:
                ticks = await _with_epoch(reader, settings.input_topic, partition, ticks, stored.input, leader_epoch)
            cut = check_passed(settings, ticks, position, last_bar)
            if cut is not None:
                last, _ = await _last(reader, settings.input_topic, partition, position.resume_at, cut, lambda _: True)
                at = position.next_offset if last is None else last.offset + 1
                tail = [(_passed_at(bar, at) if epoch == leader_epoch else bar, epoch) for bar, epoch in tail]
                found.cuts = tuple(sorted({*found.cuts, at}))
        found.tail = [bar for bar, _ in tail]
        found.tail_read = max(((bar.closed_at_offset, leader_epoch) for bar, leader_epoch in tail), default=(0, NO_EPOCH))
    found.ends = ends_of(settings, position)
    if moved is not Moved.no:
        position.cut = CUT_AT_NEXT
    identity = now.completed_by(position.identity)
    # Stored at once: by the next start a topic may have grown past the old position, or have been replaced by another one.
    known = position.finals_end, position.fingerprint, position.identity
    jumped = moved is not Moved.no or bool(found.cuts)
    found.needs_first_checkpoint = jumped or known != (finals_before, wanted, identity)
    position.fingerprint, position.identity = wanted, identity
    return found


async def _log_now(reader: Reader, topic: str, partition: int, topic_id: str) -> Log:
    return Log(f"{topic}[{partition}]", *await reader.bounds(topic, partition), topic_id)


async def _with_epoch(reader: Reader, topic: str, partition: int, log: Log, stored_id: str, leader_epoch: int) -> Log:
    """The log, with where a leader epoch ends, if the broker tells. Another topic of the same name has epochs of its own."""
    if leader_epoch == NO_EPOCH or not log.is_same(stored_id):
        return replace(log, leader_epoch=NO_EPOCH, epoch_end=None)
    end = await reader.end_of_epoch(topic, partition, leader_epoch)
    return replace(log, leader_epoch=leader_epoch, epoch_end=None if end is None else end.offset)


async def _tail(
    reader: Reader, settings: Settings, partition: int, end: int, position: Position, closed_from: int, seen: Seen
) -> list[tuple[Bar | ClosedBar, int]]:
    """Our bars in the finals topic from the position's `finals_end` up to `end`, each with the input's leader epoch of then.

    `closed_from`: those that closed at an earlier offset of the input are left out. None of their windows is open.
    """
    tail: list[tuple[Bar | ClosedBar, int]] = []
    async for record in _records(reader, settings.finals_topic, partition, position.finals_end, end, seen):
        if record.value is not None and producer_app(record.headers) == settings.app_id.encode():
            bar = _decoded(partial(closed_bar, record, settings.window_size), record, "bar", settings.finals_topic)
            if bar.closed_at_offset >= closed_from:
                tail.append((bar, leader_epoch_of(record.headers)))
    return tail


def _passed_at(bar: Bar | ClosedBar, offset: int) -> Bar | ClosedBar:
    """This bar, closed at this offset of the input at the latest."""
    return msgspec.structs.replace(bar, closed_at_offset=min(bar.closed_at_offset, offset))


async def _records(
    reader: Reader, topic: str, partition: int, start: int, end: int, seen: Seen | None = None
) -> AsyncIterator[Record]:
    """The records between two offsets; those that were `seen` up to `end` are not read again."""
    read, read_to = 0, end if seen is None else min(end, seen.start)
    if start < read_to:
        async for batch in reader.read(topic, partition, start, read_to):
            for record in batch:
                if start <= record.offset < read_to:
                    yield record
                    read += 1
                    if not read % LOG_EVERY:
                        log.info("recovery: %s[%d] at offset %d of %d", topic, partition, record.offset, end)
    for record in seen.records if seen is not None else ():
        if start <= record.offset:
            yield record


def _take_state(found: Recovered, record: Record) -> None:
    key = record.key
    if key is None or key == POSITION_KEY:
        return
    if is_further(key):
        found.beyond.states.pop(key, None)
        if record.value is not None:
            found.beyond.states[key] = _decoded(partial(decode_further, record.value), record, "state", "the changelog")
        return
    found.states.pop(key, None)
    if record.value is not None:
        found.states[key] = _decoded(partial(decode_state, record.value), record, "state", "the changelog")


def _decoded(decode: Callable[[], T], record: Record, what: str, where: str) -> T:
    try:
        return decode()
    except msgspec.MsgspecError as error:
        raise StateError(
            f"{where}, offset {record.offset}, key {shown(record.key)}: not a {what} of this version ({error})"
        ) from error


async def last_position(reader: Reader, topic: str, partition: int, begin: int, end: int) -> tuple[Position | None, Seen]:
    """The newest position in a changelog, and what the search has read last."""

    def is_position(record: Record) -> bool:
        return record.key == POSITION_KEY and record.value is not None

    record, seen = await _last(reader, topic, partition, begin, end, is_position)
    if record is None:
        return None, seen
    return _decoded(partial(decode_position, record.value or b""), record, "position", topic), seen


async def _last(
    reader: Reader, topic: str, partition: int, begin: int, end: int, wanted: Callable[[Record], bool]
) -> tuple[Record | None, Seen]:
    """The last record for which `wanted` is true, searched from the end backwards: a transaction ends with a marker.

    Also returns what the search has read last, unless that is much.
    """
    size = FIRST_SEARCH
    seen = Seen(end)
    while begin < end:
        start = max(begin, end - size)
        last: Record | None = None
        records: list[Record] = []
        async for record in _records(reader, topic, partition, start, end, seen):
            if size <= MOST_SEEN:
                records.append(record)
            if wanted(record):
                last = record
        if size <= MOST_SEEN:
            seen = Seen(start, records)
        if last is not None or start == begin:
            return last, seen
        size *= SEARCH_FACTOR
    return None, seen


async def _check_owner(reader: Reader, settings: Settings, partition: int, begin: int, end: int) -> tuple[bool, Seen]:
    """Whether the last bar is ours. Raises `StateError` where it is another app's: the two would close each other's windows.

    Also returns what it has read.
    """
    last, seen = await _last(reader, settings.finals_topic, partition, begin, end, lambda _: True)
    owner = None if last is None else producer_app(last.headers)
    if owner not in (None, settings.app_id.encode()):
        other = (owner or b"").decode(errors="replace")
        raise StateError(
            f"{settings.finals_topic}[{partition}] ends with a bar of app_id {other}, this is {settings.app_id}: "
            "give one of the two another topics_prefix"
        )
    return owner is not None, seen
