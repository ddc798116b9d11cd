"""Corrections: late ticks of windows that have closed revise their bars, for as long as a horizon reaches back.

A closed window is kept as the bytes of its state while its end + grace + horizon is above the stream time of its scope. A late
tick is merged into it and starts a revision, which is due `correction_delay` of arrival time later. What comes until then joins
it. Revisions fall due in the order in which they began, so they wait in a queue.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from itertools import takewhile

from tables.config import EngineConfig
from tables.emission import Closed
from tables.further import Further, Revision
from tables.scopes import UNKNOWN, Longer, Scope
from tables.ticks import PER_SECOND
from tables.window import Window, pack_window, unpack_window

BASE = 0
MOST_FRAMES = 15
_FRAME_BITS = 4
State = bytes | tuple[int, bytes]  # of a window whose bar was published; with the number of its last revision, if there is one


class Generation:
    """Closed windows whose bars were published since one checkpoint."""

    __slots__ = ("ends", "live")

    def __init__(self, ends: Mapping[str, int]) -> None:
        self.ends = ends  # end offsets of the topics at that checkpoint: the bars lie there or later
        self.live = 0  # how many sets of windows are kept


class _OfScope:
    """The closed windows of one scope: by frame and end, and within that by symbol, in the order in which they closed."""

    __slots__ = ("generations", "states")

    def __init__(self) -> None:
        self.states: dict[int, dict[bytes, State] | State] = {}  # under scope `symbol` there is one symbol only
        self.generations: list[Generation] = []  # of each entry


class Corrections:
    """The correctable windows of one partition, and their revisions."""

    def __init__(self, config: EngineConfig, further: Further) -> None:
        self.count = 0  # correctable windows, and some that have just expired
        self.grace, self.horizon = config.grace, config.correction_horizon
        self._delay = config.correction_delay
        self._per_second = PER_SECOND[config.time_unit]
        self._max_future = config.max_future
        self._per_symbol = config.scope == "symbol"
        self._further = further
        self._scopes: dict[str, _OfScope] = {}
        self._queue: deque[Revision] = deque()
        self._closed: list[Closed] = []
        self._generations: deque[Generation] = deque([Generation({})])
        self._sweep_at = 100

    # ---- what is kept

    def keep(self, scope: Scope, frame: int, end: int, keys: Sequence[bytes], states: Sequence[State]) -> None:
        """Keep windows of a scope that have just closed."""
        states_by_key = dict(zip(keys, states, strict=True))
        self._entry(scope.key, end << _FRAME_BITS | frame, states[0] if self._per_symbol else states_by_key)
        self.count += len(states)

    def put(self, scope: Scope, frame: int, end: int, key: bytes, state: State) -> None:
        """Keep the newest version of one window."""
        slot = end << _FRAME_BITS | frame
        kept = self._scopes.get(scope.key)
        held = None if kept is None else kept.states.get(slot)
        if held is None or kept is None:
            self.keep(scope, frame, end, [key], [state])
        elif isinstance(held, dict):
            self.count += key not in held
            held[key] = state
        else:
            kept.states[slot] = state

    def forget(self, scope: Scope) -> None:
        """Drop what has expired."""
        kept = self._scopes.get(scope.key)
        if kept is None:
            return
        expired = scope.stream_time - self.grace - self.horizon
        states = kept.states
        while states:
            slot = next(iter(states))
            if slot >> _FRAME_BITS > expired:
                return
            held = states.pop(slot)
            self.count -= len(held) if isinstance(held, dict) else 1
            kept.generations.pop(0).live -= 1
        del self._scopes[scope.key]

    def _entry(self, scope: str, slot: int, held: dict[bytes, State] | State) -> None:
        kept = self._scopes.get(scope)
        if kept is None:
            kept = self._scopes[scope] = _OfScope()
        kept.states[slot] = held
        kept.generations.append(self._generations[-1])
        self._generations[-1].live += 1

    def _find(self, scope: Scope, frame: int, end: int, key: bytes) -> State | None:
        kept = self._scopes.get(scope.key)
        held = None if kept is None else kept.states.get(end << _FRAME_BITS | frame)
        return held.get(key) if isinstance(held, dict) else held

    # ---- where recovery begins to read

    def checkpointed(self, ends: Mapping[str, int]) -> None:
        """What closes from now on has its bars at these offsets of the topics or later."""
        generations = self._generations
        while len(generations) > 1 and not generations[0].live:
            generations.popleft()
        if not generations[-1].live:
            generations[-1].ends = ends
            return
        if len(generations) > self._sweep_at:
            self._generations = generations = deque(one for one in generations if one.live)
            self._sweep_at = 2 * len(generations) + 100
        generations.append(Generation(ends))

    @property
    def horizon_begins(self) -> Mapping[str, int] | None:
        """Offsets of the topics from which the bars of all correctable windows lie; None where there are none."""
        return next((one.ends for one in self._generations if one.live), None)

    # ---- revisions

    def reaches(self, scope: Scope, end: int) -> bool:
        """Whether a window of this scope that has closed can be corrected."""
        return end + self.grace + self.horizon > scope.stream_time

    def revise(self, owner: Longer, frame: int, span: tuple[int, int], tick: Window, arrival: int) -> None:
        """Merge a late tick, as a window of its own, into a closed window. Begins a revision, if none is due."""
        start, end = span
        revision = self._further.revision_of(owner, frame, start, end)
        if revision.window is None:
            state = self._find(owner.scope, frame, end, owner.key)
            revision.number, packed = state if isinstance(state, tuple) else (0, state)
            revision.added, revision.due = 0, arrival + self._delay
            owner.due += 1
            self._queue.append(revision)
            if packed is not None:
                revision.window = unpack_window(packed)
        if revision.window is None:
            revision.window = unpack_window(pack_window(tick))  # a copy
            revision.window.end = end
        else:
            revision.window.merge(tick)
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
            for revision in sorted(together, key=_order):
                self._publish(revision, next_offset, cut, frames)

    def _publish(self, revision: Revision, next_offset: int, cut: int, frames: Sequence[str]) -> None:
        owner, window, end = revision.owner, revision.window, revision.end
        assert window is not None  # noqa: S101  # it is due
        number, scope, state = revision.number + 1, owner.scope, pack_window(window)
        if end + self.grace + self.horizon > scope.stream_time:
            self.put(scope, revision.frame, end, owner.key, (number, state))
        cut = cut if revision.start - self._max_future <= cut else UNKNOWN
        closed = Closed(
            *([owner], [window], end, end - revision.start, self._per_second),
            *("correction", revision.due, scope.stream_time - self.grace, next_offset, cut),
            [state],
            frame=frames[revision.frame - 1] if revision.frame else "",
            revision=number,
            corrected=revision.added,
        )
        self._closed.append(closed)
        owner.due -= 1
        revision.window = None
        self._further.mark(revision)
        self._further.mark(owner)  # it may have nothing left

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
            if revision.window is not None and revision.window.opened_at > arrival:
                revision.window.opened_at = arrival
                self._further.mark(revision)

    def restore_revisions(self, revisions: Sequence[Revision]) -> None:
        """Put back what was due at a checkpoint."""
        for revision in sorted(revisions, key=lambda revision: revision.due):
            revision.owner.due += 1
            self._queue.append(revision)


def _order(revision: Revision) -> tuple[int, int, str]:
    return revision.order
