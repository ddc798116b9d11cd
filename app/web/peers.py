"""The other workers of the app: which partitions each owns, and requests to their web ports.

Each worker announces the address of its web port when it joins the consumer group. The leader sends all addresses
with the assignment.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterable, Mapping
from decimal import Decimal
from http import HTTPStatus
from typing import Any

import aiohttp

from agents.tasks import TaskManager
from app.kafka.assignor import Member
from app.kafka.clock import now_ms
from app.web.errors import PeerUnavailableError
from app.web.models.base import Away
from app.web.security.proof import proof

TIMEOUT_SECONDS = 2.0
REST_SECONDS = 5.0  # for which a worker that did not answer is not asked again
FRESH_SECONDS = 5.0  # for which a worker that answered needs no look
MAX_RESPONSE_BYTES = 64 << 20
NO_OWNER = "no worker owns them at the moment, as far as this worker knows"
STILL_RECOVERING = "this worker owns them and is recovering them; if that lasts, two workers announce this address: set web_url"


class Peers:
    """A client for the other workers' web ports. Use it between `start` and `stop`."""

    def __init__(self, tasks: TaskManager) -> None:
        self._tasks = tasks
        self._session: aiohttp.ClientSession | None = None
        self._resting: dict[str, tuple[float, str]] = {}  # until when (monotonic), and why, by address
        self._answered: dict[str, float] = {}  # monotonic, by address

    async def start(self) -> None:
        """Open the HTTP client."""
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(TIMEOUT_SECONDS))

    async def stop(self) -> None:
        """Close the HTTP client."""
        if self._session is not None:
            await self._session.close()

    @property
    def own_url(self) -> str:
        """The address that this worker announces."""
        return self._tasks.url

    def members(self) -> list[Member]:
        """The workers as of the last assignment; empty before the first one."""
        return self._tasks.assignor.members

    def owner_urls(self) -> dict[int, str]:
        """The address of each partition's owner. Partitions without an owner, or whose owner has no address, are missing."""
        return {number: member.url for member in self.members() if member.url for number in member.partitions}

    async def get_json(self, url: str, path: str, params: Mapping[str, str]) -> dict[str, Any]:
        """GET JSON from another worker; raises `PeerUnavailableError`.

        A worker that could not be reached, or did not answer in time, is not asked again for `REST_SECONDS`: one that is gone
        would otherwise cost each request, and each page of a list, the whole timeout.
        """
        until, reason = self._resting.get(url, (0.0, ""))
        if time.monotonic() < until:
            raise PeerUnavailableError(reason)
        try:
            status, body = await self._get(url, path, params)
        except TimeoutError:
            raise self._rest(url, f"its web port did not answer within {TIMEOUT_SECONDS:.0f} s") from None
        except (aiohttp.ClientError, OSError) as error:
            raise self._rest(url, f"its web port cannot be reached ({_cause(error)})") from None
        except ValueError:  # not an address
            raise self._rest(url, "its address is none: check its web_url") from None
        self._answered[url] = time.monotonic()
        if status != HTTPStatus.OK:
            raise PeerUnavailableError(f"its web port answered {status}{_detail(body)}")
        try:
            result: dict[str, Any] = json.loads(body, parse_float=Decimal)  # keeps every digit of a price
        except ValueError:
            raise PeerUnavailableError("its web port sent something other than JSON: check its web_url") from None
        return result

    async def _get(self, url: str, path: str, params: Mapping[str, str]) -> tuple[int, bytes]:
        """Status and whole body of a response, in as many pieces as they come."""
        if self._session is None:
            raise PeerUnavailableError("this worker is starting or stopping")
        body, token = bytearray(), self._tasks.settings.web_token.get_secret_value().encode()
        headers = {"Authorization": proof(token, url, path, params, now_ms())} if token else {}
        request = self._session.get(f"{url.rstrip('/')}{path}", params=params, headers=headers, allow_redirects=False)
        async with request as response:
            async for piece in response.content.iter_any():
                body += piece
                if len(body) > MAX_RESPONSE_BYTES:
                    raise PeerUnavailableError(f"its web port sent more than {MAX_RESPONSE_BYTES >> 20} MiB")
            return response.status, bytes(body)

    def _rest(self, url: str, reason: str) -> PeerUnavailableError:
        """Do not ask this worker for a while; gives the error to raise."""
        self._resting = {other: rest for other, rest in self._resting.items() if rest[0] > time.monotonic()}
        self._resting[url] = time.monotonic() + REST_SECONDS, reason
        self._answered.pop(url, None)
        return PeerUnavailableError(reason)

    async def look(self, numbers: Iterable[int]) -> None:
        """See at once which owners of these partitions answer, before they are asked one after the other."""
        owners, now = self.owner_urls(), time.monotonic()
        urls = {owners[number] for number in numbers if number in owners} - {self.own_url}
        unknown = [url for url in urls if now - self._answered.get(url, -FRESH_SECONDS) >= FRESH_SECONDS]
        await asyncio.gather(*(self.get_json(url, "/healthz", {}) for url in unknown), return_exceptions=True)

    async def get_from_owners(
        self, numbers: Iterable[int], path: str, params: Mapping[str, str]
    ) -> tuple[list[dict[str, Any]], list[Away]]:
        """Send one request to every owner of these partitions, of which this worker runs none.

        Returns the responses, and the partitions whose owner could not be asked.
        """
        owners = self.owner_urls()
        by_url: dict[str, list[int]] = {}
        away: list[Away] = []
        without_owner = []
        for number in numbers:
            url = owners.get(number)
            if url is None:
                without_owner.append(number)
            else:
                by_url.setdefault(url, []).append(number)
        if without_owner:
            away.append(Away(partitions=without_owner, url=None, reason=NO_OWNER))
        own = by_url.pop(self.own_url, None)
        if own is not None:
            away.append(Away(partitions=own, url=self.own_url, reason=STILL_RECOVERING))
        requests = (self.get_json(url, path, params) for url in by_url)
        responses = []
        for url, result in zip(by_url, await asyncio.gather(*requests, return_exceptions=True), strict=True):
            if isinstance(result, PeerUnavailableError):
                away.append(Away(partitions=by_url[url], url=url, reason=f"owned by {url}: {result}"))
            elif isinstance(result, BaseException):
                raise result
            else:
                responses.append(result)
        return responses, away


def _cause(error: BaseException) -> str:
    cause = getattr(error, "os_error", None) or error
    return (getattr(cause, "strerror", None) or str(cause) or type(cause).__name__).removeprefix("[Errno ")


def _detail(body: bytes) -> str:
    try:
        return f": {json.loads(body)['detail']}"[:200]
    except (ValueError, TypeError, KeyError):
        return ""
