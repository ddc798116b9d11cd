"""`/api/v1/events`: sends bars, watermarks and accounting to all open streams, in batches.

A round sends at most one batch to each client, with all that is new, because each write to a socket has its cost. A batch is
encoded once for all clients with the same filter. Nothing is sampled while no stream is open. The interval between rounds grows
with the number of clients, so that sending takes a bounded share of the worker's time. A client that does not read loses its
queue and is told to fetch anew.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterable, Sequence

from aiohttp import web
from aiohttp_sse import EventSourceResponse

from app.kafka.clock import now_ms
from app.readmodel.rows import BarRow
from app.web.context import WebContext
from app.web.endpoint import parse_params
from app.web.errors import BusyError, InvalidParametersError
from app.web.events.resume import ResumeBuffer
from app.web.events.subscriptions import Client, Filter, Subscriptions, bars_by_filter, format_event
from app.web.events.window_changes import WindowChanges
from app.web.events.worker_state import WorkerState
from app.web.models.bars import OpenWindow, placed
from app.web.params import EventsParams
from app.web.security.connections import connection_limit

MIN_INTERVAL_SECONDS = 0.1  # between two batches
SEND_SECONDS = 40e-6  # measured cost of one batch to one client, half of it in the kernel
LOOK_SECONDS = 15.0  # how often a stream looks whether its client has gone, if nothing is sent
SEND_SHARE = 0.04  # of the worker's time
STATE_SECONDS = 1.0  # between two looks at watermarks, accounting and other workers' windows
MAX_CLIENTS = 1_000  # and at most half of the connections
MAX_FINALS = 200  # bars in one batch, if the filter does not name a symbol
RETRY_MS = 1_000  # how long clients wait before they reconnect
log = logging.getLogger(__name__)


class EventHub:
    """The event streams of one worker."""

    def __init__(self, context: WebContext) -> None:
        self._web = context
        self._subscriptions = Subscriptions()
        self._resume = ResumeBuffer()
        self._windows = WindowChanges(context)
        self._state = WorkerState(context)
        self._state_at = 0.0
        self._looked_at = 0.0
        self._new_bars: list[BarRow] = []
        self._task: asyncio.Task[None] | None = None
        self._lookup: asyncio.Task[dict[Filter, list[OpenWindow]]] | None = None  # of other workers' windows
        self._stopping = False
        self._max_clients = min(MAX_CLIENTS, connection_limit() // 2)

    @property
    def interval(self) -> float:
        """Seconds between two batches."""
        return max(MIN_INTERVAL_SECONDS, self._subscriptions.clients * SEND_SECONDS / SEND_SHARE)

    def start(self) -> None:
        """Start to send."""
        self._task = asyncio.ensure_future(self._run())

    async def stop(self) -> None:
        """Send `bye` to all clients and end their streams, which would otherwise hold up the worker's end."""
        self._stopping = True
        for task in (self._task, self._lookup):
            if task is not None:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
        self._subscriptions.broadcast(format_event("bye", {}))
        self._subscriptions.end()

    def publish(self, bars: Sequence[BarRow]) -> None:
        """Send new bars and revisions with the next batch."""
        self._resume.append(bars)
        if self._subscriptions.clients:
            self._new_bars += bars

    def reset(self) -> None:
        """Tell all clients to fetch anew, because the read model was rebuilt."""
        self._subscriptions.broadcast(format_event("reset", {"reason": "the final bars were read again from their topic"}))

    # ---- one stream

    async def stream(self, request: web.Request) -> web.StreamResponse:
        """The request handler: sends events until the client disconnects or the worker stops."""
        params = parse_params(EventsParams, request)
        wanted = Filter(params.broker, params.symbol, self._frame(params.frame))
        if self._subscriptions.clients >= self._max_clients or self._stopping:
            raise BusyError("no more streams at the moment: close some, or ask another worker")
        response = EventSourceResponse(sep="\n")
        await response.prepare(request)
        client = Client()
        self._greet(client, wanted, request.headers.get("Last-Event-ID", ""))
        self._subscriptions.add(wanted, client)
        self._web.open_streams += 1
        self._windows.forget(wanted)  # the new client needs all open windows; the others of its filter get them again
        try:
            async with response:
                await self._send_queue(client, response, request)
        except (ConnectionResetError, TimeoutError):
            pass  # the client has gone, or no longer reads
        finally:
            self._web.open_streams -= 1
            if self._subscriptions.remove(wanted, client):
                self._windows.forget(wanted)
        return response

    def _frame(self, text: str | None) -> str:
        """The frame of a stream. Raises `InvalidParametersError`."""
        chosen = self._web.frames.choose(text)
        if not chosen.kept:
            raise InvalidParametersError(
                ("frame", text or "", "is not kept, so it has no events: follow the base bars, and ask /api/v1/bars again")
            )
        return chosen.name

    async def _send_queue(self, client: Client, response: EventSourceResponse, request: web.Request) -> None:
        while response.is_connected() and request.transport is not None:
            client.wake.clear()
            while client.queue:
                await response.write(client.queue.popleft())
            if client.ended:
                return
            await client.wake.wait()  # the hub wakes all streams now and then: a timeout of each would cost more than sending

    def _greet(self, client: Client, wanted: Filter, last_event_id: str) -> None:
        """Queue `hello`, the bars that the client missed, and the current state of the worker."""
        missed = self._resume.after(last_event_id)
        hello = {
            "worker": self._web.peers.own_url,
            "resumed": missed is not None,
            "interval_ms": round(self.interval * 1_000),
            "now": now_ms(),
        }
        client.put(format_event("hello", hello, retry_ms=RETRY_MS))
        selected = [bar for bar in missed or () if wanted.matches(bar)]
        if selected:
            client.put(self._bars_event(wanted, selected, []))
        for kind, data in self._state.current.items():
            client.put(format_event(kind, data))

    # ---- all streams

    async def _run(self) -> None:
        while True:
            if not self._subscriptions.clients:
                self._new_bars.clear()
                self._state.forget()  # it would be out of date for the next client
                await self._subscriptions.any.wait()
            await asyncio.sleep(self.interval)
            if time.monotonic() - self._looked_at >= LOOK_SECONDS:
                self._looked_at = time.monotonic()
                self._subscriptions.wake()
            if not self._subscriptions.clients:
                continue
            try:
                self._send_round()
            except Exception:
                log.exception("one round of events was not sent")
                await asyncio.sleep(STATE_SECONDS)

    def _found_elsewhere(self) -> dict[Filter, list[OpenWindow]]:
        """The other workers' windows, if they have been looked up since the last call."""
        if self._lookup is None or not self._lookup.done():
            return {}
        lookup, self._lookup = self._lookup, None
        return lookup.result()

    def _send_round(self) -> None:
        """Send one batch. Nothing is awaited: the event id must be that of its last bar, and no stream waits for a worker."""
        remote = self._found_elsewhere()
        state = b""
        if time.monotonic() - self._state_at >= STATE_SECONDS:
            self._state_at = time.monotonic()
            state = b"".join(format_event(kind, data) for kind, data in self._state.changes().items())
            if self._lookup is None:
                self._lookup = asyncio.ensure_future(self._windows.remote_windows(self._subscriptions.filters))
        new_bars, self._new_bars = self._new_bars, []
        selected = bars_by_filter(new_bars, self._subscriptions.filters)
        for wanted, finals in selected.items():
            opened = self._windows.changed(wanted, remote.get(wanted))
            batch = state + (self._bars_event(wanted, finals, opened) if finals or opened else b"")
            if batch:
                self._subscriptions.send(wanted, batch)

    def _bars_event(self, wanted: Filter, bars: Sequence[BarRow], opened: Iterable[OpenWindow]) -> bytes:
        shown = bars if wanted.symbol is not None else bars[-MAX_FINALS:]
        data = {
            "final": [placed(bar.value, bar.partition, bar.frame) for bar in shown if not bar.revision],
            "revised": [placed(bar.value, bar.partition, bar.frame) for bar in shown if bar.revision],
            "open": [window.model_dump() for window in opened],
            "skipped": len(bars) - len(shown),
        }
        return format_event("bars", data, self._resume.last_id)
