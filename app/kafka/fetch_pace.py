"""The pace of fetches where records keep coming: they are fetched together, instead of a few at once.

Each answer costs the worker about as much as some hundred ticks, so a pause makes a tick cheaper. There is none after an empty
answer, so the first record after a silence is fetched at once, nor after a large one, as when the worker catches up.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

PACE_SECONDS = 0.050  # at live pace a node is asked so often; a bar is later by this much at most
LARGE_BYTES = 256 * 1024  # an answer of so many bytes is worth its cost


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

    def answered(self, node: int, size: int) -> None:
        """A node answered a fetch with `size` bytes of records."""
        if 0 < size < LARGE_BYTES:
            self._next[node] = (self._clock() // self._seconds + 1) * self._seconds
        else:
            self._next.pop(node, None)

    async def wait(self, node: int) -> None:
        """Wait until a node may be asked."""
        pause = self._next.get(node, 0.0) - self._clock()
        if pause > 0:
            await self._sleep(pause)
