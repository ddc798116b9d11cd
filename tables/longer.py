"""Longer windows: closed base windows are merged into them, so that a frame costs nothing a tick.

A frame gathers the longest shorter frame that it is made of: minutes go into 5m, and what 5m gathered goes into 1h when it
closes. So a closed base window is merged about once, however many frames there are. A longer window closes in the same step as
the last window inside it, or when stream time reaches its own end + grace.

In each scope at most one window of a frame is open. A base window goes into it when stream time has reached its end + grace.
Then stream time has reached that of every earlier longer window, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from tables.calendar import Calendar, frame_of, sources
from tables.config import EngineConfig
from tables.core import Core
from tables.corrections import Corrections
from tables.emission import Closed
from tables.further import Further
from tables.packed import Part
from tables.scopes import NEVER, UNKNOWN, Longer, LongerBucket, Scope, Symbol
from tables.state import longer_head
from tables.ticks import PER_SECOND
from tables.window import Window

MOST_AROUND = 1_000  # base windows of late ticks that are remembered


class Evidence(NamedTuple):
    """Why and when the windows of a step close, as their bars say. Times are epoch ms."""

    reason: str
    at: int
    watermark: int
    offset: int
    cut: int  # see `OpenWindows.cut`


class LongerWindows:
    """The open longer windows of one partition, and those that have closed since they were last taken."""

    def __init__(self, config: EngineConfig, core: Core, further: Further, corrections: Corrections | None) -> None:
        """`corrections` keeps what closes, if late ticks may revise it."""
        self.frames = sorted(frame_of(text) for text in config.frames)
        self.count = 0
        self._core = core
        self._further = further
        self._corrections = corrections
        self._calendar = Calendar(config.day_zone, config.day_start, config.week_start)
        self._sources = sources(self.frames)
        self._gathering = {
            source: [frame for frame, of in enumerate(self._sources) if of == source] for source in {-1, *self._sources}
        }
        self._spans = [(0, 0)] * len(self.frames)  # the window of each frame that was asked for last
        self._around: dict[int, list[tuple[tuple[int, int], int]]] = {}  # by the start of the base window
        self._max_future = config.max_future
        self._per_second = PER_SECOND[config.time_unit]
        self._closed: list[Closed] = []

    def span(self, frame: int, time: int) -> tuple[int, int]:
        """Start and end of the window of a frame that holds this time."""
        span = self._spans[frame]
        if not span[0] <= time < span[1]:
            span = self._spans[frame] = self._calendar.window(self.frames[frame], time)
        return span

    def publish(self, step: Closed) -> None:
        """Take in a step of flat bars, after what closed before it."""
        self._closed.append(step)

    def take_closed(self) -> list[Closed]:
        """Those that closed since the last call, in order; they have states and no windows."""
        closed, self._closed = self._closed, []
        return closed

    def gather(self, scope: Scope, symbols: list[Symbol], windows: list[Window], start: int, evidence: Evidence) -> None:
        """Merge base windows of a scope that begin at `start`, and have closed, into the longer ones that hold them."""
        longers = self._further.longers_of(symbols, scope)
        for frame in self._gathering[-1]:
            self._merge(self._bucket(scope, frame, start, evidence), frame, longers, windows)

    def gather_late(self, scope: Scope, longer: Longer, frame: int, tick: Window, start: int) -> bool:
        """Merge a late tick, as a window of its own, into the open window of a frame. Returns whether that had to be opened."""
        opened = not scope.longer or scope.longer[frame] is None
        self._merge(self._bucket(scope, frame, start, None), frame, [longer], [tick])
        return opened

    def around(self, start: int) -> list[tuple[tuple[int, int], int]]:
        """The window of each frame around a base window, and the end of the shorter one that it gathers there, if it does."""
        found = self._around.get(start)
        if found is None:
            if len(self._around) == MOST_AROUND:
                self._around.clear()
            spans = [self.span(frame, start) for frame in range(len(self.frames))]
            ends = [UNKNOWN if source < 0 else spans[source][1] for source in self._sources]
            found = self._around[start] = list(zip(spans, ends, strict=True))
        return found

    def source_of(self, frame: int) -> int:
        """The frame whose closed windows this one gathers, by index; -1: base windows. For readers."""
        return self._sources[frame]

    def close_due(self, scope: Scope, evidence: Evidence, until: int = NEVER) -> list[Longer]:
        """Close the windows that the watermark has reached and that end up to `until`, shortest frame first. Returns whose."""
        until = min(until, evidence.watermark)
        closed: list[Longer] = []
        for frame, bucket in enumerate(scope.longer):
            if bucket is not None and bucket.end <= until:
                closed += bucket.members
                self._close(scope, frame, bucket, evidence)
        return closed

    def restore(self, scope: Scope, longer: Longer, frame: int, start: int, state: bytes) -> None:
        """Put back an open window that a checkpoint stored."""
        bucket = self._bucket(scope, frame, start, None)
        bucket.members.append(longer)
        longer.states[frame] = state
        self.count += 1

    def _bucket(self, scope: Scope, frame: int, time: int, evidence: Evidence | None) -> LongerBucket:
        """The open windows of a frame that hold this time. Closes earlier ones: the watermark has reached them."""
        if not scope.longer:
            scope.longer = [None] * len(self.frames)
        start, end = self.around(time)[frame][0]
        bucket = scope.longer[frame]
        if bucket is not None and bucket.end != end:
            assert evidence is not None  # noqa: S101  # nothing but a closed window is later than an open one
            self._close(scope, frame, bucket, evidence)
            bucket = None
        if bucket is None:
            bucket = scope.longer[frame] = LongerBucket(start, end, longer_head(self.frames[frame].name, start, end))
        return bucket

    def _merge(self, bucket: LongerBucket, frame: int, longers: list[Longer], parts: Sequence[Part]) -> None:
        self.count += self._core.merge_all(longers, parts, frame, bucket.end, bucket.members, self._further.changed)

    def _close(self, scope: Scope, frame: int, bucket: LongerBucket, evidence: Evidence) -> None:
        scope.longer[frame] = None
        members = sorted(bucket.members, key=_order) if len(bucket.members) > 1 else bucket.members
        states = self._core.take_states(members, frame, self._further.changed)
        self.count -= len(members)
        if self._corrections is not None:
            self._corrections.kept.keep(scope, frame + 1, bucket.end, self._core.keys_of(members), states)
        for gathering in self._gathering.get(frame, ()):
            self._merge(self._bucket(scope, gathering, bucket.start, evidence), gathering, members, states)
        reason, at, watermark, offset, cut = evidence
        size = bucket.end - bucket.start
        cut = cut if bucket.start - self._max_future <= cut else UNKNOWN
        closed = Closed(members, [], bucket.end, size, self._per_second, reason, at, watermark, offset, cut, states)
        closed.frame = self.frames[frame].name
        self._closed.append(closed)


def _order(longer: Longer) -> str:
    return longer.order
