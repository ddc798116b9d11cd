"""An endpoint: its path, parameters and response type. Both the routes and the OpenAPI document are made from these."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from aiohttp import web
from pydantic import BaseModel, ValidationError

from app.web.bar_page import JSON, BarPage, negotiate
from app.web.context import WebContext
from app.web.errors import InvalidParametersError
from app.web.models.base import encode
from app.web.params import Params

MIN_COMPRESSED_BYTES = 1_400  # a smaller response fits into one packet
MAX_SHOWN_VALUE = 100  # characters of an invalid value that an error repeats


@dataclass(frozen=True)
class EncodedJson:
    """A response that is JSON already. It is sent with an ETag."""

    body: bytes


P = TypeVar("P", bound=Params)
Result = BaseModel | EncodedJson | BarPage
Handler = Callable[[WebContext, Any], Awaitable[Result]]


@dataclass(frozen=True)
class Endpoint:
    """A GET endpoint. `params` declares the parameters of path and query, `response` the type of a 200 response."""

    path: str
    handle: Handler
    response: type[BaseModel]
    tag: str
    params: type[Params] = Params
    media_types: tuple[str, ...] = (JSON,)

    @property
    def summary(self) -> str:
        """The first line of the handler's docstring."""
        return (self.handle.__doc__ or "").partition("\n")[0]

    def route(self, context: WebContext) -> web.RouteDef:
        """The route for aiohttp's router."""

        async def handler(request: web.Request) -> web.StreamResponse:
            result = await self.handle(context, parse_params(self.params, request))
            return await _respond_with_bars(request, result) if isinstance(result, BarPage) else respond(request, result)

        return web.get(self.path, handler)


def parse_params(kind: type[P], request: web.Request) -> P:
    """The parameters of a request; raises `InvalidParametersError` that lists everything wrong with them."""
    values: dict[str, str] = dict(request.match_info)
    for name, value in request.query.items():
        if name in values:
            raise InvalidParametersError((name, _shortened(value), "is given more than once"))
        values[name] = value
    return checked(kind, values)


def checked(kind: type[P], values: Mapping[str, str]) -> P:
    """These values as parameters; raises `InvalidParametersError` that lists everything wrong with them."""
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        problems = [
            (".".join(map(str, one["loc"])) or "query", _shortened(one["input"]), one["msg"].removeprefix("Value error, "))
            for one in error.errors(include_url=False)
        ]
        raise InvalidParametersError(*problems) from None


def _shortened(value: object) -> str:
    text = str(value).encode(errors="backslashreplace").decode()
    return text if len(text) <= MAX_SHOWN_VALUE else text[:MAX_SHOWN_VALUE] + "…"


def respond(request: web.Request, result: BaseModel | EncodedJson) -> web.Response:
    """The HTTP response. If the client sent the ETag of this very body, it is 304 without a body."""
    if isinstance(result, EncodedJson):
        return _tagged(request, result.body, JSON, {"Vary": "Accept-Encoding"})
    body = encode(result.model_dump(by_alias=True))
    return _compressed(web.Response(body=body, content_type=JSON, headers={"Cache-Control": "no-store"}), body)


async def _respond_with_bars(request: web.Request, page: BarPage) -> web.Response:
    """The response in the form that the client accepts; without JSON, the address of the next page is in a header."""
    media_type = negotiate(request.headers.get("Accept", ""))
    if media_type == JSON:
        body = page.encode(media_type)
    else:
        body = await asyncio.to_thread(page.encode, media_type)
    headers = {"Vary": "Accept, Accept-Encoding", **page.headers(media_type)}
    cursor = page.answer.get("next_cursor")
    if cursor is not None and media_type != JSON:
        headers["Link"] = f'<{request.rel_url.update_query(cursor=cursor)}>; rel="next"'
    return _tagged(request, body, media_type, headers)


def _tagged(request: web.Request, body: bytes, content_type: str, headers: dict[str, str]) -> web.Response:
    tag = f'W/"{hashlib.blake2b(body, digest_size=12).hexdigest()}"'
    headers |= {"ETag": tag, "Cache-Control": "no-cache"}
    if tag in request.headers.get("If-None-Match", ""):
        return web.Response(status=304, headers=headers)
    return _compressed(web.Response(body=body, content_type=content_type, headers=headers), body)


def _compressed(response: web.Response, body: bytes) -> web.Response:
    if len(body) >= MIN_COMPRESSED_BYTES:
        response.enable_compression()
    return response
