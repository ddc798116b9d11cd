"""Idle close: when a silent scope closes its windows, and the timing wheel that finds the scopes that are due.

The scheduler knows scopes and arrival times. It reads no clock, and it closes nothing itself: `due` yields what has to close,
and the caller closes it. `Scope.due` has the rule.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from heapq import heappop, heappush

from tables.config import EngineConfig
from tables.scopes import NEVER, UNKNOWN, Scope
from tables.wheel import Wheel


class IdleScheduler:
    """The wheel of one partition. A scope has at most one valid entry: the one at `scope.entry`."""

    def __init__(self, config: EngineConfig) -> None:
        self._wheel_tick = config.wheel_tick
        self.wheel: Wheel[Scope] = Wheel(self._wheel_tick)
        self._grace = config.grace
        self._enabled = config.idle_close
        self._held: dict[Scope, None] = {}  # due within a replay, which closes no base windows

    def advance_stream_time(self, scope: Scope, stream_time: int, arrival: int) -> None:
        """Set a scope's stream time, moved by a record that arrived at `arrival` (both epoch ms)."""
        # the lag of stream time behind arrival time shrank: the scope may be due earlier
        sooner = arrival - stream_time < scope.advanced_at - scope.stream_time
        scope.stream_time = stream_time
        scope.advanced_at = arrival
        if sooner:
            self.schedule(scope)

    def schedule(self, scope: Scope) -> None:
        """Add an earlier entry if the scope may be due before its present one, which is dropped when it fires."""
        if scope.deadline != NEVER and self._enabled:
            earliest = scope.advanced_at - scope.stream_time + scope.deadline  # no window of this scope is due before
            if earliest < scope.entry:
                scope.entry = earliest
                self.wheel.add(scope, earliest)

    def start_again(self, scopes: Iterable[Scope]) -> None:
        """Turn the wheel back, after a clock that was wrong: every scope gets a new entry."""
        self.wheel = Wheel(self._wheel_tick)
        for scope in scopes:
            scope.entry = NEVER
            self.schedule(scope)

    def due(self, before: int, *, longer_only: bool = False) -> Iterator[tuple[int, int, Scope]]:
        """Yield `(due time, window end, scope)` for everything due before this arrival time, ordered by (due time, scope, end).

        The caller closes that end before it asks for the next item: closing one end changes when the scope's next one is due.
        `longer_only`: base windows are held until `release`.
        """
        if self._held and not longer_only:
            self.release()
        due: list[tuple[int, str, int, Scope]] = []
        for at, scope in self.wheel.advance(before):
            if at == scope.entry:  # otherwise an earlier entry has replaced this one
                scope.entry = NEVER
                item = self._due_or_reschedule(scope, before, longer_only=longer_only)
                if item is not None:
                    due.append(item)
        due.sort(reverse=True)
        again: list[tuple[int, str, int, Scope]] = []
        while due or again:
            at, _, end, scope = heappop(again) if again and (not due or again[0] < due[-1]) else due.pop()
            yield at, end, scope
            if scope.deadline != NEVER:
                item = self._due_or_reschedule(scope, before, longer_only=longer_only)
                if item is not None:
                    heappush(again, item)

    def any_due(self, before: int) -> bool:
        """Whether a window is due before this arrival time. Nothing is changed."""
        return any(at == scope.entry and scope.due(self._grace)[0] < before for at, scope in self.wheel.due(before))

    def nothing_due_before(self, horizon: int) -> int:
        """The arrival time, `horizon` at the latest, before which no window is due. `UNKNOWN` without idle close.

        A record may open a window that is due sooner, if the grace is short, and one whose clock runs ahead may close one.
        """
        if not self._enabled:
            return UNKNOWN
        return min((at for at, scope in self.wheel.due(horizon) if at == scope.entry), default=horizon)

    def release(self) -> None:
        """Schedule again what was held."""
        held, self._held = self._held, {}
        for scope in held:
            self.schedule(scope)

    def _due_or_reschedule(self, scope: Scope, before: int, *, longer_only: bool) -> tuple[int, str, int, Scope] | None:
        at, end = scope.due(self._grace)
        if at < before:
            if longer_only and not scope.is_longer_only(end):
                self._held[scope] = None
                return None
            return at, scope.key, end, scope
        if at < scope.entry:
            scope.entry = at
            self.wheel.add(scope, at)
        return None
