"""How long a thread of little importance rests between two pieces of its work."""

from __future__ import annotations

import time

REST_FACTOR = 3  # times the CPU that the piece took
MAX_REST_SECONDS = 0.25


class Work:
    """The CPU time that this thread takes for its work.

    While it waits for the disk, or for its turn, it takes nothing from the other threads. If such waits were rested for as
    well, a busy machine would slow it down four times.
    """

    def __init__(self) -> None:
        self._since = time.thread_time()

    def rest(self) -> float:
        """How long to rest after what was done since the last call, in seconds."""
        before, self._since = self._since, time.thread_time()
        return min(MAX_REST_SECONDS, REST_FACTOR * (self._since - before))
