"""The timer of the idle closes: the task that turns the wheels, and the rules of its clock.

The timer makes no decisions. The log alone determines what closes, and at which arrival time. The timer only publishes it
before the next record comes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import faust

from app.kafka.fetcher import Head


class TimerClock:
    """The arrival time up to which one partition is known to hold no unread record."""

    def __init__(self, idle_margin: int, arrival: int, started_ms: int, *, append_time: bool) -> None:
        """`idle_margin` in ms. `append_time`: LogAppendTime input.

        `arrival` is the largest arrival time so far; arrival time goes on from there at `started_ms` (both epoch ms).
        """
        self._idle_margin = idle_margin
        self._append_time = append_time
        self._last_arrival = arrival
        self._fetched_ms = started_ms  # while nothing has been fetched, time that has passed is time since the start

    def fed(self, arrival: int, fetched_ms: int) -> None:
        """A slice was processed. `arrival`: the largest arrival time so far; `fetched_ms`: when it was fetched (epoch ms)."""
        self._last_arrival = arrival
        self._fetched_ms = fetched_ms

    def passed(self, head: Head, now_ms: int) -> int:
        """The arrival time (epoch ms) that has passed, if a fetch at the end of the log was empty.

        The time of the request counts, not that of the response: after a pause, an old response may still lie in the socket.
        """
        t = min(now_ms, head.sent_ms) - self._idle_margin
        if not self._append_time:
            t += self._last_arrival - self._fetched_ms  # assumes that the producers' clock advances at the same pace as ours
        return t


def register(app: faust.App, tick_ms: int, turn: Callable[[], Awaitable[None]]) -> None:
    """Call `turn` every `tick_ms` milliseconds until the app stops. `turn` handles its own errors."""

    async def wheel() -> None:
        while not app.should_stop:
            await asyncio.sleep(tick_ms / 1_000)
            await turn()

    app.task(wheel)
