"""Server-sent events: bars, watermarks and accounting, batched, encoded once for all clients that ask for the same.

Nothing is sampled while nobody listens. The more clients there are, the longer a batch waits: sending stays a bounded share of
the worker's time. A client that does not read loses its oldest batches and is told to fetch anew.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import msgspec
from aiohttp import web
from aiohttp_sse import EventSourceResponse

from agents.task import now_ms
from app.web import sampling
from app.web.endpoint import read
from app.web.endpoints.status import local_accounting
from app.web.errors import BusyError
from app.web.events.subscriptions import Client, Filter, event, sorted_out
from app.web.models.bars import OpenWindow
from app.web.params import EventsAsked

if TYPE_CHECKING:
    from app.readmodel.store import BarRow
    from app.web.context import WebContext

INTERVAL = 0.1  # seconds between two batches, at least
SEND_SECONDS = 40e-6  # what one batch to one client costs
SEND_SHARE = 0.04  # of the worker's time
SLOW_INTERVAL = 1.0  # between two looks at watermarks, accounting and other workers' windows
MOST_CLIENTS = 1_000
FINALS_AT_ONCE = 200  # of all symbols together in one batch
REMEMBERED = 20_000  # bars for those who come back
TOLD = 64  # windows of a symbol that are compared with what was told last
REMOTE_AT_ONCE = 20  # symbols of other workers that are looked up in one round
log = logging.getLogger(__name__)


class Hub:
    """The streams of one worker."""

    def __init__(self, context: WebContext) -> None:
        self._web = context
        self._boot = uuid4().hex[:8]
        self._number = 0  # of the last bar
        self._remembered: deque[tuple[int, BarRow]] = deque(maxlen=REMEMBERED)
        self._fresh: list[BarRow] = []
        self._groups: dict[Filter, set[Client]] = {}
        self._told: dict[Filter, dict[tuple[int, int], tuple[int, int]]] = {}  # windows as told last: ticks and last offset
        self._slow: dict[str, Any] = {}
        self._slow_at = 0.0
        self._read = (0.0, 0, 0)  # when, records and bars then
        self._remote: deque[Filter] = deque()
        self._task: asyncio.Task[None] | None = None
        self._stopping = False

    @property
    def clients(self) -> int:
        """How many streams are open."""
        return sum(map(len, self._groups.values()))

    @property
    def interval(self) -> float:
        """Seconds between two batches."""
        return max(INTERVAL, self.clients * SEND_SECONDS / SEND_SHARE)

    def start(self) -> None:
        """Begin to send."""
        self._task = asyncio.ensure_future(self._run())

    async def stop(self) -> None:
        """Say good-bye to all: an open stream would hold the worker up."""
        self._stopping = True
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        self._all(event("bye", {}))
        for client in [client for group in self._groups.values() for client in group]:
            client.end()

    def publish(self, bars: Sequence[BarRow]) -> None:
        """Final bars that are new."""
        for bar in bars:
            self._number += 1
            self._remembered.append((self._number, bar))
        if self._groups:
            self._fresh += bars

    def reset(self) -> None:
        """Everybody fetches anew: what can be fetched is another now."""
        self._all(event("reset", {"reason": "the final bars have been read anew"}))

    def _all(self, batch: bytes) -> None:
        for group in self._groups.values():
            for client in group:
                client.put(batch)

    # ---- one stream

    async def stream(self, request: web.Request) -> web.StreamResponse:
        """Bars, watermarks and accounting as they come."""
        asked = read(EventsAsked, request)
        wanted = Filter(asked.broker, asked.symbol)
        if self.clients >= MOST_CLIENTS or self._stopping:
            raise BusyError("no more streams at the moment: close some, or ask another worker")
        response = EventSourceResponse(sep="\n")
        await response.prepare(request)
        client = Client()
        self._greet(client, wanted, request.headers.get("Last-Event-ID", ""))
        self._groups.setdefault(wanted, set()).add(client)
        self._told.pop(wanted, None)  # the windows that are open now are told to all of its group
        try:
            async with response:
                await self._pass_on(client, response, request)
        except (ConnectionResetError, TimeoutError):
            pass  # it has gone, or does not read any more
        finally:
            group = self._groups[wanted]
            group.discard(client)
            if not group:
                del self._groups[wanted]
                self._told.pop(wanted, None)
        return response

    async def _pass_on(self, client: Client, response: EventSourceResponse, request: web.Request) -> None:
        while response.is_connected() and request.transport is not None:
            client.woken.clear()
            while client.waiting:
                await response.write(client.waiting.popleft())
            if client.ended:
                return
            with contextlib.suppress(TimeoutError):  # to see whether it is still there
                await asyncio.wait_for(client.woken.wait(), response.DEFAULT_PING_INTERVAL)

    def _greet(self, client: Client, wanted: Filter, last: str) -> None:
        boot, _, text = last.partition(".")
        number = int(text) if boot == self._boot and text.isdecimal() and len(text) < 18 else -1  # noqa: PLR2004  # no int() of a book
        first = self._remembered[0][0] if self._remembered else self._number + 1
        resumed = first - 1 <= number <= self._number
        greeting = {
            "worker": self._web.peers.me,
            "resumed": resumed,
            "interval_ms": round(self.interval * 1_000),
            "now": now_ms(),
        }
        client.put(event("hello", greeting))
        if resumed:
            missed = [bar for at, bar in self._remembered if at > number and wanted.wants(bar)]
            if missed:
                client.put(self._bars_event(wanted, missed, []))
        for kind, data in self._slow.items():
            client.put(event(kind, data))

    # ---- all streams

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self.interval)
            if not self._groups:
                self._fresh.clear()
                self._slow.clear()  # it is old when somebody comes
                continue
            try:
                await self._round()
            except Exception:
                log.exception("the event streams missed a round")
                await asyncio.sleep(SLOW_INTERVAL)

    async def _round(self) -> None:
        slow = time.monotonic() - self._slow_at >= SLOW_INTERVAL
        if slow:
            self._slow_at = time.monotonic()
            self._tell_slow()
        remote = await self._elsewhere() if slow else {}
        fresh, self._fresh = self._fresh, []  # no await from here on: the number on the batch is that of its last bar
        by_filter = sorted_out(fresh, self._groups)
        for wanted, group in list(self._groups.items()):
            opened = self._changed(wanted, remote.get(wanted))
            finals = by_filter[wanted]
            if finals or opened:
                batch = self._bars_event(wanted, finals, opened)
                for client in list(group):
                    client.put(batch)

    def _bars_event(self, wanted: Filter, finals: Sequence[BarRow], opened: Iterable[OpenWindow]) -> bytes:
        shown = finals if wanted.symbol is not None else finals[-FINALS_AT_ONCE:]
        data = {
            "final": [msgspec.Raw(bar.value) for bar in shown],
            "open": [window.model_dump() for window in opened],
            "skipped": len(finals) - len(shown),
        }
        return event("bars", data, f"{self._boot}.{self._number}")

    def _changed(self, wanted: Filter, remote: list[OpenWindow] | None) -> list[OpenWindow]:
        """Open windows of the one symbol that is asked for that are not as they were told last."""
        if wanted.broker is None or wanted.symbol is None:
            return []
        found = sampling.windows_of(self._web.owners, wanted.broker, wanted.symbol) + (remote or [])
        told = self._told.get(wanted, {})
        now = {(window.partition, window.bucket_start): (window.ticks, window.last_offset) for window in found}
        # what another worker has is looked up less often: it stays told until it is looked up again
        self._told[wanted] = now if remote is not None else {**told, **now}
        if len(self._told[wanted]) > TOLD:
            self._told[wanted] = now
        return [window for window in found if told.get((window.partition, window.bucket_start)) != now[_place(window)]]

    async def _elsewhere(self) -> dict[Filter, list[OpenWindow]]:
        """Windows of symbols that others own, some symbols at a time."""
        if not self._web.others():
            return {}
        keys = {wanted: sampling.key_of(wanted.broker or "", wanted.symbol or "") for wanted in self._groups if all(wanted)}
        engines = [partition.engine for partition in self._web.owners.values()]
        away = [wanted for wanted, key in keys.items() if not any(key in engine.symbols for engine in engines)]
        chosen = away if len(away) <= REMOTE_AT_ONCE else self._next(away)
        answers = await asyncio.gather(*(self._web.windows(wanted.broker or "", wanted.symbol or "") for wanted in chosen))
        return {wanted: found for wanted, (found, _) in zip(chosen, answers, strict=True)}

    def _next(self, away: list[Filter]) -> list[Filter]:
        known = set(away)
        self._remote = deque(wanted for wanted in self._remote if wanted in known)
        self._remote.extend(known.difference(self._remote))
        chosen = [self._remote.popleft() for _ in range(REMOTE_AT_ONCE)]
        self._remote.extend(chosen)
        return chosen

    def _tell_slow(self) -> None:
        """How the worker is, watermarks and accounting, where they changed."""
        owners = self._web.owners
        times = [
            {"partition": number, "stream_times": {k: v.model_dump() for k, v in sampling.scope_times(p.engine).items()}}
            for number, p in sorted(owners.items())
        ]
        found = local_accounting(self._web)
        accounting = {**found.model_dump(), "rates": self._rates(found.total.read)}
        worker = {**self._web.tasks.readiness(), "broker": str(self._web.tasks.cluster)}
        for kind, data in (
            ("worker", worker),
            ("watermarks", {"partitions": times, "now": now_ms()}),
            ("accounting", accounting),
        ):
            if not _same(self._slow.get(kind), data):
                self._slow[kind] = data
                self._all(event(kind, data))

    def _rates(self, read_now: int) -> dict[str, float]:
        then, before, bars_before = self._read
        now, bars = time.monotonic(), sum(self._web.tasks.metrics.bars.values())
        self._read = now, read_now, bars
        took = now - then
        if not 0 < took < 10 * SLOW_INTERVAL:  # nobody listened meanwhile
            return {"read": 0.0, "bars": 0.0}
        return {"read": round(max(0, read_now - before) / took, 1), "bars": round((bars - bars_before) / took, 1)}


def _place(window: OpenWindow) -> tuple[int, int]:
    return window.partition, window.bucket_start


def _same(old: Mapping[str, Any] | None, new: Mapping[str, Any]) -> bool:
    return old is not None and {**old, "now": 0} == {**new, "now": 0}
