"""Where the ticks of a backfill come from: the input topic, as far as it goes back, or recorded files."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

from agents.engines import engine_config
from agents.layout import tick_layout
from agents.topics import TopicsReport
from app.errors import InputError
from app.kafka.partitioner import partition_of
from app.kafka.reader import Reader
from app.kafka.slices import from_offset
from app.settings import Settings
from app.tickfiles import merge, rows
from app.tickfiles.reading import BadRowError, Row
from app.tickfiles.sources import Source
from tables.engine import Engine
from tables.recomputed import close_all
from tables.scopes import UNKNOWN
from tables.state import CUT_AT_NEXT, Counters

AT_ONCE = 5_000  # rows of files


@dataclass(frozen=True)
class Stretch:
    """The history that is computed once more: windows within two times. All in ms; `lateness`: how late its ticks may be."""

    since: int
    until: int
    lateness: int


@dataclass(frozen=True)
class _Record:
    """A row of a file as the engine takes a record."""

    offset: int
    timestamp: int
    key: bytes
    value: bytes
    headers: tuple[tuple[str, bytes | None], ...] = ()


def engine_of(settings: Settings, stretch: Stretch, next_offset: int = 0, *, files: bool = False) -> Engine:
    """An engine that waits for late ticks. Rows of files are in the default layout."""
    config = replace(engine_config(settings), grace=stretch.lateness, correct=False, flat=(), idle_close=False)
    return Engine(config, next_offset, None if files else tick_layout(settings))


async def topic_ticks(
    reader: Reader, settings: Settings, topics: TopicsReport, number: int, stretch: Stretch, show: Callable[[int], None]
) -> AsyncIterator[Engine]:
    """Feed an engine with one partition of the input. Yields it now and then, and last when all has closed.

    A tick is at most `max_future` ahead of its arrival, so reading begins that much earlier. It goes to the end, as late ticks
    may be anywhere. Windows from which retention has deleted ticks will be partial.
    """
    topic = settings.input_topic
    begin, end = await reader.bounds(topic, number)
    at = await reader.offset_at(topic, number, max(0, stretch.since - settings.max_future))
    start = end if at is None else max(begin, at)
    engine = engine_of(settings, stretch, start)
    if begin and start == begin:
        engine.restore(Counters(), UNKNOWN, {}, {}, [], CUT_AT_NEXT)
    cap = None if topics.log_append_time and not settings.repartition else time.time_ns() // 1_000_000
    if start < end:
        async for batch in reader.read(topic, number, start, end):
            engine.feed(from_offset(iter(batch), start), cap)
            show(engine.next_offset - start)
            yield engine
    close_all(engine)
    yield engine


def file_ticks(
    settings: Settings, sources: Sequence[Source], reading: rows.Reading, reorder: int, stretch: Stretch, partitions: int
) -> Iterator[dict[int, Engine]]:
    """Feed an engine for each partition with the rows of all files. Yields them now and then, and last when all has closed."""
    engines: dict[int, Engine] = {}
    places: dict[bytes, int] = {}
    waiting: dict[int, list[_Record]] = {}
    latest = UNKNOWN
    for count, row in enumerate(_merged(sources, reading, reorder), 1):
        number = places.get(row.key)
        if number is None:
            number = places[row.key] = partition_of(row.key, partitions)
            engines.setdefault(number, engine_of(settings, stretch, files=True))
        latest = max(latest, row.ts_ms)
        waiting.setdefault(number, []).append(_Record(count, latest, row.key, row.value))
        if not count % AT_ONCE:
            _feed(engines, waiting)
            yield engines
    _feed(engines, waiting)
    for engine in engines.values():
        close_all(engine)
    yield engines


def _feed(engines: dict[int, Engine], waiting: dict[int, list[_Record]]) -> None:
    for number, records in waiting.items():
        engines[number].feed(records)
    waiting.clear()


def _merged(sources: Sequence[Source], reading: rows.Reading, reorder: int) -> Iterator[Row]:
    openers = []
    for source in sources:
        first = next(_good(source, reading, reorder), None)
        if first is not None:
            openers.append((first.ts_ms, partial(_good, source, reading, reorder)))
    return merge.merged(openers, lambda row: row.ts_ms)


def _good(source: Source, reading: rows.Reading, reorder: int) -> Iterator[Row]:
    found = rows.stream(source, reading)
    for row in (
        merge.reordered(found, lambda row: None if isinstance(row, BadRowError) else row.ts_ms, reorder) if reorder else found
    ):
        if isinstance(row, BadRowError):
            raise InputError(f"{row}; a backfill takes every row of its files")
        yield row


def _time_of(row: Row | BadRowError) -> int | None:
    return None if isinstance(row, BadRowError) else row.ts_ms
