"""An aiohttp runner whose server has a bounded number of connections, and answers malformed requests with problem details.

A connection that sends no request is closed after a while, also if it sends a header byte by byte: aiohttp's keep-alive timeout
covers both. Beyond the limit, the connection that has waited the longest makes room for the new one. So silent connections keep
nobody out, and none of the descriptors from Kafka.

aiohttp answers such requests before any middleware runs, with the request's own text in the response. It has no hook to
change that, so this module overrides internals of aiohttp 3.14. The integration tests of the API fail if they change.
"""

from __future__ import annotations

import asyncio
import logging
from http import HTTPStatus
from typing import Any, cast

from aiohttp import web
from aiohttp.http_exceptions import LineTooLong

from app.web.models.base import Problem, encode
from app.web.security.connections import drop_unread
from app.web.security.headers import HEADERS

MALFORMED = "this is not a valid HTTP request"
SILENT_SECONDS = 15.0  # for which a connection may be open without a whole request
TOO_LONG = "the request line or a header is too long"
log = logging.getLogger(__name__)


class Runner(web.AppRunner):
    """Runs an application. Malformed requests get problem details and the security headers."""

    def __init__(self, app: web.Application, *, limit: int, **options: Any) -> None:
        """`limit`: of open connections."""
        super().__init__(app, keepalive_timeout=SILENT_SECONDS, **options)
        self._limit = limit

    async def _make_server(self) -> web.Server:
        server = await super()._make_server()
        made = _Server(server.request_handler, request_factory=server.request_factory, **server._kwargs)  # noqa: SLF001  # see above
        made.limit = self._limit
        return made


class _Server(web.Server):
    limit = 0

    def make_room(self) -> bool:
        """Whether one more connection fits, after the oldest one that waits was closed if none is free."""
        handlers = self.connections  # the oldest first
        if len(handlers) < self.limit:
            return True
        waiting = next((handler for handler in handlers if cast("_Protocol", handler).waits), None)
        if waiting is None:
            return False
        waiting.force_close()
        self.connection_lost(waiting)  # it counts no longer
        return True

    def __call__(self) -> web.RequestHandler:
        return _Protocol(self, loop=self._loop, **self._kwargs)


class _Protocol(web.RequestHandler):
    @property
    def waits(self) -> bool:
        """Whether no request of this connection is in progress."""
        return self._current_request is None and not self._messages

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the connection, or close it at once if there are too many that are all at work."""
        fits = cast("_Server", self._manager).make_room()
        super().connection_made(transport)
        drop_unread(cast("asyncio.Transport", transport))
        if not fits:
            self.force_close()

    def handle_error(
        self, request: web.BaseRequest, status: int = 500, exc: BaseException | None = None, message: str | None = None
    ) -> web.StreamResponse:
        """The response to a malformed request. Anybody can send one, so only server errors are logged as errors."""
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            return super().handle_error(request, status, exc, message)
        http_status, detail = HTTPStatus(status), MALFORMED
        if isinstance(exc, LineTooLong):
            http_status, detail = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, TOO_LONG
        log.debug("malformed request from %s: %s", request.remote, message)
        problem = Problem(title=http_status.phrase, status=http_status, detail=detail)
        body: Any = encode(problem.model_dump())
        headers = {**HEADERS, "Cache-Control": "no-store"}
        response = web.Response(status=http_status, body=body, content_type="application/problem+json", headers=headers)
        response.force_close()
        return response
