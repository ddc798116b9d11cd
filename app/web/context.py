"""What the endpoints work with: the engines, the read model, the other workers."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from aiohttp import web
from faust.types import TP

from agents.task import PartitionTask, now_ms
from app.web import sampling
from app.web.models.bars import Away, OpenWindow
from app.web.models.workers import Migrations

if TYPE_CHECKING:
    from agents.tasks import TaskManager
    from app.readmodel.model import ReadModel
    from app.settings import Settings
    from app.web.events.hub import Hub
    from app.web.peers import Peers

ErrorPage = Callable[[web.Request, int, str, str], str]


@dataclass
class WebContext:
    """One for each worker."""

    settings: Settings
    tasks: TaskManager
    model: ReadModel
    peers: Peers
    migrations: Callable[[], Awaitable[Migrations]]
    hub: Hub = field(init=False)
    error_page: ErrorPage | None = None  # makes HTML of an error, for a browser: (request, status, title, detail)
    started_ms: int = field(default_factory=now_ms)
    answered: dict[str, int] = field(default_factory=dict)  # requests by status
    began: float = field(default_factory=time.monotonic)

    @property
    def owners(self) -> dict[int, PartitionTask]:
        """The partitions at work here."""
        return self.tasks.owners()

    @property
    def count(self) -> int:
        """How many partitions the input has."""
        topics = self.tasks.topics
        return 0 if topics is None else topics.partitions

    def others(self) -> list[int]:
        """Partitions that are not at work here."""
        mine = self.owners
        return [number for number in range(self.count) if number not in mine]

    def high_watermark(self, number: int, position: int) -> int | None:
        """The end of the input as the broker said last; None before it said anything."""
        consumer = self.tasks.consumer
        if consumer is None:
            return None
        tp = TP(self.settings.ticks_topic, number)
        found: int | None = consumer.highwater(tp) if tp in consumer.assignment() else None
        return None if found is None else max(found, position)

    async def windows(self, broker: str, symbol: str, *, local: bool = False) -> tuple[list[OpenWindow], list[Away]]:
        """The open windows of a symbol, wherever they are, oldest first; and who could not be asked."""
        found = sampling.windows_of(self.owners, broker, symbol)
        if local or not (others := self.others()):
            return found, []
        params = {"broker": broker, "symbol": symbol, "local": "true", "limit": "1000"}
        answers, away = await self.peers.ask_owners(others, "/api/v1/windows", params)
        found += [OpenWindow.model_validate(window) for answer in answers for window in answer["windows"]]
        return sorted(found, key=lambda window: window.bucket_start), away
