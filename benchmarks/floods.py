"""Floods the web port of a worker: connections that say nothing, event streams, searches.

`python -m benchmarks.floods PORT SILENT STREAMS SEARCHERS`

A process of its own, so that its CPU time is not the worker's.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.throughput import ROOT

SILENT, STREAMS, SEARCHERS = 500, 200, 8
AGAIN_SECONDS = 0.2  # after a connection that was refused or closed
PATHS = ("/api/v1/symbols?prefix=zzz", "/api/v1/windows?symbol=zzz", "/api/v1/wheel", "/api/v1/symbols?prefix=S")
STREAM = b"GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n"


@contextmanager
def flooded(port: int, silent: int = SILENT, streams: int = STREAMS, searchers: int = SEARCHERS) -> Iterator[None]:
    """Flood a worker inside the block, once all connections and streams have been opened."""
    command = [sys.executable, "-m", "benchmarks.floods", *map(str, (port, silent, streams, searchers))]
    clients = subprocess.Popen(
        command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE, text=True
    )
    try:
        if clients.stdout is None or clients.stdout.readline().strip() != "flooding":
            raise RuntimeError("the flood did not begin")
        yield
    finally:
        clients.kill()
        clients.communicate()


async def _flood(port: int, silent: int, streams: int, searchers: int) -> None:
    opened = asyncio.Semaphore(0)
    async with asyncio.TaskGroup() as group:  # noqa: TID251  # nobody asks here whether it is being cancelled
        for _ in range(silent):
            group.create_task(_open(port, b"", opened))
        for _ in range(streams):
            group.create_task(_open(port, STREAM, opened))
        for number in range(searchers):
            group.create_task(_search(port, PATHS[number % len(PATHS)]))
        for _ in range(silent + streams):
            await opened.acquire()
        print("flooding", flush=True)


async def _open(port: int, sent: bytes, opened: asyncio.Semaphore) -> None:
    """Keep a connection, open it again when it is closed, and read what comes."""
    told = False
    while True:
        with contextlib.suppress(OSError):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(sent)
            if not told:
                told = True
                opened.release()
            while await reader.read(1 << 16):
                pass
            writer.close()
        await asyncio.sleep(AGAIN_SECONDS)


async def _search(port: int, path: str) -> None:
    """Ask the same again and again, without a pause."""
    request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode()
    while True:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(request)
            while await reader.read(1 << 16):
                pass
            writer.close()
        except OSError:
            await asyncio.sleep(AGAIN_SECONDS)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_flood(*map(int, sys.argv[1:])))
