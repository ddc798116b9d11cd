"""The checkpoints of a worker's partitions: made together at an interval, early for one that catches up, or given up."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

from agents.checkpoint_pacing import CheckpointPacing
from agents.task import PartitionTask


class CheckpointRounds:
    """The checkpoints under way."""

    def __init__(self, pacing: CheckpointPacing, failed: Callable[[Exception], Awaitable[None]]) -> None:
        """`failed` gets the error of a checkpoint."""
        self._pacing = pacing
        self._failed = failed
        self._early: dict[int, asyncio.Task[None]] = {}  # before the timer's, by partition
        self._under_way: set[asyncio.Future[Any]] = set()

    async def make(self, tasks: Iterable[PartitionTask]) -> None:
        """Make checkpoints of these tasks; returns when all have succeeded, or one has failed, or they have been given up."""
        running = asyncio.gather(*(task.checkpoint() for task in tasks))
        self._under_way.add(running)
        running.add_done_callback(self._under_way.discard)
        try:
            await running
        except asyncio.CancelledError:
            caller = asyncio.current_task()
            if caller is None or caller.cancelling():
                raise
            # Given up. Passed on, it would end Faust's task that calls this.
        except Exception as error:  # noqa: BLE001  # Faust would only log it
            await self._failed(error)

    def begin_early(self, task: PartitionTask, tasks: Mapping[int, PartitionTask]) -> bool:
        """Begin a checkpoint before the timer's, if it is due. `tasks`: those at work, which share this worker's CPU."""
        if tasks.get(task.number) is not task:
            return False  # given away or being recovered, since the caller looked
        running = self._early.get(task.number)
        if (running is not None and not running.done()) or not self._pacing.due_early(task, len(tasks)):
            return False
        self._early[task.number] = asyncio.ensure_future(self.make([task]))
        return True

    def give_up(self) -> None:
        """Cancel the checkpoints under way."""
        for running in list(self._under_way):
            running.cancel()
