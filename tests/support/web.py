"""A client of a worker's web port: JSON responses, and event streams as a browser reads them."""

from __future__ import annotations

import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import httpx

from tests.support.worker import Worker

DEADLINE = 30.0  # seconds
NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # without certificates: reading them for each request takes 30 ms


def address(worker: Worker) -> str:
    """The base URL of a worker's web port."""
    return f"http://127.0.0.1:{worker.settings['web_port']}"


def ask(worker: Worker, path: str, **headers: str) -> httpx.Response:
    """Send a GET request, with the worker's token if it has one and `headers` do not say otherwise."""
    return httpx.get(f"{address(worker)}{path}", headers=worker.authorization | headers, timeout=10, verify=NO_TLS)


def exact(answer: httpx.Response) -> Any:
    """The JSON of a successful response, with exact decimals."""
    assert answer.status_code == 200, answer.text
    return json.loads(answer.text, parse_float=Decimal)


@dataclass
class Event:
    """One server-sent event."""

    kind: str
    data: dict[str, Any]
    id: str


@dataclass
class Stream:
    """The events received from a stream so far."""

    events: list[Event] = field(default_factory=list)
    ended: bool = False

    def of(self, kind: str) -> list[Event]:
        """The events of one kind."""
        return [event for event in list(self.events) if event.kind == kind]

    def wait(self, condition: Callable[[Stream], Any], what: str) -> None:
        """Wait until a condition holds; raises `AssertionError` after `DEADLINE` seconds."""
        until = time.monotonic() + DEADLINE
        while not condition(self):
            assert time.monotonic() < until, f"not within {DEADLINE} s: {what}; received: {self.events[-5:]}"
            time.sleep(0.02)


@contextmanager
def listening(worker: Worker, query: Mapping[str, str] | None = None, last_id: str = "") -> Iterator[Stream]:
    """Open an event stream; a thread reads it."""
    stream = Stream()
    headers = worker.authorization | ({"Last-Event-ID": last_id} if last_id else {})
    client = httpx.Client(timeout=httpx.Timeout(10, read=None), verify=NO_TLS)
    sockets: list[socket.socket] = []

    def read() -> None:
        try:
            with client.stream("GET", f"{address(worker)}/api/v1/events", params=dict(query or {}), headers=headers) as answer:
                assert answer.status_code == 200, answer.read()
                sockets.append(answer.extensions["network_stream"].get_extra_info("socket"))
                _take(answer.iter_lines(), stream)
        except (httpx.HTTPError, OSError):
            pass  # closed by this test or by the worker
        stream.ended = True

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    stream.wait(lambda s: s.of("hello") or s.ended, "the stream says hello")
    try:
        yield stream
    finally:
        for open_socket in sockets:  # close() alone does not wake the reading thread
            with suppress(OSError):
                open_socket.shutdown(socket.SHUT_RDWR)
        thread.join(2 * DEADLINE)
        client.close()


def _take(lines: Iterator[str], stream: Stream) -> None:
    fields: dict[str, str] = {}
    for line in lines:
        if line:
            name, _, text = line.partition(": ")
            fields[name] = text
        elif "event" in fields:
            stream.events.append(Event(fields["event"], json.loads(fields["data"]), fields.get("id", "")))
            fields = {}
        else:
            fields = {}
