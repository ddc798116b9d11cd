"""Flat bars: bars of windows without a tick, for charts and models that want one bar for each window (`empty=flat`).

A symbol that has traded since its day began gets one for each later window of that day in which it did not trade. It repeats
the close before it and has 0 ticks. The days are those of `tables.calendar`. It never opens a day: a price of yesterday is none
of today.

Flat bars close in the steps in which stream time passes their end + grace. They make no time pass: a scope that is silent
publishes none until its next step, and all that were left out then. So they are a function of the log, as all bars are.

`filled` adds the same bars to a list of bars, for readers of topics that have none.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from operator import attrgetter

import msgspec
from msgspec import UNSET

from tables.bars import Bar
from tables.calendar import BASE, Calendar, Frame, frame_of
from tables.config import EngineConfig
from tables.emission import Closed, Named
from tables.further import Further
from tables.longer import Evidence
from tables.scopes import NEVER, Longer, Scope
from tables.state import Close
from tables.ticks import PER_SECOND
from tables.window import Window

DAY = frame_of("1d")
_by_order = attrgetter("order")


class _OfScope:
    """The symbols of one scope that have traded since the day began. Times are epoch ms."""

    __slots__ = ("all", "day_end", "latest", "passed", "traded")

    def __init__(self, day_end: int, passed: int) -> None:
        self.day_end = day_end
        self.passed = passed  # windows that end later have not been looked at
        self.latest = 0  # the latest end of a base window in which one of them traded
        self.traded: dict[bytes, Longer] = {}  # by record key
        self.all: tuple[list[Longer], list[Close]] | None = None  # in order, until the next one trades


class FlatWindows:
    """Those of one partition."""

    def __init__(self, config: EngineConfig, further: Further, publish: Callable[[Closed], None]) -> None:
        """`publish` takes those of longer frames."""
        self._size = config.window_size
        self._grace = config.grace
        self._per_second = PER_SECOND[config.time_unit]
        self._further = further
        self._publish = publish
        self._calendar = Calendar(config.day_zone, config.day_start, config.week_start)
        base = Frame(0, config.window_size, "")
        self._frames = [base if name == BASE else frame_of(name) for name in config.flat]
        self._scopes: dict[str, _OfScope] = {}
        self._closed: list[Closed] = []

    def move_closed(self, into: list[Closed], published: Container[tuple[str, str, int]] | None) -> int:
        """Move the base window's there, in order. In a replay only those that are not published. Returns how many bars."""
        count = 0
        for step in self._closed:
            if published:
                pairs = zip(step.symbols, step.closes or (), strict=True)
                left = [pair for pair in pairs if (*pair[0].name, step.end) not in published]
                step.symbols, step.closes = [symbol for symbol, _ in left], [close for _, close in left]
            if step.symbols:
                into.append(step)
                count += len(step.symbols)
        self._closed = []
        return count

    def pass_to(self, scope: Scope, time: int, evidence: Evidence) -> None:
        """Close the flat windows that end up to this time. All base windows up to there have closed."""
        of = self._scopes.get(scope.key)
        if of is None:
            return
        for frame in self._frames:
            start, end = self._calendar.window(frame, of.passed)
            while end <= min(time, of.day_end):
                self._close(of, frame.name, start, end, evidence)
                start, end = self._calendar.window(frame, end)
        of.passed = max(of.passed, time)
        if of.passed >= of.day_end:
            for longer in of.traded.values():
                longer.close = None
                self._further.mark(longer)
            del self._scopes[scope.key]
        self._settle(scope)

    def closed(self, scope: Scope, symbols: Sequence[Named], windows: Sequence[Window]) -> None:
        """Note the closes of base windows with the same end, of a scope that was passed up to their start."""
        for symbol, window in zip(symbols, windows, strict=True):
            self._note(scope, self._further.longer_of(symbol.key, symbol.name, scope), window, window.end - self._size)
        self._settle(scope)

    def corrected(self, scope: Scope, longer: Longer, tick: Window) -> None:
        """Note the close of a late tick, a window of its own: flat bars that close from now on repeat it, if it is the last."""
        if self._day_end(tick.end) > scope.stream_time - self._grace:
            self._note(scope, longer, tick, scope.stream_time - self._grace)
            self._settle(scope)

    def restore(self, longer: Longer, close: Close) -> None:
        """Put back what a checkpoint stored of a symbol."""
        scope = longer.scope
        self._add(scope, longer, close, scope.stream_time - self._grace)
        self._settle(scope)

    def _note(self, scope: Scope, longer: Longer, window: Window, passed: int) -> None:
        known, rank = longer.close, (window.close_ts, window.close_seq, window.close_offset)
        if known is None or rank > (known.ts, known.seq, known.offset):
            ahead = window.open_ts * 1_000 // self._per_second - window.opened_at
            since = window.end - self._size - max(0, ahead)
            self._add(scope, longer, Close(window.close, *rank, window.end, since), passed)
            self._further.mark(longer)

    def _add(self, scope: Scope, longer: Longer, close: Close, passed: int) -> None:
        of = self._scopes.get(scope.key)
        if of is None:
            of = self._scopes[scope.key] = _OfScope(self._day_end(close.end), passed)
        longer.close = close
        of.traded[longer.key] = longer
        of.latest, of.all = max(of.latest, close.end), None

    def _close(self, of: _OfScope, frame: str, start: int, end: int, evidence: Evidence) -> None:
        if of.latest <= start:
            if of.all is None:
                of.all = _with_closes(of.traded.values())
            symbols, closes = of.all
        else:
            symbols, closes = _with_closes(one for one in of.traded.values() if one.close and one.close.end <= start)
        if symbols:
            reason, at, watermark, offset, cut = evidence
            step = Closed(symbols, [], end, end - start, self._per_second, reason, at, watermark, offset, cut)
            step.frame, step.closes = frame, closes
            if frame:
                self._publish(step)
            else:
                self._closed.append(step)

    def _settle(self, scope: Scope) -> None:
        """Stream time must not pass the next of these windows without a step."""
        of = self._scopes.get(scope.key)
        scope.flat_end = NEVER if of is None else min(self._calendar.window(frame, of.passed)[1] for frame in self._frames)
        scope.settle(self._grace)

    def _day_end(self, end: int) -> int:
        return self._calendar.window(DAY, end - self._size)[1]


def _with_closes(traded: Iterable[Longer]) -> tuple[list[Longer], list[Close]]:
    symbols = sorted(traded, key=_by_order)
    return symbols, [one.close for one in symbols if one.close is not None]


def filled(bars: Iterable[Bar], calendar: Calendar, frame: Frame, until: int | None = None) -> Iterator[Bar]:
    """The bars of one symbol and one frame, which must be in order, and flat bars in between and after them.

    `until` (epoch ms): windows that end up to then are filled; None: those before the last bar. Revised bars may be among the
    bars instead of the first ones. A bar with 0 ticks is left out and made anew. Of what closed them flat bars say the same as
    the bar that they repeat.
    """
    last: Bar | None = None
    for bar in bars:
        if bar.ticks:
            yield from _between(last, calendar, frame, bar.bucket_start)
            yield bar
            last = bar
    if until is not None:
        yield from _between(last, calendar, frame, until)


def _between(last: Bar | None, calendar: Calendar, frame: Frame, until: int) -> Iterator[Bar]:
    if last is None:
        return
    day_end = calendar.window(DAY, last.bucket_start)[1]
    start, end = calendar.window(frame, last.bucket_end)
    while end <= min(until, day_end):
        yield msgspec.structs.replace(
            last,
            bucket_start=start,
            bucket_end=end,
            open=last.close,
            high=last.close,
            low=last.close,
            volume=None,
            vwap=None,
            ticks=0,
            first_ts=last.last_ts,
            revision=0,
            corrected=UNSET,
        )
        start, end = calendar.window(frame, end)
