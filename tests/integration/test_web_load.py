"""Bars go on, and probes are answered, while the web port is flooded."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import httpx

from tests.integration.conftest import NewWorker
from tests.support.ticks import Tick, heartbeat, produce, read
from tests.support.web import address
from tests.support.worker import Worker

START, MINUTE = 1_700_000_040_000, 60_000
SYMBOLS = 20


def _connect(worker: Worker, sent: bytes) -> socket.socket:
    made = socket.create_connection(("127.0.0.1", int(worker.settings["web_port"])))
    made.sendall(sent)
    return made


@contextmanager
def _connections(worker: Worker, count: int, sent: bytes) -> Iterator[None]:
    """So many connections, on each of which this is sent and nothing is read."""
    with contextlib.ExitStack() as stack:
        for _ in range(count):
            stack.enter_context(contextlib.closing(_connect(worker, sent)))
        yield


@contextmanager
def _storm(worker: Worker) -> Iterator[None]:
    """Clients that search without a pause, for what there is little of, and with queries that are too long."""
    ended = threading.Event()
    paths = [
        "/api/v1/symbols?prefix=zzz",
        "/api/v1/windows?symbol=zzz",
        "/api/v1/wheel",
        "/api/v1/symbols?prefix=" + "x" * 50_000,
    ]

    def search(path: str) -> None:
        with httpx.Client(base_url=address(worker), timeout=10) as client:
            while not ended.is_set():
                with contextlib.suppress(httpx.HTTPError):
                    client.get(path)

    threads = [threading.Thread(target=search, args=(path,)) for path in paths]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        ended.set()
        for thread in threads:
            thread.join()


STREAM = b"GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n"


def test_bars_go_on_while_the_web_port_is_flooded(pocket_worker: NewWorker) -> None:
    worker = pocket_worker().start()
    floods: dict[str, Callable[[], AbstractContextManager[None]]] = {
        "silent": lambda: _connections(worker, 600, b""),
        "slow headers": lambda: _connections(worker, 600, b"GET / HTTP/1.1\r\nHost: localhost\r\nX: "),
        "streams that nobody reads": lambda: _connections(worker, 100, STREAM),
        "searches": lambda: _storm(worker),
    }
    for number, (flood, begin) in enumerate(floods.items(), 1):
        with begin():
            names = [f"broker{number}|S{symbol}" for symbol in range(SYMBOLS)]
            produce(worker.bootstrap, worker.ticks_topic, [Tick(START + 1, name=name) for name in names], 0)
            produce(worker.bootstrap, worker.ticks_topic, [heartbeat(START + MINUTE + 5_000, names[0])], 0)
            bars = number * SYMBOLS
            worker.wait(lambda bars=bars: len(read(worker.bootstrap, worker.finals_topic)) == bars, f"all bars beside {flood}")  # type: ignore[misc]
            assert worker.ready(), flood
            assert worker.total()["binned"] == bars, flood
