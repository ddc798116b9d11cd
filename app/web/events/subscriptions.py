"""Subscriptions to event streams: filters, the queue of each client, and the event format."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from app.readmodel.rows import BarRow
from app.web.models.base import encode

QUEUE_BATCHES = 64  # for each client


class Filter(NamedTuple):
    """Selects bars of one frame, empty for the window size; None matches any broker or symbol."""

    broker: str | None
    symbol: str | None
    frame: str = ""

    def matches(self, bar: BarRow) -> bool:
        """Whether the filter selects this bar."""
        return self.frame == bar.frame and self.broker in (None, bar.broker) and self.symbol in (None, bar.symbol)


class Client:
    """One open stream and the batches, of one or more events, that wait to be sent to it."""

    def __init__(self) -> None:
        self.queue: deque[bytes] = deque()
        self.wake = asyncio.Event()
        self.ended = False

    def put(self, batch: bytes) -> None:
        """Queue a batch. If the queue is full, drop it all and send `reset` instead: the client must fetch anew."""
        if len(self.queue) >= QUEUE_BATCHES:
            self.queue.clear()
            self.queue.append(format_event("reset", {"reason": "this client did not read fast enough"}))
        self.queue.append(batch)
        self.wake.set()

    def end(self) -> None:
        """Close the stream once the queue has been sent."""
        self.ended = True
        self.wake.set()


class Subscriptions:
    """The open streams, grouped by filter: one batch is encoded once for all clients of a filter."""

    def __init__(self) -> None:
        self._groups: dict[Filter, set[Client]] = {}
        self.any = asyncio.Event()  # set while a stream is open

    @property
    def clients(self) -> int:
        """The number of open streams."""
        return sum(map(len, self._groups.values()))

    @property
    def filters(self) -> list[Filter]:
        """The filters that have clients."""
        return list(self._groups)

    def add(self, wanted: Filter, client: Client) -> None:
        """Subscribe a client."""
        self._groups.setdefault(wanted, set()).add(client)
        self.any.set()

    def remove(self, wanted: Filter, client: Client) -> bool:
        """Unsubscribe a client; returns whether it was the last one with this filter."""
        group = self._groups[wanted]
        group.discard(client)
        if not group:
            del self._groups[wanted]
        if not self._groups:
            self.any.clear()
        return not group

    def send(self, wanted: Filter, batch: bytes) -> None:
        """Queue a batch for the clients of one filter."""
        for client in self._groups.get(wanted, ()):
            client.put(batch)

    def broadcast(self, batch: bytes) -> None:
        """Queue a batch for all clients."""
        for wanted in self._groups:
            self.send(wanted, batch)

    def wake(self) -> None:
        """Let each stream look whether its client is still there."""
        for group in self._groups.values():
            for client in group:
                client.wake.set()

    def end(self) -> None:
        """Close all streams once their queues have been sent."""
        for group in self._groups.values():
            for client in group:
                client.end()


def format_event(kind: str, data: object, event_id: str = "", retry_ms: int | None = None) -> bytes:
    """One server-sent event. `retry_ms`: how long a client waits before it reconnects."""
    head = f"id: {event_id}\n" if event_id else ""
    head += f"retry: {retry_ms}\n" if retry_ms is not None else ""
    return f"{head}event: {kind}\ndata: ".encode() + encode(data) + b"\n\n"


def bars_by_filter(bars: Sequence[BarRow], filters: Iterable[Filter]) -> dict[Filter, list[BarRow]]:
    """The bars that each filter selects, in order. The cost grows with the bars and the matches, not with the filters."""
    selected: dict[Filter, list[BarRow]] = {wanted: [] for wanted in filters}
    for bar in bars:
        for wanted in (
            Filter(bar.broker, bar.symbol, bar.frame),
            Filter(bar.broker, None, bar.frame),
            Filter(None, bar.symbol, bar.frame),
            Filter(None, None, bar.frame),
        ):
            if wanted in selected:
                selected[wanted].append(bar)
    return selected
