"""A server that answers as a test says, request by request, on real HTTP: what no well-behaved ksqlDB does on demand."""

from __future__ import annotations

import asyncio
import json
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True)
class Asked:
    """One request as it came; `at` is of the monotonic clock."""

    method: str
    path: str
    headers: dict[str, str]
    body: dict[str, Any]
    at: float


@dataclass
class Answering:
    """The answers still to be given, the last of them for ever; `asked` is what came."""

    answers: list[Answer]
    asked: list[Asked] = field(default_factory=list)
    url: str = ""

    @property
    def texts(self) -> list[str]:
        return [asked.body["ksql"] for asked in self.asked]

    async def handle(self, request: web.Request) -> web.StreamResponse:
        text = await request.text()
        body = json.loads(text) if text else {}
        self.asked.append(Asked(request.method, request.raw_path, dict(request.headers), body, time.monotonic()))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return await answer(request)


@asynccontextmanager
async def answering(*answers: Answer, port: int = 0, tls: ssl.SSLContext | None = None) -> AsyncIterator[Answering]:
    """Run it; `port` 0 takes a free one."""
    found = Answering(list(answers))
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", found.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port, ssl_context=tls).start()
        found.url = f"{'https' if tls else 'http'}://127.0.0.1:{runner.addresses[0][1]}"
        yield found
    finally:
        await runner.cleanup()


def says(body: object, status: int = 200, **headers: str) -> Answer:
    """JSON."""

    async def answer(request: web.Request) -> web.StreamResponse:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return web.json_response(body, status=status, headers=named)

    return answer


def raw(text: str, status: int = 200, **headers: str) -> Answer:
    """Anything else."""

    async def answer(request: web.Request) -> web.StreamResponse:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return web.Response(text=text, status=status, headers=named)

    return answer


async def hangs_up(request: web.Request) -> web.StreamResponse:
    """Takes the request and ends the connection instead of answering."""
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


async def trickles(request: web.Request) -> web.StreamResponse:
    """Sends something now and then, and never comes to an end."""
    answer = web.StreamResponse()
    await answer.prepare(request)
    while True:
        await answer.write(b" ")
        await asyncio.sleep(0.05)


def done(
    name: str, sequence: int, status: str = "SUCCESS", message: str = "Stream created", query: str | None = None
) -> Answer:
    """What a server says after a CREATE STREAM."""
    return says(
        [
            {
                "@type": "currentStatus",
                "statementText": f"CREATE STREAM {name} ...;",
                "commandId": f"stream/`{name}`/create",
                "commandStatus": {"status": status, "message": message, "queryId": query},
                "commandSequenceNumber": sequence,
                "warnings": [],
            }
        ]
    )


def refuses(code: int, message: str, statement: str = "") -> Answer:
    """What it says instead."""
    body = {"@type": "statement_error", "error_code": code, "message": message, "statementText": statement, "entities": []}
    return says(body, code // 100)
