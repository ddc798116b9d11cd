"""Copies bars, late and rejected records from their topics into the database, in a thread with a Kafka reader of its own.

The thread works in small chunks. It rests between them, and for seconds while the worker catches up with its ticks, so that it
never holds up the worker.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from aiokafka.errors import KafkaError

from app.doubled import REMEDY
from app.errors import BarwheelError
from app.kafka.bootstrap import admin
from app.kafka.cluster import Cluster
from app.kafka.failures import refused
from app.kafka.identity import identify
from app.kafka.reader import Reader
from app.readmodel.database_file import DamagedError, claim, is_damage
from app.readmodel.progress import Progress, State
from app.readmodel.records import bar_rows, chunks, side_rows
from app.readmodel.rows import BarRow, Partition
from app.readmodel.store import MAX_SIDE_RECORDS, Store
from app.readmodel.work import Work
from app.settings import Settings

GATHER_SECONDS = 0.1  # after the records of one fetch: each fetch and each transaction of the database has its cost
BUSY_REST_SECONDS = 0.25
MAX_BUSY_RESTS = 20  # after a chunk, while the worker catches up
RETRY_SECONDS = 2.0
REFUSED_SECONDS = 60.0  # after a refusal that lasts until somebody changes a permission
FETCH_WAIT_MS = 500  # the broker answers at least this often, even without new records
SILENT_SECONDS = 5.0  # without an answer: the broker counts as unreachable
JOIN_SECONDS = 5.0
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Callbacks:
    """What the follower calls, in its own thread."""

    on_bars: Callable[[Sequence[BarRow]], None]  # new versions of bars, each the newest of its bar, once it has caught up
    on_reload: Callable[[], None]  # it has caught up for the first time, or the file was recreated
    on_recreate: Callable[[], None]  # the file was recreated: connections to the old one are of no use


class Follower:
    """Follows the topics until it is stopped. It does not end on errors: it reports them and tries again."""

    def __init__(self, settings: Settings, busy: Callable[[], bool]) -> None:
        """`busy`: whether the worker has many ticks to read."""
        self.progress = Progress()
        self.damaged = threading.Event()  # set by anyone who finds the file damaged: it is then recreated
        self.path = Path()  # of the database, once it is claimed
        self._settings = settings
        self._busy = busy
        self._lock: IO[bytes] | None = None
        self._logged_error = ""  # so that the same error is logged once
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def stopping(self) -> bool:
        """Whether `stop` was called."""
        return self._stop.is_set()

    def start(self, cluster: Cluster, partitions: int, callbacks: Callbacks) -> None:
        """Start the thread."""
        self._thread = threading.Thread(
            target=self._run, args=(cluster, partitions, callbacks), name="read-model", daemon=True
        )  # a daemon: a slow disk must not keep the process from ending
        self._thread.start()

    async def stop(self) -> None:
        """Stop the thread and give up the claim on the file."""
        self._stop.set()
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join, JOIN_SECONDS)
        if self._lock is not None:
            self._lock.close()
        self.progress.state = State.stopped

    def _run(self, cluster: Cluster, partitions: int, callbacks: Callbacks) -> None:
        while not self._stop.is_set():
            rest = RETRY_SECONDS
            try:
                asyncio.run(self._follow(cluster, partitions, callbacks))
            except DamagedError as error:
                log.warning("the read model is rebuilt: %s", error)
                self.damaged.set()
                continue
            except (KafkaError, BarwheelError) as error:
                refusal = refused(error)
                self._report(State.waiting if refusal is None else State.failed, refusal or error)
                rest = RETRY_SECONDS if refusal is None else REFUSED_SECONDS
            except (sqlite3.Error, OSError) as error:
                if isinstance(error, sqlite3.Error) and is_damage(error):
                    self.damaged.set()
                self._report(State.failed, error)
            except Exception:
                log.exception("the read model stopped; it starts again")
                self._report(State.failed, RuntimeError("see the log"))
            self._stop.wait(rest)

    def _report(self, state: State, error: Exception) -> None:
        if not self._stop.is_set():
            text = str(error) or type(error).__name__
            if text != self._logged_error:
                log.warning("read model: %s; trying again", text)
                self._logged_error = text
            self.progress.state, self.progress.error = state, text

    async def _follow(self, cluster: Cluster, partitions: int, callbacks: Callbacks) -> None:
        settings = self._settings
        if self._lock is None:
            self.path, self._lock = claim(settings.data_dir / "read-model", f"{settings.app_id}.{settings.finals_topic}")
        identity = await self._identity(cluster, partitions)
        store = Store(self.path, identity, settings.read_model_bars, settings.frame_names)
        try:
            if self.damaged.is_set():
                store.recreate()
            if store.recreated:
                self.progress.rebuilt += 1
                callbacks.on_recreate()
                callbacks.on_reload()
            self.damaged.clear()
            self._show_doubled(store)
            await self._copy(cluster, partitions, store, callbacks)
        finally:
            store.close()

    async def _identity(self, cluster: Cluster, partitions: int) -> dict[str, str]:
        """What the file is a copy of: the same names on another cluster, or of topics made anew, are other topics."""
        settings = self._settings
        topics = {"finals": settings.finals_topic, "late": settings.late_topic, "rejected": settings.rejected_topic}
        topics |= {f"bars {number}": name for number, name in enumerate(settings.beyond_topics)}
        async with admin(cluster) as client:
            found = await identify(client, topics.values())
        ids = {f"{kind}_id": found.topics.get(name, "") for kind, name in topics.items()}
        named = {"app_id": settings.app_id, "partitions": str(partitions), "cluster": found.cluster}
        return {**named, **topics, **ids}

    async def _copy(self, cluster: Cluster, partitions: int, store: Store, callbacks: Callbacks) -> None:
        settings, progress = self._settings, self.progress
        rows = {
            **{topic: bar_rows(settings, frame) for topic, frame in settings.bar_topics.items()},
            settings.late_topic: side_rows(settings, "late"),
            settings.rejected_topic: side_rows(settings, "rejected"),
        }
        positions = progress.positions
        async with Reader(cluster, frozenset(rows), wait_ms=FETCH_WAIT_MS) as reader:
            ends = await self._seek(reader, store, [(topic, number) for topic in rows for number in range(partitions)])
            first_ends, caught_up = dict(ends), False
            progress.state, progress.error = State.catching_up, ""
            async for fetched in reader.follow(dict(positions)):
                work = Work()
                for chunk in chunks(fetched, rows, positions):
                    if self._must_end():
                        return
                    newest = store.add(*chunk)
                    if store.twins_changed:
                        self._show_doubled(store)
                    positions.update(chunk.positions)
                    if caught_up and newest:
                        callbacks.on_bars(newest)
                    await self._rest(work.rest())
                if self._must_end():
                    return
                await asyncio.sleep(GATHER_SECONDS if fetched else 0)
                ends.update(reader.ends())
                progress.behind = sum(max(0, end - positions[partition]) for partition, end in ends.items())
                if not caught_up and all(positions[partition] >= end for partition, end in first_ends.items()):
                    caught_up = True
                    callbacks.on_reload()
                if caught_up:
                    self._logged_error = ""
                    progress.state = State.waiting if reader.silence > SILENT_SECONDS else State.live

    def _show_doubled(self, store: Store) -> None:
        """Say that two partitions publish the same symbol, in the log once."""
        doubled = store.doubled()
        if doubled is not None and self.progress.doubled is None:
            log.warning("%s: %s; %s", self._settings.finals_topic, doubled.text, REMEDY)
        self.progress.doubled, self.progress.in_two = doubled, store.in_two

    def _must_end(self) -> bool:
        return self._stop.is_set() or self.damaged.is_set()

    async def _rest(self, seconds: float) -> None:
        """Rest after a chunk, longer while the worker catches up."""
        await asyncio.sleep(seconds)
        for _ in range(MAX_BUSY_RESTS):
            if not self._busy() or self._stop.is_set():
                return
            await asyncio.sleep(BUSY_REST_SECONDS)

    async def _seek(self, reader: Reader, store: Store, partitions: Iterable[Partition]) -> dict[Partition, int]:
        """Set the positions to where reading starts, and return the end offsets.

        A partition that was never read starts so near its end that all partitions together fill the file. Raises
        `DamagedError` if a partition is shorter than what was read of it: the topic was deleted and created again.
        """
        settings, known, ends = self._settings, store.positions(), dict[Partition, int]()
        frames = {topic: ("", *settings.frame_names).index(frame) for topic, frame in settings.bar_topics.items()}
        bounds = await reader.all_bounds(list(partitions))
        count = len({number for _, number in bounds})
        for partition, (begin, end) in bounds.items():
            frame = frames.get(partition[0])
            share = (MAX_SIDE_RECORDS if frame is None else settings.read_model_bars) // count
            if known.get(partition, 0) > end:
                topic, number = partition
                raise DamagedError(f"{topic}[{number}] ends at {end}, but was read to {known[partition]}: it was created again")
            position = known.get(partition, max(begin, end - max(1, share)))
            self.progress.positions[partition] = position
            if frame is not None and partition not in known and position > begin:
                store.mark_incomplete(frame)
            ends[partition] = end
        return ends
