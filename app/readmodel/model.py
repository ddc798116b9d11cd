"""The read model of one worker: starts and stops the copying, and answers queries."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from app.kafka.cluster import Cluster
from app.readmodel.database_file import UnreadableError, is_damage
from app.readmodel.follower import Callbacks, Follower
from app.readmodel.progress import Progress, State
from app.readmodel.queries import Queries
from app.readmodel.rows import BarRow
from app.settings import Settings

T = TypeVar("T")


@dataclass(frozen=True)
class Extent:
    """The size of the read model."""

    bars: int
    symbols: int


class ReadModel:
    """The read model. Its methods are called in the event loop only."""

    def __init__(self, settings: Settings, busy: Callable[[], bool] = lambda: False) -> None:
        """`busy`: whether the worker has many ticks to read; then the copying slows down. It is called in another thread."""
        self._follower = Follower(settings, busy)
        self._queries: Queries | None = None
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="read-model-queries")

    @property
    def progress(self) -> Progress:
        """How far the read model is."""
        return self._follower.progress

    def start(
        self,
        cluster: Cluster,
        partitions: int,
        on_bars: Callable[[Sequence[BarRow]], None],
        on_reload: Callable[[], None],
    ) -> None:
        """Start to copy; returns at once.

        Both functions are called in this event loop: `on_bars` with each new bar once the copy has caught up, `on_reload`
        when it has caught up for the first time and when it was rebuilt.
        """
        loop = asyncio.get_running_loop()

        def in_loop(function: Callable[..., None], *values: object) -> None:
            with contextlib.suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(function, *values)

        self._follower.start(
            cluster,
            partitions,
            Callbacks(
                on_bars=lambda bars: in_loop(on_bars, bars),
                on_reload=lambda: in_loop(on_reload),
                on_recreate=self._close_queries,
            ),
        )

    async def stop(self) -> None:
        """Stop to copy; a second call does nothing."""
        if self._follower.stopping:
            return
        await self._follower.stop()
        self._close_queries()
        self._executor.shutdown(wait=False)

    async def query(self, function: Callable[[Queries], T], default: T) -> T:
        """The result of a query, which runs in another thread.

        Gives `default` while there is no database, and if the query finds it damaged; the database is then rebuilt. Raises
        `UnreadableError` for any other error of the database, such as too many open files: the bars are there all the same.
        """
        if self._follower.stopping:
            return default
        try:
            return await asyncio.get_running_loop().run_in_executor(self._executor, self._run_query, function, default)
        except sqlite3.Error as error:
            if not is_damage(error):
                self._close_queries()  # the next query opens the file anew
                raise UnreadableError(f"the local copy of the bars, {self._follower.path}, cannot be read: {error}") from error
            self._follower.damaged.set()
            return default

    def _run_query(self, function: Callable[[Queries], T], default: T) -> T:
        if self.progress.state is State.starting or self._follower.damaged.is_set():
            return default
        if self._queries is None:
            self._queries = Queries(self._follower.path)
        return function(self._queries)

    def _close_queries(self) -> None:
        """Close the connection in the thread that uses it; the next query opens a new one."""
        queries, self._queries = self._queries, None
        if queries is not None:
            with contextlib.suppress(RuntimeError):  # the executor has been shut down
                self._executor.submit(queries.close)

    async def extent(self) -> Extent | None:
        """The approximate size; None while there is no database, and while it cannot be read."""
        try:
            bars, symbols = await self.query(lambda queries: queries.extent(), (-1, -1))
        except UnreadableError:
            return None
        return None if bars < 0 else Extent(bars, symbols)
