"""The events about the worker itself: its state, the watermarks and the accounting of its partitions."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from agents.task import PartitionTask
from app.kafka.clock import now_ms
from app.web import sampling
from app.web.context import WebContext
from app.web.endpoints.partitions import local_accounting

MAX_RATE_SECONDS = 10.0  # a rate over a longer time would be no current one


class WorkerState:
    """The events `worker`, `watermarks` and `accounting` as last sent."""

    def __init__(self, context: WebContext) -> None:
        self._web = context
        self._current: dict[str, dict[str, Any]] = {}
        self._rates_from = (0.0, 0, 0)  # monotonic time, ticks read and bars published until then

    @property
    def current(self) -> Mapping[str, dict[str, Any]]:
        """The data of each event as last sent, by kind."""
        return self._current

    def forget(self) -> None:
        """Send everything again."""
        self._current.clear()

    def changes(self) -> dict[str, dict[str, Any]]:
        """The events whose data changed since the last call, by kind."""
        accounting = local_accounting(self._web)
        times = [_watermarks(number, task) for number, task in sorted(self._web.running_tasks.items())]
        events: dict[str, dict[str, Any]] = {
            "worker": {**self._web.tasks.readiness(), "broker": str(self._web.tasks.cluster)},
            "watermarks": {"partitions": times, "now": now_ms()},
            "accounting": {**accounting.model_dump(), "rates": self._rates(accounting.total.read)},
        }
        changed = {kind: data for kind, data in events.items() if not _equal(self._current.get(kind), data)}
        self._current.update(changed)
        return changed

    def _rates(self, read: int) -> dict[str, float]:
        """Ticks read and bars published per second since the last call; 0 if that was too long ago."""
        then, read_before, bars_before = self._rates_from
        now, bars = time.monotonic(), sum(self._web.tasks.metrics.bars.values())
        self._rates_from = now, read, bars
        seconds = now - then
        if not 0 < seconds < MAX_RATE_SECONDS:
            return {"read": 0.0, "bars": 0.0}
        return {"read": round(max(0, read - read_before) / seconds, 1), "bars": round((bars - bars_before) / seconds, 1)}


def _watermarks(number: int, task: PartitionTask) -> dict[str, Any]:
    times, more = sampling.scope_times(task.engine)
    return {
        "partition": number,
        "stream_times": {scope: time.model_dump() for scope, time in times.items()},
        "more_scopes": more,
    }


def _equal(old: Mapping[str, Any] | None, new: Mapping[str, Any]) -> bool:
    """Whether two events differ in nothing but the clock."""
    return old is not None and {**old, "now": 0} == {**new, "now": 0}
