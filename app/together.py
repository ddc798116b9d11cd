"""Coroutines that run at the same time and end together.

Python's `asyncio.TaskGroup` is not used. Before Python 3.13, after an error of a coroutine, it leaves the waiting task marked
as being cancelled (`Task.cancelling`). Whoever asks for that mark then takes the error for a revocation of the partitions.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable, Sequence
from typing import Any


async def run_together(coroutines: Iterable[Coroutine[Any, Any, object]]) -> None:
    """Return when all have ended. The first error ends the others, and is raised when they have ended.

    A coroutine that is cancelled from inside counts as one that has ended.
    """
    tasks = [asyncio.ensure_future(coroutine) for coroutine in coroutines]
    if not tasks:
        return
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
    except asyncio.CancelledError:
        await _end(tasks)
        raise
    await _end(tasks)
    errors = [task.exception() for task in tasks if not task.cancelled()]  # asks for all of them, or asyncio logs them
    first = next((task.exception() for task in done if not task.cancelled() and task.exception()), None)
    if error := first or next(filter(None, errors), None):
        raise error


async def _end(tasks: Sequence[asyncio.Task[object]]) -> None:
    """Cancel those that still run, and wait until they have ended, also if the caller is cancelled meanwhile."""
    for task in tasks:
        task.cancel()
    cancelled: asyncio.CancelledError | None = None
    while running := [task for task in tasks if not task.done()]:
        try:
            await asyncio.wait(running)
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        raise cancelled
