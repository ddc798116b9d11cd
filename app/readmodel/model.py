"""Keeps the read model up to date in a thread of its own, with its own reader, and answers from it.

The thread takes small bites and rests after each for three times as long as it took, and for seconds while the worker catches
up with its ticks: what it does never holds them up.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import IO, TypeVar

from aiokafka.errors import KafkaError

from app.errors import BarwheelError
from app.kafka.cluster import Cluster
from app.kafka.reader import Reader
from app.kafka.records import Batch
from app.readmodel.queries import Queries
from app.readmodel.records import bar_rows, side_rows
from app.readmodel.store import SIDE_KEPT, BarRow, DamagedError, SideRow, Store, is_damage
from app.settings import Settings
from tables.records import Record

BITE = 500  # records
REST = 3  # times as long as a bite took
REST_SECONDS = 0.25  # at most; while the worker catches up,
BUSY_RESTS = 20  # so many of them besides
AGAIN_SECONDS = 2.0
WAIT_MS = 500
SILENT_SECONDS = 5.0  # without an answer, which comes twice a second where there is nothing new
SLOTS = 64  # workers that share a data directory
log = logging.getLogger(__name__)
T = TypeVar("T")
Place = tuple[str, int]  # topic and partition


class State(StrEnum):
    """How the read model is."""

    starting = "starting"
    catching_up = "catching_up"
    live = "live"
    waiting = "waiting"  # for the broker
    failed = "failed"  # the disk is full, or the like: tried again
    stopped = "stopped"


@dataclass(frozen=True)
class Extent:
    """How much the read model holds."""

    bars: int
    symbols: int


class ReadModel:
    """The read model of one worker; made in its event loop, which alone calls it."""

    def __init__(self, settings: Settings, busy: Callable[[], bool] = lambda: False) -> None:
        """`busy`: whether the worker has much to read."""
        self.state = State.starting
        self.error = ""
        self.behind = 0  # records, when it looked last
        self.positions: dict[Place, int] = {}
        self.rebuilt = 0  # how often the file was made anew since the start
        self._settings = settings
        self._busy = busy
        self._told: Callable[[Sequence[BarRow]], None] = lambda _: None
        self._renewed: Callable[[], None] = lambda: None
        self._thread: threading.Thread | None = None
        self._said = ""  # in the log, and not over yet
        self._stop = threading.Event()
        self._damaged = threading.Event()
        self._path = Path()
        self._lock: IO[bytes] | None = None
        self._queries: Queries | None = None
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="read-model-queries")

    # ---- in the event loop

    def start(
        self, cluster: Cluster, partitions: int, told: Callable[[Sequence[BarRow]], None], renewed: Callable[[], None]
    ) -> None:
        """Begin to read; returns at once.

        In this event loop `told` is called with bars that are new, not with those of a first reading, and `renewed` when all
        has been read for the first time, or was made anew.
        """
        self._told, self._renewed = told, renewed
        loop = asyncio.get_running_loop()
        self._thread = threading.Thread(
            target=self._run, args=(cluster, partitions, loop), name="read-model", daemon=True
        )  # a daemon: a query of the disk must not keep a worker from ending
        self._thread.start()

    async def stop(self) -> None:
        """End the thread; a second time does nothing."""
        if self._stop.is_set():
            return
        self._stop.set()
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join, 5.0)
        if self._queries is not None:
            self._executor.submit(self._queries.close)
        self._executor.shutdown(wait=False)
        if self._lock is not None:
            self._lock.close()
        self.state = State.stopped

    async def ask(self, question: Callable[[Queries], T], otherwise: T) -> T:
        """What a question finds; `otherwise` where there is no database yet or it just broke, which is then made anew."""
        if self._stop.is_set():
            return otherwise
        try:
            return await asyncio.get_running_loop().run_in_executor(self._executor, self._answer, question, otherwise)
        except sqlite3.Error as error:
            if not is_damage(error):
                log.warning("the read model %s cannot be read: %s", self._path, error)
            self._damaged.set()
            return otherwise

    def _answer(self, question: Callable[[Queries], T], otherwise: T) -> T:
        if self.state is State.starting or self._damaged.is_set():
            return otherwise
        if self._queries is None:
            self._queries = Queries(self._path)
        return question(self._queries)

    async def extent(self) -> Extent | None:
        """How much it holds; None while it cannot be asked."""
        found = await self.ask(lambda queries: queries.extent(), (-1, -1))
        return None if found[0] < 0 else Extent(*found)

    # ---- in the thread

    def _run(self, cluster: Cluster, partitions: int, loop: asyncio.AbstractEventLoop) -> None:
        def tell(call: Callable[..., None], *values: object) -> None:
            with contextlib.suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(call, *values)

        while not self._stop.is_set():
            try:
                asyncio.run(self._follow(cluster, partitions, tell))
            except DamagedError as error:
                log.warning("the read model is made anew: %s", error)
                self._damaged.set()
                continue
            except (KafkaError, BarwheelError) as error:
                self._trouble(State.waiting, error)
            except (sqlite3.Error, OSError) as error:
                if isinstance(error, sqlite3.Error) and is_damage(error):
                    self._damaged.set()
                self._trouble(State.failed, error)
            except Exception:
                log.exception("the read model stopped, and begins again")
                self._trouble(State.failed, RuntimeError("see the log"))
            self._stop.wait(AGAIN_SECONDS)

    def _trouble(self, state: State, error: Exception) -> None:
        if not self._stop.is_set():
            said = str(error) or type(error).__name__
            if said != self._said:
                log.warning("read model: %s; trying again", said)
                self._said = said
            self.state, self.error = state, said

    async def _follow(self, cluster: Cluster, partitions: int, tell: Callable[..., None]) -> None:
        settings = self._settings
        if self._lock is None:
            self._path, self._lock = claim(settings.data_dir / "read-model", f"{settings.app_id}.{settings.finals_topic}")
        identity = {"app_id": settings.app_id, "finals": settings.finals_topic, "partitions": str(partitions)}
        store = Store(self._path, identity, settings.read_model_bars)
        try:
            if self._damaged.is_set():
                store.start_anew()
            if store.made_anew:
                self.rebuilt += 1
                old, self._queries = self._queries, None
                if old is not None:
                    self._executor.submit(old.close)
                tell(self._renewed)
            self._damaged.clear()
            await self._read(cluster, partitions, store, tell)
        finally:
            store.close()

    async def _read(self, cluster: Cluster, partitions: int, store: Store, tell: Callable[..., None]) -> None:
        settings = self._settings
        rows = {
            settings.finals_topic: bar_rows(settings),
            settings.late_topic: side_rows(settings, "late"),
            settings.rejected_topic: side_rows(settings, "rejected"),
        }
        async with Reader(cluster, frozenset(rows), wait_ms=WAIT_MS) as reader:
            ends = await self._begin(reader, store, [(topic, number) for topic in rows for number in range(partitions)])
            first_ends, caught_up = dict(ends), False
            self.state, self.error = State.catching_up, ""
            async for found in reader.follow(dict(self.positions)):
                began = time.monotonic()
                for bars, side, reached in _bites(found, rows, self.positions):
                    if self._stop.is_set() or self._damaged.is_set():
                        return
                    store.add(bars, side, reached)
                    self.positions.update(reached)
                    if caught_up and bars:
                        tell(self._told, bars)
                    await self._rest(time.monotonic() - began)
                    began = time.monotonic()
                if self._stop.is_set() or self._damaged.is_set():
                    return
                ends.update(reader.ends())
                self.behind = sum(max(0, end - self.positions[place]) for place, end in ends.items())
                if not caught_up and all(self.positions[place] >= end for place, end in first_ends.items()):
                    caught_up = True
                    tell(self._renewed)
                if caught_up:
                    self._said = ""
                    self.state = State.waiting if reader.silence > SILENT_SECONDS else State.live

    async def _rest(self, took: float) -> None:
        await asyncio.sleep(min(REST_SECONDS, REST * took))
        for _ in range(BUSY_RESTS):
            if not self._busy() or self._stop.is_set():
                return
            await asyncio.sleep(REST_SECONDS)

    async def _begin(self, reader: Reader, store: Store, places: list[Place]) -> dict[Place, int]:
        """Where the partitions end now; `positions` are set to where reading goes on: of much, at its newest part."""
        settings, known, ends = self._settings, store.positions(), dict[Place, int]()
        partitions = len({number for _, number in places})
        for place, (begin, end) in (await reader.all_bounds(places)).items():
            finals = place[0] == settings.finals_topic
            share = (settings.read_model_bars if finals else SIDE_KEPT) // partitions
            if known.get(place, 0) > end:
                raise DamagedError(f"{place[0]}[{place[1]}] ends at {end}, it was read to {known[place]}: it was made anew")
            self.positions[place] = known.get(place, max(begin, end - max(1, share)))
            if finals and place not in known and self.positions[place] > begin:
                store.say_cut()
            ends[place] = end
        return ends


def _bites(
    found: Sequence[tuple[str, int, Batch]],
    rows: dict[str, Callable[[Record, int], BarRow | SideRow | None]],
    positions: dict[Place, int],
) -> Iterator[tuple[list[BarRow], list[SideRow], dict[Place, int]]]:
    """What was fetched, in parts of about so many records: bars, others, and where each partition goes on after them."""
    bars: list[BarRow] = []
    side: list[SideRow] = []
    reached: dict[Place, int] = {}
    taken = 0
    for topic, part, batch in found:
        place, row = (topic, part), rows[topic]
        for record in batch:
            if record.offset < positions[place]:
                continue
            made = row(record, part)
            if isinstance(made, BarRow):
                bars.append(made)
            elif made is not None:
                side.append(made)
            taken += 1
            if taken >= BITE:
                yield bars, side, {**reached, place: record.offset + 1}
                bars, side, reached, taken = [], [], {}, 0
        reached[place] = max(batch.next_offset, positions[place])
    if reached:
        yield bars, side, reached


def claim(directory: Path, name: str) -> tuple[Path, IO[bytes]]:
    """A file that no other worker on this machine writes, and the lock that says so; raises `OSError` where all are taken."""
    directory.mkdir(parents=True, exist_ok=True)
    for slot in range(SLOTS):
        path = directory / f"{name}.{slot}.sqlite"
        lock = path.with_suffix(".lock").open("ab")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
        else:
            return path, lock
    raise OSError(f"{directory}: {SLOTS} workers use it already; give this one another data_dir")
