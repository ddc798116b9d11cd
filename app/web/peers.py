"""The other workers of the app: which partitions each owns, and requests to their web ports.

Each worker announces the address of its web port when it joins the consumer group. The leader sends all addresses
with the assignment.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Mapping
from decimal import Decimal
from http import HTTPStatus
from typing import Any

import aiohttp

from agents.tasks import TaskManager
from app.kafka.assignor import Member
from app.web.errors import PeerUnavailableError
from app.web.models.base import Away

TIMEOUT_SECONDS = 2.0
MAX_RESPONSE_BYTES = 64 << 20
NO_OWNER = "no worker owns them at the moment, as far as this worker knows"
STILL_RECOVERING = "this worker owns them and is recovering them; if that lasts, two workers announce this address: set web_url"


class Peers:
    """A client for the other workers' web ports. Use it between `start` and `stop`."""

    def __init__(self, tasks: TaskManager) -> None:
        self._tasks = tasks
        self._session: aiohttp.ClientSession | None = None

    async def start(self) -> None:
        """Open the HTTP client."""
        token = self._tasks.settings.web_token.get_secret_value()
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._session = aiohttp.ClientSession(headers=headers, timeout=aiohttp.ClientTimeout(TIMEOUT_SECONDS))

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
        """GET JSON from another worker; raises `PeerUnavailableError`."""
        if self._session is None:
            raise PeerUnavailableError("this worker is starting or stopping")
        try:
            async with self._session.get(f"{url.rstrip('/')}{path}", params=params, allow_redirects=False) as response:
                body = await response.content.read(MAX_RESPONSE_BYTES)
                if response.status != HTTPStatus.OK:
                    raise PeerUnavailableError(f"its web port answered {response.status}{_detail(body)}")
                result: dict[str, Any] = json.loads(body, parse_float=Decimal)  # keeps every digit of a price
                return result
        except TimeoutError:
            raise PeerUnavailableError(f"its web port did not answer within {TIMEOUT_SECONDS:.0f} s") from None
        except (aiohttp.ClientError, OSError) as error:
            raise PeerUnavailableError(f"its web port cannot be reached ({_cause(error)})") from None
        except (ValueError, TypeError):
            raise PeerUnavailableError("its web port sent something other than JSON: check its web_url") from None

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
