"""When a checkpoint is made: at once where something waits to be published, otherwise when it is worth its cost."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

from app.kafka.clock import now_ms
from app.kafka.slices import Slice

FULL_SECONDS = 1.0  # after a full fetch, the worker counts as catching up for this long
OLD_MS = 5_000  # a worker that catches up with older records than these has no bars that anybody waits for
STATE_SECONDS = 8e-6  # CPU time for each state in a checkpoint
USUAL_SHARE = 200  # checkpoints take a two-hundredth of the time, unless they came more rarely than every ...
USUAL_SECONDS = 10.0  # ... so many seconds: the worker that goes on after a crash would have to read more again
LARGEST_SHARE = 20  # but they take at most a twentieth of the time


class Paced(Protocol):
    """What decides when a partition is due."""

    @property
    def checkpoint_began(self) -> float:
        """When the last checkpoint began, even if it found nothing to write; monotonic."""

    @property
    def publication_began(self) -> float:
        """When the last checkpoint began that had something to publish; monotonic."""

    @property
    def states_due(self) -> int:
        """About how many states a checkpoint would write now."""

    @property
    def publication_waits(self) -> bool:
        """Whether there is something that only a checkpoint publishes."""


class CheckpointPacing:
    """The pacing of one worker's checkpoints."""

    def __init__(self, interval: float, clock: Callable[[], float] = time.monotonic, wall: Callable[[], int] = now_ms) -> None:
        """`interval`: seconds between two checkpoints of a partition that publish something.

        `clock`: monotonic, in seconds. `wall`: this machine's time, epoch ms.
        """
        self._interval = interval
        self._clock = clock
        self._wall = wall
        self._full_fetch_at = self._old_fetch_at = float("-inf")

    @property
    def catching_up(self) -> bool:
        """Whether the worker reads much at once: a recent fetch was full, see `Slice`."""
        return self._clock() - self._full_fetch_at < FULL_SECONDS

    def fetched(self, part: Slice) -> None:
        """A slice was fetched."""
        if part.full:
            self._full_fetch_at = self._clock()
            if 0 <= part.batches[-1].max_timestamp < self._wall() - OLD_MS:
                self._old_fetch_at = self._full_fetch_at

    def affordable(self, task: Paced, partitions: int) -> bool:
        """Whether writing the states that are due would take little of the time since the last checkpoint.

        `partitions`: how many share this worker's CPU. At live pace this is 0.5%, because nothing depends on the checkpoint
        except how much is read again after a crash. With many states it would come too rarely, and then 5% is allowed.

        While the worker catches up, every window changes between two checkpoints, and one checkpoint a second could take all
        the time. Just after a window has closed, few windows are open: then a checkpoint costs little and covers the bars that
        were published.
        """
        cost = partitions * STATE_SECONDS * task.states_due
        wait = max(LARGEST_SHARE * cost, min(USUAL_SHARE * cost, USUAL_SECONDS))
        return self._clock() - task.checkpoint_began >= wait

    def urgent(self, task: Paced) -> bool:
        """Whether something has to be published now, whatever the checkpoint costs.

        Not while the worker catches up with old records: their bars are late already, and come sooner the faster it reads.
        """
        now = self._clock()
        allowed = now - task.publication_began >= self._interval and now - self._old_fetch_at >= FULL_SECONDS
        return task.publication_waits and allowed

    def due(self, task: Paced, partitions: int) -> bool:
        """Whether to make a checkpoint when the interval's timer fires."""
        return self.urgent(task) or self.affordable(task, partitions)

    def due_early(self, task: Paced, partitions: int) -> bool:
        """Whether to make a checkpoint before that: something waits, or the timer fires too rarely as the worker catches up."""
        enough = self._clock() - task.checkpoint_began >= self._interval
        return (self.catching_up and enough and self.affordable(task, partitions)) or self.urgent(task)
