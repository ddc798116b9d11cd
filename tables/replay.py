"""What a restarted partition must still go past: the bars that were published after its last checkpoint.

Such a bar names the offset at which its window closed and the watermark that closed it. While the records after the
checkpoint are read again, stream time is raised at exactly those offsets, so that windows close and ticks are late just
where they were the first time, and what was published is not published again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from operator import attrgetter

from tables.bars import Bar


class Replay:
    """The tail of the finals, until reading has passed it."""

    def __init__(self, tail: Sequence[Bar]) -> None:
        """`tail`: bars published after the checkpoint, as they lie."""
        self.published = {(bar.broker, bar.symbol, bar.bucket_end): bar for bar in tail}
        # a former owner that woke up may have put in a bar once more, among those of its successor
        self.pending = deque(sorted(tail, key=attrgetter("closed_at_offset")))
        self._tail_end = max((bar.closed_at_offset for bar in tail), default=-1)

    def in_tail(self, next_offset: int) -> bool:
        """Whether nothing may close by idling and no checkpoint may be made yet."""
        return bool(self.pending) or next_offset < self._tail_end
