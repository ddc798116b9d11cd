"""The other workers of the app: what each owns, and asking them over HTTP.

Which worker owns what, and its address, is told to every member with its assignment.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import aiohttp

from app.kafka.assignor import Member
from app.web.errors import AwayError
from app.web.models.bars import Away

if TYPE_CHECKING:
    from agents.tasks import TaskManager

ASK_SECONDS = 2.0
LARGEST = 64 << 20  # bytes of an answer


class Peers:
    """Use between `start` and `stop`."""

    def __init__(self, tasks: TaskManager) -> None:
        self._runtime = tasks
        self._session: aiohttp.ClientSession | None = None

    async def start(self) -> None:
        """Make the client."""
        token = self._runtime.settings.web_token.get_secret_value()
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._session = aiohttp.ClientSession(headers=headers, timeout=aiohttp.ClientTimeout(ASK_SECONDS))

    async def stop(self) -> None:
        """Close it."""
        if self._session is not None:
            await self._session.close()

    @property
    def me(self) -> str:
        """This worker's address, as it tells the group."""
        return self._runtime.url

    def workers(self) -> list[Member]:
        """The workers as of the last assignment; none before the first."""
        return self._runtime.assignor.members

    def owners(self) -> dict[int, str]:
        """The address of each partition's owner; partitions of nobody, and of workers that told no address, are not in it."""
        return {number: member.url for member in self.workers() if member.url for number in member.partitions}

    async def ask(self, url: str, path: str, params: Mapping[str, str]) -> dict[str, Any]:
        """JSON from another worker; raises `AwayError`."""
        if self._session is None:
            raise AwayError("this worker is starting or ending")
        try:
            async with self._session.get(f"{url.rstrip('/')}{path}", params=params, allow_redirects=False) as answer:
                body = await answer.content.read(LARGEST)
                if answer.status != 200:  # noqa: PLR2004  # OK
                    raise AwayError(f"its web port answers {answer.status}{_detail(body)}")
                found: dict[str, Any] = json.loads(body, parse_float=Decimal)  # every digit of a price
                return found
        except TimeoutError:
            raise AwayError(f"whose web port did not answer within {ASK_SECONDS:.0f} s") from None
        except (aiohttp.ClientError, OSError) as error:
            raise AwayError(f"whose web port cannot be reached ({_reason(error)})") from None
        except (ValueError, TypeError):
            raise AwayError("whose web port answers something else; is web_url right?") from None

    async def ask_owners(
        self, numbers: Iterable[int], path: str, params: Mapping[str, str]
    ) -> tuple[list[dict[str, Any]], list[Away]]:
        """The same from the owners of these partitions, which are not this worker's; and whom nobody could be asked for."""
        owners, asked, away = self.owners(), dict[str, list[int]](), list[Away]()
        nobody = []
        for number in numbers:
            url = owners.get(number)
            if url is None:
                nobody.append(number)
            else:
                asked.setdefault(url, []).append(number)
        if nobody:
            away.append(Away(partitions=nobody, url=None, reason="no worker owns them at the moment, as far as this one knows"))
        mine = asked.pop(self.me, None)
        if mine is not None:
            away.append(Away(partitions=mine, url=self.me, reason=NOT_YET))
        answers = []
        urls = list(asked)
        for url, found in zip(
            urls, await asyncio.gather(*(self.ask(url, path, params) for url in urls), return_exceptions=True), strict=True
        ):
            if isinstance(found, AwayError):
                away.append(Away(partitions=asked[url], url=url, reason=f"owned by {url}, {found}"))
            elif isinstance(found, BaseException):
                raise found
            else:
                answers.append(found)
        return answers, away


NOT_YET = "this worker's, which is recovering them; if that lasts, two workers tell the same address: set web_url"


def _reason(error: BaseException) -> str:
    cause = getattr(error, "os_error", None) or error
    return (getattr(cause, "strerror", None) or str(cause) or type(cause).__name__).removeprefix("[Errno ")


def _detail(body: bytes) -> str:
    try:
        return f": {json.loads(body)['detail']}"[:200]
    except (ValueError, TypeError, KeyError):
        return ""
