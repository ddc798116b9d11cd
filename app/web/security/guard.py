"""What stands before every request: whom it is addressed to, who asks, how much; and what every answer carries.

An answer never shows a traceback. Errors are problem+json, or a page where a browser asked for one.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hmac
import logging
import socket
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from ipaddress import ip_address
from urllib.parse import urlsplit

from aiohttp import web

from app.settings import Settings
from app.settings.types import WebAuth
from app.web.context import WebContext
from app.web.endpoint import encode
from app.web.errors import BusyError, ParameterProblem, WebError
from app.web.models.bars import ParameterError, Problem

PROBES = frozenset({"/healthz", "/readyz"})  # Kubernetes sends no token
STREAMS = frozenset({"/api/v1/events"})
AT_ONCE = 64  # requests under way, beside streams and probes
SECONDS = 15.0  # for one answer
LONGEST_QUERY = 4_000  # characters
# the hash is that of the style which the chart library puts in for its logo
CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'sha256-3pRED1tOXas1FXFoPb9TGCjmYe9XQsmO9OV23khV2nY='; "
    "img-src 'self' data:; connect-src 'self'; font-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": CSP,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Server": "barwheel",
}
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
log = logging.getLogger(__name__)


class Guard:
    """The middleware of one worker."""

    def __init__(self, context: WebContext) -> None:
        self._web = context
        self._names = known_names(context.settings)
        self._token = token_of(context.settings)
        self._under_way = 0

    @web.middleware
    async def __call__(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Answer a request, or say why not."""
        try:
            response = await self._checked(request, handler)
        except web.HTTPException as found:
            if found.status < HTTPStatus.BAD_REQUEST:
                raise
            headers = {"Allow": found.headers["Allow"]} if "Allow" in found.headers else {}
            response = self._refusal(request, found.status, found.reason, _detail(request, found.status), headers)
        except ParameterProblem as error:
            errors = [ParameterError(name=name, value=value, message=message) for name, value, message in error.errors]
            response = self._refusal(request, error.status, error.title, str(error), {}, errors)
        except WebError as error:
            headers = {"Retry-After": "1"} if isinstance(error, BusyError) else {}
            response = self._refusal(request, error.status, error.title, str(error), headers)
        except TimeoutError:
            response = self._refusal(request, 503, "Service Unavailable", f"no answer within {SECONDS:.0f} s", {})
        except (asyncio.CancelledError, ConnectionResetError):
            raise
        except Exception:
            log.exception("%s %s", request.method, request.rel_url.path)
            response = self._refusal(request, 500, "Internal Server Error", "the worker's log says what went wrong", {})
        answered = self._web.answered
        answered[str(response.status)] = answered.get(str(response.status), 0) + 1
        return response

    async def _checked(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        host = request.headers.get("Host", "")
        if not addressed_to(host, self._names):
            text = f"Host {host[:100]!r} is not one of this worker's names: add it to web_hosts"
            raise RefusedError(421, "Misdirected Request", text)
        path = request.path
        if path in PROBES:
            return await handler(request)
        if self._token and not shows(request.headers.get("Authorization", ""), self._token):
            raise RefusedError(401, "Unauthorized", "show the web_token: Authorization: Bearer <token>, or as a password")
        if request.can_read_body:
            raise RefusedError(413, "Content Too Large", "a request has no body here")
        if len(request.query_string) > LONGEST_QUERY:
            raise RefusedError(414, "URI Too Long", f"the query is longer than {LONGEST_QUERY} characters")
        if path in STREAMS:
            return await handler(request)
        if self._under_way >= AT_ONCE:
            raise BusyError(f"{AT_ONCE} requests are under way already: try again")
        self._under_way += 1
        try:
            async with asyncio.timeout(SECONDS):
                return await handler(request)
        finally:
            self._under_way -= 1

    def _refusal(  # what a refusal is made of
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
        page = self._web.error_page
        if page is not None and not request.path.startswith("/api/") and "text/html" in request.headers.get("Accept", ""):
            return web.Response(
                status=status, text=page(request, status, title, detail), content_type="text/html", headers=headers
            )
        problem = Problem(title=title, status=status, detail=detail, errors=errors or [])
        return web.Response(
            status=status, body=encode(problem.model_dump()), content_type="application/problem+json", headers=headers
        )


class RefusedError(WebError):
    """A request that goes no further."""

    def __init__(self, status: int, title: str, detail: str) -> None:
        super().__init__(detail)
        self.status, self.title = status, title


def _detail(request: web.Request, status: int) -> str:
    if status == HTTPStatus.NOT_FOUND:
        return f"there is nothing at {request.path[:200]}; /openapi.json lists what there is"
    if status == HTTPStatus.METHOD_NOT_ALLOWED:
        return f"{request.method} is not possible: this API is read only"
    return "the request cannot be answered"


async def headers(_: web.Request, response: web.StreamResponse) -> None:
    """What every answer carries, that of a stream too."""
    for name, value in HEADERS.items():
        response.headers[name] = value


def token_of(settings: Settings) -> bytes:
    """What requests must show; empty: nothing."""
    return b"" if settings.web_auth is WebAuth.none else settings.web_token.get_secret_value().encode()


def shows(header: str, token: bytes) -> bool:
    """Whether an Authorization header shows the token: as a bearer, or as the password of any user, which browsers ask for."""
    scheme, _, text = header.partition(" ")
    given = text.strip().encode(errors="replace")
    if scheme.lower() == "basic":
        try:
            given = base64.b64decode(given, validate=True).partition(b":")[2]
        except binascii.Error:
            return False
    elif scheme.lower() != "bearer":
        return False
    return hmac.compare_digest(given, token)


def known_names(settings: Settings) -> frozenset[str]:
    """The host names that requests may be addressed to, beside IP addresses."""
    named = {"localhost", socket.gethostname(), settings.web_host, urlsplit(settings.web_url).hostname or ""}
    named |= {name.strip() for name in settings.web_hosts.split(",")}
    return frozenset(name.lower().strip("[]") for name in named if name)


def addressed_to(host: str, names: frozenset[str]) -> bool:
    """Whether a Host header names this worker.

    A page of another site that lets its own name point here (DNS rebinding) does not; an IP address cannot be made to.
    """
    try:
        name = (urlsplit(f"//{host}").hostname or "").lower()
    except ValueError:
        return False
    if name in names:
        return True
    try:
        ip_address(name)
    except ValueError:
        return False
    return True
