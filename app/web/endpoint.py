"""One endpoint: its path, what may be asked and what is answered; from these both the routes and the document are made."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec
from aiohttp import web
from pydantic import BaseModel, ValidationError

from app.web.context import WebContext
from app.web.errors import ParameterProblem
from app.web.params import Asked

COMPRESS_FROM = 1_400  # bytes: what fits into one packet stays as it is
encode = msgspec.json.Encoder(decimal_format="number").encode


@dataclass(frozen=True)
class Raw:
    """An answer that is JSON already, and can be asked for by its ETag."""

    body: bytes
    content_type: str = "application/json"


SHOWN = 100  # characters of a bad value that an answer repeats
A = TypeVar("A", bound=Asked)
Answered = BaseModel | Raw
Handle = Callable[[WebContext, Any], Awaitable[Answered]]


@dataclass(frozen=True)
class Endpoint:
    """A GET; `asked` has the parameters of path and query, `answer` is the type of a good answer."""

    path: str
    handle: Handle
    answer: type[BaseModel]
    tag: str
    asked: type[Asked] = Asked

    @property
    def summary(self) -> str:
        """What it is for: the first line of its function."""
        return (self.handle.__doc__ or "").partition("\n")[0]

    def route(self, context: WebContext) -> web.RouteDef:
        """For aiohttp's router."""

        async def handler(request: web.Request) -> web.StreamResponse:
            return answer(request, await self.handle(context, read(self.asked, request)))

        return web.get(self.path, handler)


def read(kind: type[A], request: web.Request) -> A:
    """The parameters of a request; raises `ParameterProblem` with all that is wrong."""
    given: dict[str, str] = dict(request.match_info)
    for name, value in request.query.items():
        if name in given:
            raise ParameterProblem((name, _cut(value), "is given more than once"))
        given[name] = value
    try:
        return kind.model_validate(given)
    except ValidationError as error:
        problems = [
            (".".join(map(str, one["loc"])) or "query", _cut(one["input"]), one["msg"].removeprefix("Value error, "))
            for one in error.errors(include_url=False)
        ]
        raise ParameterProblem(*problems) from None


def _cut(value: object) -> str:
    text = str(value).encode(errors="backslashreplace").decode()
    return text if len(text) <= SHOWN else text[:SHOWN] + "…"


def answer(request: web.Request, given: Answered) -> web.Response:
    """The response; what has an ETag that the client knows is not sent again."""
    if isinstance(given, Raw):
        tag = f'W/"{hashlib.blake2b(given.body, digest_size=12).hexdigest()}"'
        headers = {"ETag": tag, "Cache-Control": "no-cache", "Vary": "Accept-Encoding"}
        if tag in request.headers.get("If-None-Match", ""):
            return web.Response(status=304, headers=headers)
        response = web.Response(body=given.body, content_type=given.content_type, headers=headers)
    else:
        body = encode(given.model_dump(by_alias=True))
        response = web.Response(body=body, content_type="application/json", headers={"Cache-Control": "no-store"})
    if response.body is not None and len(response.body) >= COMPRESS_FROM:  # type: ignore[arg-type]  # bytes, as made above
        response.enable_compression()
    return response
