"""Connections to the web port, on a real server: silent ones end, and however many there are, a request is answered."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from app.web.security import runner as module
from app.web.security.runner import Runner
from tests.support.waiting import until

LIMIT = 10
Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Site:
    """A server that takes `LIMIT` connections. `/busy` answers once `gate` is set."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.busy = 0
        app = web.Application()
        app.add_routes([web.get("/", self._answer), web.get("/busy", self._wait)])
        self.runner = Runner(app, limit=LIMIT, access_log=None, shutdown_timeout=0.1)
        self.port = 0
        self.opened: list[asyncio.StreamWriter] = []

    async def _answer(self, _: web.Request) -> web.Response:
        return web.Response(text="answer")

    async def _wait(self, _: web.Request) -> web.Response:
        self.busy += 1
        await self.gate.wait()
        return web.Response(text="answer")

    async def start(self) -> None:
        await self.runner.setup()
        await web.TCPSite(self.runner, "127.0.0.1", 0).start()
        self.port = self.runner.addresses[0][1]

    async def open(self, sent: bytes = b"") -> Connection:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        self.opened.append(writer)
        writer.write(sent)
        await writer.drain()
        return reader, writer

    async def ask(self) -> bytes:
        reader, _ = await self.open(b"GET / HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n")
        return await asyncio.wait_for(reader.read(), 10)

    async def stop(self) -> None:
        self.gate.set()
        for writer in self.opened:
            writer.close()
        await self.runner.cleanup()


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    made = Site()
    await made.start()
    yield made
    await made.stop()


@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\n", b"GET / HTTP/1.1\r\nHost: here\r\nX: "])
async def test_a_connection_without_a_whole_request_is_closed(sent: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SILENT_SECONDS", 0.2)
    site = Site()
    await site.start()
    reader, _ = await site.open(sent)
    assert await asyncio.wait_for(reader.read(), 10) == b""
    await site.stop()


async def test_a_request_that_comes_byte_by_byte_without_an_end_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SILENT_SECONDS", 0.2)
    site = Site()
    await site.start()
    reader, writer = await site.open(b"GET / HTTP/1.1\r\nX: ")
    ended = asyncio.ensure_future(reader.read())
    while not ended.done():
        writer.write(b"x")
        await asyncio.wait([ended], timeout=0.02)
    assert not ended.cancelled()
    await site.stop()


async def test_a_request_is_answered_beside_more_silent_connections_than_the_limit(site: Site) -> None:
    for number in range(5 * LIMIT):
        await site.open(b"GET / HT" if number % 2 else b"")
    assert (await site.ask()).endswith(b"answer")
    assert len(site.runner.server.connections) <= LIMIT  # type: ignore[union-attr]  # it runs


async def test_requests_in_progress_are_not_given_up_for_new_connections(site: Site) -> None:
    busy = [await site.open(b"GET /busy HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n") for _ in range(LIMIT)]
    await until(lambda: site.busy == LIMIT)
    reader, _ = await site.open()
    assert await asyncio.wait_for(reader.read(), 10) == b"", "the one beyond the limit is closed at once"
    site.gate.set()
    for answer, _ in busy:
        assert (await asyncio.wait_for(answer.read(), 10)).endswith(b"answer")
