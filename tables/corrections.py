"""Corrections: late ticks of windows that have closed revise their bars, for as long as a horizon reaches back.

A closed window is kept as the bytes of its state while its end + grace + horizon is above the stream time of its scope. A late
tick is merged into it and starts a revision, which is due `correction_delay` of arrival time later. What comes until then joins
it. Revisions fall due in the order in which they began, so they wait in a queue.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from itertools import takewhile

from tables.config import EngineConfig
from tables.core import Core
from tables.emission import Closed
from tables.further import Further, Revision
from tables.kept import KeptWindows
from tables.packed import opened_by
from tables.scopes import UNKNOWN, Longer, Scope
from tables.ticks import PER_SECOND
from tables.window import Window

BASE = 0


class Corrections:
    """The correctable windows of one partition, and their revisions."""

    def __init__(self, config: EngineConfig, core: Core, further: Further) -> None:
        self.kept = KeptWindows(config, further, core.place_of)
        self._core = core
        self.grace, self.horizon = config.grace, config.correction_horizon
        self._delay = config.correction_delay
        self._per_second = PER_SECOND[config.time_unit]
        self._max_future = config.max_future
        self._further = further
        self._queue: deque[Revision] = deque()
        self._closed: list[Closed] = []

    def reaches(self, scope: Scope, end: int) -> bool:
        """Whether a window of this scope that has closed can be corrected."""
        return end + self.grace + self.horizon > scope.stream_time

    def revise(self, owner: Longer, frame: int, span: tuple[int, int], tick: Window, arrival: int) -> None:
        """Merge a late tick, as a window of its own, into a closed window. Begins a revision, if none is due."""
        start, end = span
        revision = self._further.revision_of(owner, frame, start, end)
        state = revision.state
        if state is None:
            found = self.kept.find(owner.scope, frame, end, owner.key)
            revision.number, state = found if isinstance(found, tuple) else (0, found)
            revision.added, revision.due = 0, arrival + self._delay
            owner.due += 1
            self._queue.append(revision)
        revision.state = self._core.packed(tick, end) if state is None else self._core.merged(state, tick)
        revision.added += 1
        self._further.mark(revision)

    def any_due(self, before: int) -> bool:
        """Whether a revision is due before this arrival time."""
        return bool(self._queue) and self._queue[0].due < before

    def publish(self, before: int, next_offset: int, cut: int, frames: Sequence[str]) -> None:
        """Make bars of the revisions that are due before this arrival time, in order."""
        queue = self._queue
        while queue and queue[0].due < before:
            due = queue[0].due
            together = list(takewhile(lambda revision: revision.due == due, queue))  # noqa: B023  # it is used at once
            for _ in together:
                queue.popleft()
            for revision in sorted(together, key=_order) if len(together) > 1 else together:
                self._publish(revision, next_offset, cut, frames)

    def _publish(self, revision: Revision, next_offset: int, cut: int, frames: Sequence[str]) -> None:
        owner, state, end = revision.owner, revision.state, revision.end
        assert state is not None  # noqa: S101  # it is due
        number, scope = revision.number + 1, owner.scope
        if end + self.grace + self.horizon > scope.stream_time:
            self.kept.put(scope, revision.frame, end, owner.key, (number, state))
        cut = cut if revision.start - self._max_future <= cut else UNKNOWN
        closed = Closed(
            *([owner], [], end, end - revision.start, self._per_second),
            *("correction", revision.due, scope.stream_time - self.grace, next_offset, cut),
            [state],
            frame=frames[revision.frame - 1] if revision.frame else "",
            revision=number,
            corrected=revision.added,
        )
        self._closed.append(closed)
        owner.due -= 1
        revision.state = None
        self._further.mark(revision)
        if not (owner.due or owner.close or any(owner.states)):
            self._further.mark(owner)  # it has nothing left

    def take_closed(self) -> list[Closed]:
        """The revised bars since the last call, in order; each is a step of its own."""
        closed, self._closed = self._closed, []
        return closed

    def step_back(self, arrival: int) -> None:
        """Leave a clock behind that was wrong: revisions that began later than now (epoch ms) began now."""
        for revision in self._queue:
            if revision.due > arrival + self._delay:
                revision.due = arrival + self._delay
                self._further.mark(revision)
            if revision.state is not None and (state := opened_by(revision.state, arrival)) is not revision.state:
                revision.state = state
                self._further.mark(revision)

    def restore_revisions(self, revisions: Sequence[Revision]) -> None:
        """Put back what was due at a checkpoint."""
        for revision in sorted(revisions, key=lambda revision: revision.due):
            revision.owner.due += 1
            self._queue.append(revision)


def _order(revision: Revision) -> tuple[int, int, str]:
    return revision.order
