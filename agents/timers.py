"""The timer of the idle closes: the task that turns the wheels, and the rules of its clock.

The timer decides nothing. What has to close, and when, follows from the log; the timer only lets it show before the next record
comes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import faust

from app.kafka.fetcher import Head


class TimerClock:
    """Up to which arrival time one partition's log is known to hold nothing unread."""

    def __init__(self, idle_margin: int, arrival: int, started_ms: int, *, append_time: bool) -> None:
        """`idle_margin` in ms. `append_time`: LogAppendTime input.

        `arrival` is the largest arrival time so far; arrival time goes on from there at `started_ms` (both epoch ms).
        """
        self._idle_margin = idle_margin
        self._append_time = append_time
        self._last_arrival = arrival
        self._fetched_ms = started_ms  # while nothing has been fetched, time that has passed is time since the start

    def fed(self, arrival: int, fetched_ms: int) -> None:
        """A slice was processed: the largest arrival time since, and the time of its fetch (epoch ms)."""
        self._last_arrival = arrival
        self._fetched_ms = fetched_ms

    def passed(self, head: Head, now_ms: int) -> int:
        """The arrival time (epoch ms) that has passed, given an empty answer at the head of the log.

        The time of the request counts, not that of its answer: after a pause an old empty answer lies in the socket.
        """
        t = min(now_ms, head.sent_ms) - self._idle_margin
        if not self._append_time:
            t += self._last_arrival - self._fetched_ms  # the producers' clock goes on at the pace of ours
        return t


def register(app: faust.App, tick_ms: int, turn: Callable[[], Awaitable[None]]) -> None:
    """Call `turn` every `tick_ms` milliseconds until the app stops. `turn` handles its own errors."""

    async def wheel() -> None:
        while not app.should_stop:
            await asyncio.sleep(tick_ms / 1_000)
            await turn()

    app.task(wheel)
