"""What is no readable HTTP request never reaches the routes: it is answered here, in the API's own way and without its text.

Written for aiohttp 3.14, of which a server can be given no other handler of such requests; a test fails where that changes.
"""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import Any

from aiohttp import web
from aiohttp.http_exceptions import LineTooLong

from app.web.endpoint import encode
from app.web.models.bars import Problem
from app.web.security.guard import HEADERS

UNREADABLE = "this is no HTTP request that can be read"
TOO_LONG = "the request line or a header is too long"
log = logging.getLogger(__name__)


class Runner(web.AppRunner):
    """An application whose server answers unreadable requests as above."""

    async def _make_server(self) -> web.Server:
        made = await super()._make_server()
        return _Server(made.request_handler, request_factory=made.request_factory, **made._kwargs)  # noqa: SLF001


class _Server(web.Server):
    def __call__(self) -> web.RequestHandler:
        return _Protocol(self, loop=self._loop, **self._kwargs)


class _Protocol(web.RequestHandler):
    def handle_error(
        self, request: web.BaseRequest, status: int = 500, exc: BaseException | None = None, message: str | None = None
    ) -> web.StreamResponse:
        """The answer; anybody may send such a thing, so only what is our own fault goes into the log."""
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            return super().handle_error(request, status, exc, message)
        found, detail = HTTPStatus(status), UNREADABLE
        if isinstance(exc, LineTooLong):
            found, detail = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, TOO_LONG
        log.debug("unreadable request from %s: %s", request.remote, message)
        body: Any = encode(Problem(title=found.phrase, status=found, detail=detail).model_dump())
        headers = {**HEADERS, "Cache-Control": "no-store"}
        answer = web.Response(status=found, body=body, content_type="application/problem+json", headers=headers)
        answer.force_close()
        return answer
