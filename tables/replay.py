"""After a restart: the bars that were published after the last checkpoint, and how the engine replays past them.

Each of these bars names the offset at which its window closed and the watermark that closed it. While the records after the
checkpoint are read again, the engine raises stream time at exactly those offsets. So windows close, and ticks are late, where
they were the first time, and no bar is published twice.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from operator import attrgetter

from tables.bar_formats.records import ClosedBar
from tables.bars import Bar
from tables.idle import IdleScheduler
from tables.open_windows import OpenWindows
from tables.scopes import NEVER


class Replay:
    """The tail of the finals topic, until reading has passed it."""

    def __init__(
        self, tail: Sequence[Bar | ClosedBar], windows: OpenWindows, scheduler: IdleScheduler, cuts: Sequence[int] = ()
    ) -> None:
        """`tail`: the bars published after the checkpoint, in the topic's order.

        `cuts`: offsets, smallest first. Records that were there the first time are gone from each of them on, so windows that
        are open there may lack ticks.
        """
        self.published = {(bar.broker, bar.symbol, bar.bucket_end): bar for bar in tail}
        # sorted, because a former owner that woke up may have repeated a bar among those of its successor
        self._pending = deque(sorted(tail, key=attrgetter("closed_at_offset")))
        self._tail_end = max((bar.closed_at_offset for bar in tail), default=-1)
        self._cuts = deque(cuts)
        self._windows = windows
        self._scheduler = scheduler

    def in_tail(self, next_offset: int) -> bool:
        """Whether published bars are still ahead. Until then no window closes by idling and no checkpoint is made."""
        return bool(self._pending) or next_offset < self._tail_end

    def advance_to(self, offset: int, silence: Callable[[int], None]) -> None:
        """Raise stream times as the published bars that closed up to this offset say, and close what that closes.

        `silence` is called before each with the arrival time at which it closed: what no base bar tells happens up to then.
        """
        pending, windows = self._pending, self._windows
        while self._cuts and self._cuts[0] <= offset:
            self._cuts.popleft()
            windows.cut = NEVER
        while pending and pending[0].closed_at_offset <= offset:
            bar = pending.popleft()
            silence(bar.closed_at)
            stream_time = bar.watermark + windows.config.grace
            name = (bar.broker, bar.symbol)
            symbol = windows.symbol_of(f"{bar.broker}|{bar.symbol}".encode(), name) if windows.per_symbol else None
            scope = windows.scope_of(name) if symbol is None else symbol.scope
            if stream_time > scope.stream_time:
                self._scheduler.advance_stream_time(scope, stream_time, bar.closed_at)
                windows.mark_moved(scope)
                if symbol is not None:
                    windows.mark_changed(symbol)
                windows.close(scope, bar.close_reason, bar.closed_at_offset, bar.closed_at)
