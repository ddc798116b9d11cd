"""Collects bars for `app bars`: the newest revision of each or all of them, of a frame that is kept or that is folded.

With `last`, no more is held in memory than what will be shown, and with a folded frame one window more for each symbol.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from operator import attrgetter

from aiokafka import AIOKafkaConsumer

from agents.recovery import last_position
from app.errors import InputError
from app.finals import BarOrder, BarQuery, PlacedBar, records_to_end
from app.kafka.bootstrap import admin
from app.kafka.cluster import Cluster
from app.kafka.reader import Reader
from app.kafka.topics import partition_counts
from app.settings import Settings
from app.settings.longer import Empty, check_calendar
from app.settings.types import ScopeKind
from tables.bars import Bar
from tables.calendar import Calendar, Frame, frame_of
from tables.folded_frames import fold_frame, is_closed
from tables.scopes import UNKNOWN

Versions = list[PlacedBar]  # of one bar, oldest first


@dataclass(frozen=True)
class Wanted:
    """Which bars: `topics` are those to read, finals first; `fold` is the frame that base bars are folded to."""

    query: BarQuery
    topics: tuple[str, ...]
    fold: Frame | None = None
    revisions: bool = False  # all of each bar, not only the newest
    last: int | None = None


def wanted_bars(settings: Settings, query: BarQuery, frame: str, *, revisions: bool, last: int | None) -> Wanted:
    """What to read for a frame; empty: the base bars. Raises `InputError` where there can be no such bars."""
    name, fold = _frame(settings, frame)
    if fold is not None and revisions:
        raise InputError(
            f"--frame {frame} --revisions: bars of {frame} are made when they are asked for, and have no history; "
            f"leave out --frame for that of the {settings.size_text} bars inside"
        )
    topics = settings.finals_topic_of(name), settings.corrections_topic_of(name)
    return Wanted(query, topics, fold, revisions, last)


def _frame(settings: Settings, text: str) -> tuple[str, Frame | None]:
    """The frame whose topics are read, and that to which its bars are folded."""
    if not text or text == settings.size_text:
        return "", None
    try:
        frame = frame_of(text)
    except ValueError as error:
        raise InputError(f"--frame {error}") from None
    if frame.name in settings.frame_names:
        return frame.name, None
    if frame.size == settings.window_size:
        return "", None
    try:
        alone = {"frames": frame.name, "empty": Empty.none, "empty_frames": ""}
        check_calendar(settings.model_copy(update=alone), settings.window_size, settings.min_ts)
    except ValueError as error:
        raise InputError(f"--frame {text}: {str(error).removeprefix(f'frames={frame.name}: ')}") from None
    return "", frame


async def read_versions(settings: Settings, cluster: Cluster, consumer: AIOKafkaConsumer, wanted: Wanted) -> list[Versions]:
    """The bars that the topics hold now, in order, each with its versions, of which the last is the newest.

    Raises `InputError` where a bar crosses a bound of the frame: its window size was another one.
    """
    calendar = Calendar(settings.day_zone, settings.day_start_ms, settings.week_start_number)
    found = _Collected(wanted, calendar)
    watermarks = _Watermarks(settings.scope)
    async for record in records_to_end(consumer):
        bar = wanted.query.read(record)
        if bar is not None:
            if wanted.fold is not None:  # bars of other symbols tell that a window has ended
                watermarks.add(record.partition, bar)
            found.add(PlacedBar(record.partition, bar))
    if wanted.fold is None:
        return list(found.versions())
    cuts = await _cuts(settings, cluster)
    longer: list[Versions] = []
    try:
        for partition, bars in found.windows():
            watermark = watermarks.of(partition, bars[0])
            cut = cuts.get(partition, UNKNOWN)
            folded = fold_frame(bars, wanted.fold, calendar, watermark=watermark, cut=cut, scale=settings.bar_scale)
            longer += [[PlacedBar(partition, bar)] for bar in folded if is_closed(bar)]
    except ValueError as error:
        raise InputError(f"--frame {wanted.fold.name}: {error}; was window_size another one?") from None
    return longer[-wanted.last :] if wanted.last else longer


class _Watermarks:
    """How far each scope has come, as its bars tell."""

    def __init__(self, scope: ScopeKind) -> None:
        self._parts = {ScopeKind.SYMBOL: 2, ScopeKind.BROKER: 1, ScopeKind.PARTITION: 0}[scope]
        self._known: dict[tuple[int, *tuple[str, ...]], int] = {}

    def add(self, partition: int, bar: Bar) -> None:
        key = self._key(partition, bar)
        self._known[key] = max(bar.watermark, self._known.get(key, UNKNOWN))

    def of(self, partition: int, bar: Bar) -> int:
        return self._known[self._key(partition, bar)]

    def _key(self, partition: int, bar: Bar) -> tuple[int, *tuple[str, ...]]:
        return partition, *(bar.broker, bar.symbol)[: self._parts]


class _Collected:
    """The newest windows, in the order of start, broker, symbol and partition. A window of a fold has many bars."""

    def __init__(self, wanted: Wanted, calendar: Calendar) -> None:
        self._wanted = wanted
        self._start: Callable[[Bar], int] = attrgetter("bucket_start")
        if (frame := wanted.fold) is not None:
            self._start = lambda bar: calendar.window(frame, bar.bucket_start)[0]
        self._held: dict[BarOrder, dict[tuple[int, int], PlacedBar]] = {}  # by start and, with all revisions, revision
        self._heap: list[BarOrder] = []
        self._going_on: set[tuple[int, str, str]] = set()  # of a fold: one window of each symbol has not ended

    def add(self, placed: PlacedBar) -> None:
        """Take a bar, if it is wanted and among the newest. A later record of it replaces it, an older revision does not."""
        wanted, (partition, bar) = self._wanted, placed
        start = self._start(bar)
        if not wanted.query.wants(bar, start):
            return
        if wanted.fold is not None:
            self._going_on.add((partition, bar.broker, bar.symbol))
        window = start, bar.broker, bar.symbol, partition
        bars = self._held.get(window)
        if bars is None:
            if wanted.last is not None:
                if len(self._held) < wanted.last + len(self._going_on):
                    heapq.heappush(self._heap, window)
                elif window < self._heap[0]:
                    return
                else:
                    del self._held[heapq.heapreplace(self._heap, window)]
            bars = self._held[window] = {}
        key = bar.bucket_start, bar.revision if wanted.revisions else 0
        known = bars.get(key)
        if known is None or known.bar.revision <= bar.revision:
            bars[key] = placed

    def versions(self) -> Iterator[Versions]:
        """The versions of each bar, in order."""
        for _, bars in sorted(self._held.items()):
            yield [placed for _, placed in sorted(bars.items())]

    def windows(self) -> Iterator[tuple[int, list[Bar]]]:
        """The partition and the bars of each window, in order."""
        for (_, _, _, partition), bars in sorted(self._held.items()):
            yield partition, [placed.bar for _, placed in sorted(bars.items())]


async def _cuts(settings: Settings, cluster: Cluster) -> dict[int, int]:
    """Arrival times at which reading began or went on after a gap, by partition, where the last positions tell of one."""
    topic, found = settings.changelog_topic, dict[int, int]()
    async with admin(cluster) as client:
        count = (await partition_counts(client)).get(topic, 0)
    async with Reader(cluster, frozenset((topic,) if count else ())) as reader:
        for partition in range(count):
            position, _ = await last_position(reader, topic, partition, *await reader.bounds(topic, partition))
            if position is not None:
                found[partition] = position.cut
    return found


CHANGING = ("revision", "open", "high", "low", "close", "volume", "vwap", "ticks", "first_ts", "last_ts")


def changed(before: Bar, after: Bar) -> list[str]:
    """The names of what a revision changed."""
    return [name for name in CHANGING if getattr(before, name) != getattr(after, name)]
