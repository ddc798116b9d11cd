"""HTTP requests to ksqlDB, with time limits and retries.

A request that changes something is sent again only if the server certainly did not receive or accept it. Waits between two
attempts double and have a random jitter. A Retry-After header is obeyed.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Mapping
from typing import Any, Self

import httpx

from app import https
from migrations.errors import UnreachableError
from migrations.server.responses import is_busy, retry_after

KSQL = "application/vnd.ksql.v1+json"
# with this type, /query-stream answers line by line; with the other one, in the format of older servers
ROWS = "application/vnd.ksqlapi.delimited.v1"
SETTING = "ksqldb"
WAITS = (0.2, 5.0)  # seconds, first and longest
log = logging.getLogger(__name__)
Body = Mapping[str, Any]


class Transport:
    """One server's HTTP connections; use as `async with`. `requests` counts all attempts."""

    def __init__(  # noqa: PLR0913  # the settings of one server
        self,
        url: str,
        *,
        user: str,
        password: str,
        ca_file: str,
        read_seconds: float,
        try_seconds: float,
        identity: https.Identity = https.NOBODY,
        backoff_seconds: float = 0.0,
    ) -> None:
        """`read_seconds` limits one request; `try_seconds` limits the time of all its attempts.

        `backoff_seconds` is the first wait between two of them; 0: the usual one. Raises `SettingsError` if one of the files
        cannot be used.
        """
        self.url = url.rstrip("/")
        self.requests = 0
        self.try_seconds = try_seconds
        self._read_seconds = read_seconds
        self._http = https.client(
            self.url,
            SETTING,
            user=user,
            password=password,
            ca_file=ca_file,
            media_type=KSQL,
            read_seconds=read_seconds,
            identity=identity,
        )
        self._backoff_seconds = backoff_seconds

    async def __aenter__(self) -> Self:
        await self._http.__aenter__()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._http.aclose()

    async def send_idempotent(self, method: str, path: str, body: Body | None = None) -> httpx.Response:
        """Send a request that changes nothing; retry after every failure of the connection."""
        return await self._send(method, path, body, httpx.TransportError)

    async def send_once(self, method: str, path: str, body: Body) -> httpx.Response:
        """Send a request that changes something; retry only if the server certainly did not receive or accept it."""
        return await self._send(method, path, body, (httpx.ConnectError, httpx.ConnectTimeout))

    async def _send(
        self,
        method: str,
        path: str,
        body: Body | None,
        retriable: type[Exception] | tuple[type[Exception], ...],
    ) -> httpx.Response:
        until, wait = time.monotonic() + self.try_seconds, self._backoff_seconds or WAITS[0]
        idempotent = retriable is httpx.TransportError
        while True:
            try:
                response = await self._request(method, path, body)
                pause = retry_after(response) or _jitter(wait)
                if not is_busy(response, idempotent=idempotent) or time.monotonic() + pause > until:
                    return response
                reason = f"{response.status_code} {response.reason_phrase}"
            except httpx.TransportError as error:
                https.check_certificate(error, f"ksqlDB at {self.url}", SETTING)
                pause, reason = _jitter(wait), str(error) or type(error).__name__
                if not isinstance(error, retriable) or time.monotonic() + pause > until:
                    remedy = "see that it runs, and that ksqldb_url is its address"
                    raise UnreachableError(f"ksqlDB at {self.url}: {reason}; {remedy}") from error
            log.warning("%s%s: %s; trying again in %.1f s", self.url, path, reason, pause)
            await asyncio.sleep(pause)
            wait = min(2 * wait, WAITS[1])

    async def _request(self, method: str, path: str, body: Body | None) -> httpx.Response:
        self.requests += 1
        rows = path == "/query-stream"
        headers = {"Accept": ROWS if rows else KSQL}
        if body is not None and not rows:
            headers["Content-Type"] = KSQL
        try:
            return await https.request(self._http, method, path, self._read_seconds, json=body, headers=headers)
        except httpx.DecodingError as error:  # the connection broke inside compressed content
            raise httpx.ReadError(str(error)) from error
        except TimeoutError:
            raise httpx.ReadTimeout(f"no complete response within {self._read_seconds:.0f} s") from None


def _jitter(wait: float) -> float:
    return wait * random.uniform(0.5, 1.5)  # noqa: S311  # not for security
