"""Finds the open windows that changed since they were last sent, for filters that name one symbol."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable

from app.web import longer_windows, sampling
from app.web.context import WebContext
from app.web.events.subscriptions import Filter
from app.web.models.bars import OpenWindow

MAX_REMEMBERED = 64  # windows of one symbol
REMOTE_PER_ROUND = 20  # symbols of other workers that are looked up in one round

WindowId = tuple[int, int]  # partition and bucket_start
Version = tuple[int, int]  # ticks and last offset


class WindowChanges:
    """The open windows as last sent, by filter."""

    def __init__(self, context: WebContext) -> None:
        self._web = context
        self._sent: dict[Filter, dict[WindowId, Version]] = {}
        self._remote: deque[Filter] = deque()  # symbols of other workers, the next to be looked up first

    def forget(self, wanted: Filter) -> None:
        """Send all open windows of this filter again."""
        self._sent.pop(wanted, None)

    def changed(self, wanted: Filter, remote: list[OpenWindow] | None) -> list[OpenWindow]:
        """The open windows of a filter that changed since the last call.

        `remote`: its windows on other workers; None if they were not looked up this time. Then they count as unchanged.
        """
        if wanted.broker is None or wanted.symbol is None:
            return []
        running = self._web.running_tasks
        windows = self._web.local_windows(wanted.broker, wanted.symbol, wanted.frame)
        windows += [window for window in remote or () if window.partition not in running]
        sent = self._sent.get(wanted, {})
        current = {_id(window): (window.ticks, window.last_offset) for window in windows}
        remembered = current if remote is not None else {**sent, **current}
        self._sent[wanted] = current if len(remembered) > MAX_REMEMBERED else remembered
        return [window for window in windows if sent.get(_id(window)) != current[_id(window)]]

    async def remote_windows(self, filters: Iterable[Filter]) -> dict[Filter, list[OpenWindow]]:
        """Look up the open windows of symbols that are with other workers, a bounded number in each call, in turn.

        A symbol that this worker knows is with others as well, if it lives in two partitions.
        """
        if not self._web.partitions_elsewhere():
            return {}
        engines = [task.engine for task in self._web.running_tasks.values()]
        in_two = self._web.read_model.progress.in_two
        unknown: dict[Filter, tuple[str, str]] = {}  # with broker and symbol
        for wanted in filters:
            if wanted.broker is None or wanted.symbol is None:
                continue
            key = sampling.record_key(wanted.broker, wanted.symbol)
            known = any(key in engine.symbols or longer_windows.has(engine, key) for engine in engines)
            if (wanted.broker, wanted.symbol) in in_two or not known:
                unknown[wanted] = wanted.broker, wanted.symbol
        chosen = list(unknown) if len(unknown) <= REMOTE_PER_ROUND else self._take_turn(unknown)
        lookups = (self._web.open_windows(*unknown[wanted], frame=wanted.frame) for wanted in chosen)
        results = await asyncio.gather(*lookups)
        return {wanted: windows for wanted, (windows, _) in zip(chosen, results, strict=True)}

    def _take_turn(self, unknown: Iterable[Filter]) -> list[Filter]:
        """The filters whose turn it is; they go to the end of the line."""
        waiting = set(unknown)
        self._remote = deque(wanted for wanted in self._remote if wanted in waiting)
        self._remote.extend(waiting.difference(self._remote))
        chosen = [self._remote.popleft() for _ in range(REMOTE_PER_ROUND)]
        self._remote.extend(chosen)
        return chosen


def _id(window: OpenWindow) -> WindowId:
    return window.partition, window.bucket_start
