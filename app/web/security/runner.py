"""An aiohttp runner whose server answers malformed HTTP requests with problem details.

aiohttp answers such requests before any middleware runs, with the request's own text in the response. It has no hook to
change that, so this module overrides internals of aiohttp 3.14. The integration tests of the API fail if they change.
"""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import Any

from aiohttp import web
from aiohttp.http_exceptions import LineTooLong

from app.web.models.base import Problem, encode
from app.web.security.headers import HEADERS

MALFORMED = "this is not a valid HTTP request"
TOO_LONG = "the request line or a header is too long"
log = logging.getLogger(__name__)


class Runner(web.AppRunner):
    """Runs an application. Malformed requests get problem details and the security headers."""

    async def _make_server(self) -> web.Server:
        server = await super()._make_server()
        return _Server(server.request_handler, request_factory=server.request_factory, **server._kwargs)  # noqa: SLF001  # see above


class _Server(web.Server):
    def __call__(self) -> web.RequestHandler:
        return _Protocol(self, loop=self._loop, **self._kwargs)


class _Protocol(web.RequestHandler):
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
