"""The pace of fetches where records keep coming: they are fetched together, instead of a few at once.

Each answer costs the worker about as much as some thousand ticks, so a pause makes a tick cheaper. It is short where a bar may
be due, so bars are hardly later, and long where none is. There is none after an empty answer, so the first record after a
silence is fetched at once, nor while the worker has much to read: then an answer can be small, too, where a broker returns one
batch of a partition.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from app.kafka.clock import steady_ms

SHORT_MS = 50  # at live pace a node is asked so often where a bar may be due
LONG_MS = 200  # and so often where none is; one that comes unexpectedly is later by this much at most
MOST_GATHERED = 1_200  # records of a partition that are let gather for longer than `SHORT_MS`
CLOSING_MS = 20  # the records that close a window come about so long after it is due
BEHIND = 10_000  # a worker whose fetch begins so many offsets before the end of a log catches up


class FetchPace:
    """When each node may be asked again. All nodes are asked at the same moments, so their answers come together.

    `no_bar_before`: no bar is due before this time by `steady_ms`; 0: that is not known. Another thread may set it.
    """

    def __init__(
        self, clock: Callable[[], int] = steady_ms, sleep: Callable[[float], Awaitable[object]] = asyncio.sleep
    ) -> None:
        """`clock`: see `steady_ms`."""
        self.no_bar_before = 0
        self._clock = clock
        self._sleep = sleep
        self._answered: dict[int, int] = {}
        self._next: dict[int, tuple[int, int]] = {}  # when a node is asked again: the soonest and the latest

    def answered(self, node: int, behind: int) -> None:
        """A node answered a fetch that began `behind` offsets before the end of a log, at most; 0 if it has no records."""
        now = self._clock()
        since = now - self._answered.get(node, now)
        self._answered[node] = now
        if 0 < behind < BEHIND:
            gather = min(LONG_MS, MOST_GATHERED * since // behind)  # at the rate at which these came
            soonest = (now // SHORT_MS + 1) * SHORT_MS
            self._next[node] = soonest, max(soonest, (now + gather) // SHORT_MS * SHORT_MS)
        else:
            self._next.pop(node, None)

    async def wait(self, node: int) -> None:
        """Wait until a node may be asked."""
        soonest, latest = self._next.get(node, (0, 0))
        pause = min(latest, max(soonest, self.no_bar_before + CLOSING_MS)) - self._clock()
        if pause > 0:
            await self._sleep(pause / 1_000)
