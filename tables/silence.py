"""What happens as arrival time passes: windows close by idling and revisions are published, in the order of their due times."""

from __future__ import annotations

from tables.config import EngineConfig
from tables.idle import IdleScheduler
from tables.open_windows import OpenWindows
from tables.progress import CLOCK_STEP, Progress
from tables.scopes import NEVER, UNKNOWN


class Silence:
    """Of one partition. It knows no clock: it is told up to which arrival time nothing else happened."""

    def __init__(self, config: EngineConfig, windows: OpenWindows, scheduler: IdleScheduler, progress: Progress) -> None:
        self._grace = config.grace
        self._windows = windows
        self._scheduler = scheduler
        self._progress = progress

    def any_due(self, before: int) -> bool:
        """Whether a window or a revision is due before this arrival time."""
        after = self._windows.after
        return self._scheduler.any_due(before) or (after is not None and after.any_due(before))

    def arrive(self, arrived: int) -> bool:
        """Move the arrival clock to a record that follows, as the engine does for any record.

        False, with nothing changed, where the engine would do more than that.
        """
        progress = self._progress
        if arrived <= progress.timer or arrived < progress.arrival - CLOCK_STEP or self._windows.cut == NEVER:
            return False
        if arrived > progress.arrival:
            progress.arrival = arrived
            self.pass_to(arrived)
        return True

    def step_back(self, arrival: int) -> None:
        """The clock that gave the running maximum was wrong: otherwise idle close would wait until this arrival reaches it."""
        progress = self._progress
        progress.arrival, progress.timer = arrival, UNKNOWN
        progress.clock_steps += 1
        self._windows.step_back(arrival)

    def pass_within_tail(self, before: int) -> None:
        """Let that happen of which no base bar tells, see `pass_to`."""
        self.pass_to(before, in_tail=True)

    def pass_to(self, before: int, *, in_tail: bool = False) -> None:
        """Let everything happen that is due before this arrival time.

        Within the tail of a restart, base windows close as the published bars say. So nothing happens there but revisions, and
        the close of longer windows that have no open ones inside.
        """
        if in_tail and self._windows.after is None:
            return
        grace, windows, after, progress = self._grace, self._windows, self._windows.after, self._progress
        for at, end, scope in self._scheduler.due(before, longer_only=in_tail):
            if after is not None:
                after.publish_revisions(at, progress.next_offset, windows.cut)
            if scope.stream_time < end + grace:  # noqa: PLR1730  # twice as fast as max()
                scope.stream_time = end + grace
            scope.advanced_at = at
            windows.mark_moved(scope)
            windows.close(scope, "idle", progress.next_offset, at)
        if after is not None:
            after.publish_revisions(before, progress.next_offset, windows.cut)
