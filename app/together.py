"""Coroutines that run at the same time and end together.

Python's `asyncio.TaskGroup` is not used. Before Python 3.13, after an error of a coroutine, it leaves the waiting task marked
as being cancelled (`Task.cancelling`). Whoever asks for that mark then takes the error for a revocation of the partitions.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable, Sequence
from typing import Any


async def run_together(coroutines: Iterable[Coroutine[Any, Any, object]]) -> None:
    """Return when all have ended. An error ends the others, and is raised when they have ended; of several, the first in order.

    A coroutine that is cancelled from inside counts as one that has ended.
    """
    tasks: list[asyncio.Task[object]] = []
    try:
        tasks.extend(map(asyncio.ensure_future, coroutines))
        failed = await _first_to_fail(tasks)
    finally:
        await _end(tasks)
    if failed is not None:
        failed.result()


async def _first_to_fail(tasks: Sequence[asyncio.Task[object]]) -> asyncio.Task[object] | None:
    """Wait until one has failed, or all have ended."""
    if not tasks:
        return None
    done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
    return next((task for task in tasks if task in done and not task.cancelled() and task.exception() is not None), None)


async def _end(tasks: Sequence[asyncio.Task[object]]) -> None:
    """Cancel those that still run, and wait until they have ended, also if the caller is cancelled meanwhile."""
    for task in tasks:
        task.cancel()
    cancelled = False
    while running := [task for task in tasks if not task.done()]:
        try:
            await asyncio.wait(running)
        except asyncio.CancelledError:
            cancelled = True
    for task in tasks:
        if not task.cancelled():
            task.exception()  # asyncio would log those that nobody asks for
    if cancelled:
        raise asyncio.CancelledError
