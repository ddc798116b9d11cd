"""When a checkpoint is made: at every interval, or, while the worker catches up, when few windows are open."""

from __future__ import annotations

import time

from agents.task import PartitionTask

FULL_SECONDS = 1.0  # after a fetch of more than one slice, the worker counts as catching up for this long
CHECKPOINT_SHARE = 20  # checkpoints take at most a twentieth of the time
STATE_SECONDS = 8e-6  # CPU time for each state in a checkpoint


class CheckpointPacing:
    """The pacing of one worker's checkpoints."""

    def __init__(self, interval: float) -> None:
        """`interval`: seconds between two checkpoints of a partition, at least."""
        self._interval = interval
        self._full_fetch_at = float("-inf")  # monotonic

    @property
    def catching_up(self) -> bool:
        """Whether the worker reads older records: a recent fetch held more than one slice."""
        return time.monotonic() - self._full_fetch_at < FULL_SECONDS

    def fetched(self, *, last: bool) -> None:
        """A slice was fetched. `last`: it is the last one of its fetch."""
        if not last:
            self._full_fetch_at = time.monotonic()

    def affordable(self, task: PartitionTask, partitions: int) -> bool:
        """Whether writing the states that are due would take at most 5% of the time since the last checkpoint.

        `partitions`: how many share this worker's CPU. While the worker catches up, every window changes between two
        checkpoints, and one checkpoint a second could take all the time. Just after a window has closed, few windows are open:
        then a checkpoint costs little and covers the bars that were published.
        """
        wait = CHECKPOINT_SHARE * partitions * STATE_SECONDS * task.engine.snapshots.due
        return time.monotonic() - task.checkpoint_began >= wait

    def due_now(self, task: PartitionTask, partitions: int) -> bool:
        """Whether to make a checkpoint between two slices. While the worker catches up, the timer runs too rarely."""
        enough = time.monotonic() - task.checkpoint_began >= self._interval
        return self.catching_up and enough and self.affordable(task, partitions)
