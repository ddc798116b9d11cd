"""A server that sends scripted responses, one per request, over real HTTP: what a well-behaved ksqlDB never sends."""

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

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True)
class Received:
    """One request. `at` is its time by the monotonic clock, in seconds."""

    method: str
    path: str
    headers: dict[str, str]
    body: dict[str, Any]
    at: float


@dataclass
class ScriptedServer:
    """The handlers of the next requests; the last one serves all further requests."""

    handlers: list[Handler]
    requests: list[Received] = field(default_factory=list)
    url: str = ""

    @property
    def texts(self) -> list[str]:
        return [request.body["ksql"] for request in self.requests]

    async def handle(self, request: web.Request) -> web.StreamResponse:
        text = await request.text()
        body = json.loads(text) if text else {}
        self.requests.append(Received(request.method, request.raw_path, dict(request.headers), body, time.monotonic()))
        handler = self.handlers.pop(0) if len(self.handlers) > 1 else self.handlers[0]
        return await handler(request)


@asynccontextmanager
async def scripted(*handlers: Handler, port: int = 0, tls: ssl.SSLContext | None = None) -> AsyncIterator[ScriptedServer]:
    """A running server; port 0 is any free port."""
    server = ScriptedServer(list(handlers))
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", server.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port, ssl_context=tls).start()
        server.url = f"{'https' if tls else 'http'}://127.0.0.1:{runner.addresses[0][1]}"
        yield server
    finally:
        await runner.cleanup()


def json_response(body: object, status: int = 200, **headers: str) -> Handler:
    """A response with JSON. Underscores in names of headers become dashes."""

    async def handler(request: web.Request) -> web.StreamResponse:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return web.json_response(body, status=status, headers=named)

    return handler


def text_response(text: str, status: int = 200, **headers: str) -> Handler:
    """A response with any text."""

    async def handler(request: web.Request) -> web.StreamResponse:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return web.Response(text=text, status=status, headers=named)

    return handler


async def disconnect(request: web.Request) -> web.StreamResponse:
    """Aborts the connection instead of responding."""
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


async def trickle(request: web.Request) -> web.StreamResponse:
    """Sends a byte now and then, forever."""
    response = web.StreamResponse()
    await response.prepare(request)
    while True:
        await response.write(b" ")
        await asyncio.sleep(0.05)


def command_status(
    name: str, sequence: int, status: str = "SUCCESS", message: str = "Stream created", query: str | None = None
) -> Handler:
    """The response to a CREATE STREAM."""
    return json_response(
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


def error_response(code: int, message: str, statement: str = "") -> Handler:
    """The response to a statement that the server rejects."""
    body = {"@type": "statement_error", "error_code": code, "message": message, "statementText": statement, "entities": []}
    return json_response(body, code // 100)
