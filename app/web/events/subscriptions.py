"""What the event streams are made of: who wants which bars, what waits for a client, and an event as it goes over the wire."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from app.readmodel.store import BarRow
from app.web.endpoint import encode

QUEUE = 64  # batches that wait for a client


class Filter(NamedTuple):
    """Which bars a client wants; None: all."""

    broker: str | None
    symbol: str | None

    def wants(self, bar: BarRow) -> bool:
        """Whether a bar is one of them."""
        return self.broker in (None, bar.broker) and self.symbol in (None, bar.symbol)


class Client:
    """One open stream: what waits to be sent to it."""

    def __init__(self) -> None:
        self.waiting: deque[bytes] = deque()
        self.woken = asyncio.Event()
        self.ended = False

    def put(self, batch: bytes) -> None:
        """Let a batch wait; where too many do, all go, and the client is told to fetch anew."""
        if len(self.waiting) >= QUEUE:
            self.waiting.clear()
            self.waiting.append(event("reset", {"reason": "this client did not read fast enough"}))
        self.waiting.append(batch)
        self.woken.set()

    def end(self) -> None:
        """Nothing more comes."""
        self.ended = True
        self.woken.set()


def event(kind: str, data: object, number: str = "") -> bytes:
    """One event as it goes over the wire."""
    head = f"id: {number}\n" if number else ""
    return f"{head}event: {kind}\ndata: ".encode() + encode(data) + b"\n\n"


def sorted_out(bars: Sequence[BarRow], filters: Iterable[Filter]) -> dict[Filter, list[BarRow]]:
    """The bars of each filter; many filters cost no more than the bars that they want."""
    found: dict[Filter, list[BarRow]] = {wanted: [] for wanted in filters}
    for bar in bars:
        for wanted in (
            Filter(bar.broker, bar.symbol),
            Filter(bar.broker, None),
            Filter(None, bar.symbol),
            Filter(None, None),
        ):
            if wanted in found:
                found[wanted].append(bar)
    return found
