"""The pace of fetches where records keep coming: they are fetched together, instead of a few at once.

Each answer costs the worker about as much as some hundred ticks, so a pause makes a tick cheaper. There is none after an empty
answer, so the first record after a silence is fetched at once, nor while the worker has much to read: then an answer can be
small, too, where a broker returns one batch of a partition.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

PACE_SECONDS = 0.050  # at live pace a node is asked so often; a bar is later by this much at most
BEHIND = 10_000  # a worker whose fetch begins so many offsets before the end of a log catches up


class FetchPace:
    """When each node may be asked again. All nodes are asked at the same moments, so their answers come together."""

    def __init__(
        self,
        seconds: float = PACE_SECONDS,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        """`clock`: monotonic, in seconds."""
        self._seconds = seconds
        self._clock = clock
        self._sleep = sleep
        self._next: dict[int, float] = {}

    def answered(self, node: int, behind: int) -> None:
        """A node answered a fetch that began `behind` offsets before the end of a log, at most; 0 if it has no records."""
        if 0 < behind < BEHIND:
            self._next[node] = (self._clock() // self._seconds + 1) * self._seconds
        else:
            self._next.pop(node, None)

    async def wait(self, node: int) -> None:
        """Wait until a node may be asked."""
        pause = self._next.get(node, 0.0) - self._clock()
        if pause > 0:
            await self._sleep(pause)
