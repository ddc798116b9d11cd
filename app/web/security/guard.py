"""The middleware in front of every request: checks host, token and load, and turns errors into responses.

Errors are sent as problem details (RFC 9457), or as a page if a browser asked for one. No response shows a traceback.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable
from http import HTTPStatus

from aiohttp import web

from app.kafka.clock import now_ms
from app.readmodel.database_file import UnreadableError
from app.settings import Settings
from app.web.errors import BusyError, InvalidParametersError, WebError
from app.web.models.base import ParameterError, Problem, UdfProblem, encode
from app.web.security.access import allowed_hosts, has_token, is_allowed_host, required_token
from app.web.security.proof import is_proof

PROBES = frozenset({"/healthz", "/readyz"})  # they need no token, since Kubernetes sends none
STREAMS = frozenset({"/api/v1/events"})
MAX_CONCURRENT = 64  # requests in progress, not counting streams and probes
TIMEOUT_SECONDS = 15.0  # for one response
MAX_QUERY_LENGTH = 8_000  # characters: all parameters of an endpoint at their longest
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
ErrorPage = Callable[[web.Request, int, str, str], str]  # makes HTML of an error: request, status, title, detail
log = logging.getLogger(__name__)


class RequestRefusedError(WebError):
    """A request that is refused before it reaches its handler."""

    def __init__(self, status: int, title: str, detail: str) -> None:
        super().__init__(detail)
        self.status, self.title = status, title


class Guard:
    """The middleware of one worker. `responses` counts its responses by status."""

    def __init__(
        self, settings: Settings, responses: Counter[str], error_page: ErrorPage, own_url: Callable[[], str] = str
    ) -> None:
        """`own_url`: the address that this worker announces to the others."""
        self._hosts = allowed_hosts(settings)
        self._token = required_token(settings)
        self._responses = responses
        self._error_page = error_page
        self._own_url = own_url
        self._in_progress = 0

    @web.middleware
    async def __call__(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Handle a request; every error becomes a response."""
        try:
            response = await self._check_and_handle(request, handler)
        except web.HTTPException as error:
            if error.status < HTTPStatus.BAD_REQUEST:
                raise
            headers = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else {}
            response = self._error(request, error.status, error.reason, _detail(request, error.status), headers)
        except InvalidParametersError as error:
            errors = [ParameterError(name=name, value=value, message=message) for name, value, message in error.errors]
            response = self._error(request, error.status, error.title, str(error), {}, errors)
        except WebError as error:
            headers = {"Retry-After": "1"} if isinstance(error, BusyError) else {}
            response = self._error(request, error.status, error.title, str(error), headers)
        except UnreadableError as error:
            log.warning("%s: %s", request.rel_url.path, error)
            response = self._error(request, 503, "Service Unavailable", str(error), {"Retry-After": "1"})
        except TimeoutError:
            response = self._error(request, 503, "Service Unavailable", f"no answer within {TIMEOUT_SECONDS:.0f} s", {})
        except (asyncio.CancelledError, ConnectionResetError):
            raise
        except Exception:
            log.exception("%s %s", request.method, request.rel_url.path)
            response = self._error(request, 500, "Internal Server Error", "the cause is in the worker's log", {})
        self._responses[str(response.status)] += 1
        return response

    async def _check_and_handle(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        host = request.headers.get("Host", "")
        if not is_allowed_host(host, self._hosts):
            text = f"Host {host[:100]!r} is not one of this worker's names: add it to web_hosts"
            raise RequestRefusedError(421, "Misdirected Request", text)
        path = request.path
        if path in PROBES:
            return await handler(request)
        if _of_another_site(request):
            raise RequestRefusedError(403, "Forbidden", "a page of another site asks for this: open it by its own address")
        if self._token and not self._has_token(request):
            text = "send the web_token: Authorization: Bearer <token>, or as the password of any user"
            raise RequestRefusedError(401, "Unauthorized", text)
        if request.match_info.http_exception is not None:
            return await handler(request)  # there is no such path, or not with this method
        if request.can_read_body:
            raise RequestRefusedError(413, "Content Too Large", "a request must not have a body")
        if len(request.query_string) > MAX_QUERY_LENGTH:
            raise RequestRefusedError(414, "URI Too Long", f"the query is longer than {MAX_QUERY_LENGTH} characters")
        if path in STREAMS:
            return await handler(request)
        if self._in_progress >= MAX_CONCURRENT:
            raise BusyError(f"{MAX_CONCURRENT} requests are in progress: try again")
        self._in_progress += 1
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                return await handler(request)
        finally:
            self._in_progress -= 1

    def _has_token(self, request: web.Request) -> bool:
        """Whether a request carries the token or, from another worker, proves it."""
        header = request.headers.get("Authorization", "")
        if has_token(header, self._token):
            return True
        return is_proof(header, self._token, self._own_url(), request.path, request.query.items(), now_ms())

    def _error(
        self,
        request: web.Request,
        status: int,
        title: str,
        detail: str,
        headers: dict[str, str],
        errors: list[ParameterError] | None = None,
    ) -> web.Response:
        headers = {**headers, "Cache-Control": "no-store"}
        if status == HTTPStatus.UNAUTHORIZED:
            headers["WWW-Authenticate"] = 'Basic realm="barwheel", charset="UTF-8", Bearer realm="barwheel"'
        if not request.path.startswith(("/api/", "/udf/")) and "text/html" in request.headers.get("Accept", ""):
            page = self._error_page(request, status, title, detail)
            return web.Response(status=status, text=page, content_type="text/html", headers=headers)
        problem = Problem(title=title, status=status, detail=detail, errors=errors or [])
        if request.path.startswith("/udf/"):
            problem = UdfProblem(**problem.model_dump(), errmsg=detail)
        return web.Response(
            status=status, body=encode(problem.model_dump()), content_type="application/problem+json", headers=headers
        )


def _of_another_site(request: web.Request) -> bool:
    """Whether a page of another site, or port, sent the request; browsers say so. To follow a link there is no such request.

    No such page could read the response, but it would make this process work for it.
    """
    headers = request.headers
    if headers.get("Sec-Fetch-Site", "none") in {"none", "same-origin"}:
        return False
    return (headers.get("Sec-Fetch-Mode"), headers.get("Sec-Fetch-Dest")) != ("navigate", "document")


def _detail(request: web.Request, status: int) -> str:
    if status == HTTPStatus.NOT_FOUND:
        return f"there is nothing at {request.path[:200]}; /openapi.json lists the paths"
    if status == HTTPStatus.METHOD_NOT_ALLOWED:
        return f"{request.method} is not allowed: this API is read only"
    return "the request cannot be answered"
