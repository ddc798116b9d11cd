"""What the endpoints work with: the running tasks, the read model, the other workers."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from faust.types import TP

from agents.task import PartitionTask
from agents.tasks import TaskManager
from app.kafka.clock import now_ms
from app.ksqldb.migrating import Migrating
from app.readmodel.model import ReadModel
from app.readmodel.progress import State
from app.settings import Settings
from app.web import longer_windows, sampling
from app.web.activity import Activity
from app.web.errors import IncompleteError
from app.web.frames import Frames
from app.web.models.bars import OpenWindow
from app.web.models.base import Away
from app.web.peers import Peers


class HistoryTable(Protocol):
    """The Faust table of applied migrations: entries by `<app_id>|<id>`."""

    data: Mapping[str, Mapping[str, object]]


@dataclass
class WebContext:
    """One per worker."""

    settings: Settings
    tasks: TaskManager
    read_model: ReadModel
    peers: Peers
    migrating: Migrating
    history: HistoryTable
    activity: Activity = field(init=False)
    started_at: int = field(default_factory=now_ms)
    started_monotonic: float = field(default_factory=time.monotonic)
    responses: Counter[str] = field(default_factory=Counter)  # by status
    open_streams: int = 0
    frames: Frames = field(init=False)

    def __post_init__(self) -> None:
        """Make what follows from the other fields."""
        self.frames = Frames(self.settings)
        self.activity = Activity(self.tasks.metrics, self._read, self._lag)

    def _read(self) -> dict[int, int]:
        return {number: task.engine.counters.read for number, task in self.running_tasks.items()}

    def _lag(self) -> int:
        lag = 0
        for number, task in self.running_tasks.items():
            end = self.high_watermark(number, task.consumed_to)
            lag += 0 if end is None else end - task.consumed_to
        return lag

    @property
    def running_tasks(self) -> dict[int, PartitionTask]:
        """The tasks that run on this worker, by partition number."""
        return self.tasks.running()

    @property
    def partition_count(self) -> int:
        """The number of partitions of the input; 0 before the topics have been checked."""
        topics = self.tasks.topics
        return 0 if topics is None else topics.partitions

    def partitions_elsewhere(self) -> list[int]:
        """The partitions that do not run on this worker."""
        running = self.running_tasks
        return [number for number in range(self.partition_count) if number not in running]

    def high_watermark(self, number: int, position: int) -> int | None:
        """The last known end offset of an input partition, at least `position`; None while it is not known."""
        consumer = self.tasks.consumer
        if consumer is None:
            return None
        tp = TP(self.settings.input_topic, number)
        end: int | None = consumer.highwater(tp) if tp in consumer.assignment() else None
        return None if end is None else max(end, position)

    def local_windows(self, broker: str, symbol: str, frame: str = "") -> list[OpenWindow]:
        """The open windows of a symbol on this worker, oldest first; `frame`: the longer ones of a frame that is kept."""
        if frame:
            return longer_windows.of_symbol(self.running_tasks, broker, symbol, frame)
        return sampling.symbol_windows(self.running_tasks, broker, symbol)

    async def open_windows(
        self, broker: str, symbol: str, *, local: bool = False, frame: str = ""
    ) -> tuple[list[OpenWindow], list[Away]]:
        """The open windows of a symbol, oldest first, and the partitions whose owner could not be asked.

        `local`: look only at the tasks of this worker. `frame`: the longer windows of a frame that is kept.
        """
        windows = self.local_windows(broker, symbol, frame)
        if local or not (elsewhere := self.partitions_elsewhere()):
            return windows, []
        params = {"broker": broker, "symbol": symbol, "local": "true", "limit": "1000"} | ({"frame": frame} if frame else {})
        responses, away = await self.peers.get_from_owners(elsewhere, "/api/v1/windows", params)
        windows += [OpenWindow.model_validate(window) for response in responses for window in response["windows"]]
        return sorted(windows, key=sampling.by_start), away


def must_be_complete(web: WebContext) -> None:
    """Raise `IncompleteError` unless the read model has caught up: for responses that cannot say that bars are missing."""
    progress = web.read_model.progress
    if progress.state is not State.live:
        text = f"the local copy of the bars is not complete: {progress.state.value}, {progress.behind} records behind"
        raise IncompleteError(f"{text}; {progress.error}" if progress.error else f"{text}; try again")
