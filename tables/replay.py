"""What a restarted partition must still go past: the bars that were published after its last checkpoint.

Such a bar names the offset at which its window closed and the watermark that closed it. While the records after the
checkpoint are read again, stream time is raised at exactly those offsets, so that windows close and ticks are late just
where they were the first time, and what was published is not published again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from tables.bars import Bar


class Replay:
    """The tail of the finals and the newest state, until reading has passed both."""

    def __init__(self, tail: Sequence[Bar], newest_offset: int) -> None:
        """`tail`: bars published after the checkpoint, in order; `newest_offset`: the largest offset a state holds."""
        self.published = {(bar.broker, bar.symbol, bar.bucket_end): bar for bar in tail}
        self.pending = deque(tail)
        self._tail_end = max((bar.closed_at_offset for bar in tail), default=-1)
        self._newest = newest_offset

    def in_tail(self, next_offset: int) -> bool:
        """Whether nothing may close by idling and no checkpoint may be made yet."""
        return bool(self.pending) or next_offset < self._tail_end

    def done(self, next_offset: int) -> bool:
        """Whether everything from before the restart has been passed."""
        return not self.in_tail(next_offset) and next_offset > self._newest

    def was_published_later(self, broker: str, symbol: str, end: int, offset: int) -> bool:
        """Whether a window closed in the tail, at a later offset than this one."""
        bar = self.published.get((broker, symbol, end))
        return bar is not None and bar.closed_at_offset > offset
