"""A Faust service that runs a coroutine beside the agents, and waits for its end when the worker stops.

`app.task` would do, but Faust cancels such a task last of all, and the event loop is closed before it has ended.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from mode import Service

log = logging.getLogger(__name__)
END_SECONDS = 15.0  # for the coroutine after its cancellation


class Background(Service):
    """Runs `run` from the worker's start to its end. It must handle its own errors."""

    def __init__(self, run: Callable[[], Awaitable[None]], label: str) -> None:
        self._run = run
        self._label = label
        self._running: asyncio.Future[None] | None = None
        super().__init__()

    @property
    def label(self) -> str:
        """Its name in the log."""
        return self._label

    async def on_start(self) -> None:
        """Begin."""
        self._running = asyncio.ensure_future(self._run())

    async def on_stop(self) -> None:
        """Cancel it, and wait until it has cleaned up."""
        if self._running is None:
            return
        self._running.cancel()
        _, pending = await asyncio.wait([self._running], timeout=END_SECONDS)
        if pending:
            log.warning("%s has not ended within %.0f s", self._label, END_SECONDS)
