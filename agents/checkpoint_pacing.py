"""When a checkpoint is made: every interval where few states have changed, and at a good moment while much is read at once."""

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
        """Whether the topic holds more than what was written in the last moment."""
        return time.monotonic() - self._full_fetch_at < FULL_SECONDS

    def fetched(self, *, last: bool) -> None:
        """A slice was processed. `last`: its fetch brought nothing more."""
        if not last:
            self._full_fetch_at = time.monotonic()

    def affordable(self, task: PartitionTask, partitions: int) -> bool:
        """Whether enough time has passed for the states that a checkpoint would write, until writing takes at most 5% of it.

        `partitions` of this worker share its CPU. While much is read at once, every window changes between two checkpoints,
        and one a second could take all the time. Just after a window has closed, few windows are open: then a checkpoint
        costs little and covers what was published.
        """
        wait = CHECKPOINT_SHARE * partitions * STATE_SECONDS * task.engine.snapshots.due
        return time.monotonic() - task.checkpoint_began >= wait

    def due_now(self, task: PartitionTask, partitions: int) -> bool:
        """Whether a checkpoint between two slices is right. The timer comes too seldom while much is read at once."""
        enough = time.monotonic() - task.checkpoint_began >= self._interval
        return self.catching_up and enough and self.affordable(task, partitions)
