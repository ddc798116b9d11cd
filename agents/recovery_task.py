"""A recovery that runs as an asyncio task, and is watched: an error of it ends the worker."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

log = logging.getLogger(__name__)


class RecoveryTask:
    """The last recovery that was begun."""

    def __init__(self, crash: Callable[[BaseException], Awaitable[None]]) -> None:
        """`crash` ends the worker with an error: Faust would go on without the partitions."""
        self._crash = crash
        self._task: asyncio.Task[None] | None = None

    def begin(self, recovery: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Begin a recovery."""
        task = self._task = asyncio.ensure_future(self._watched(recovery))
        return task

    def cancel(self) -> None:
        """Cancel it, if it still runs."""
        if self._task is not None:
            self._task.cancel()

    async def ended(self) -> None:
        """Wait until it has ended."""
        if self._task is not None:
            await asyncio.wait([self._task])

    async def _watched(self, recovery: Coroutine[Any, Any, None]) -> None:
        task = asyncio.current_task()
        try:
            await recovery
        except Exception as error:  # noqa: BLE001  # whatever it is
            await self._crash(error)
        except asyncio.CancelledError as error:
            if task is None or task.cancelling():
                log.info("the recovery was given up: the partitions were revoked")
                raise
            # A client raised the cancellation of its own task. Passed on, it would look like a revocation.
            await self._crash(RuntimeError("a recovery was cancelled from inside").with_traceback(error.__traceback__))
