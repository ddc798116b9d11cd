"""An endpoint: its path, parameters and response type. Both the routes and the OpenAPI document are made from these."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from aiohttp import web
from pydantic import BaseModel, ValidationError

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
Result = BaseModel | EncodedJson
Handler = Callable[[WebContext, Any], Awaitable[Result]]


@dataclass(frozen=True)
class Endpoint:
    """A GET endpoint. `params` declares the parameters of path and query, `response` the type of a 200 response."""

    path: str
    handle: Handler
    response: type[BaseModel]
    tag: str
    params: type[Params] = Params

    @property
    def summary(self) -> str:
        """The first line of the handler's docstring."""
        return (self.handle.__doc__ or "").partition("\n")[0]

    def route(self, context: WebContext) -> web.RouteDef:
        """The route for aiohttp's router."""

        async def handler(request: web.Request) -> web.StreamResponse:
            return respond(request, await self.handle(context, parse_params(self.params, request)))

        return web.get(self.path, handler)


def parse_params(kind: type[P], request: web.Request) -> P:
    """The parameters of a request; raises `InvalidParametersError` that lists everything wrong with them."""
    values: dict[str, str] = dict(request.match_info)
    for name, value in request.query.items():
        if name in values:
            raise InvalidParametersError((name, _shortened(value), "is given more than once"))
        values[name] = value
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


def respond(request: web.Request, result: Result) -> web.Response:
    """The HTTP response. If the client sent the ETag of this very body, it is 304 without a body."""
    if isinstance(result, EncodedJson):
        tag = f'W/"{hashlib.blake2b(result.body, digest_size=12).hexdigest()}"'
        headers = {"ETag": tag, "Cache-Control": "no-cache", "Vary": "Accept-Encoding"}
        if tag in request.headers.get("If-None-Match", ""):
            return web.Response(status=304, headers=headers)
        response = web.Response(body=result.body, content_type="application/json", headers=headers)
    else:
        body = encode(result.model_dump(by_alias=True))
        response = web.Response(body=body, content_type="application/json", headers={"Cache-Control": "no-store"})
    if response.body is not None and len(response.body) >= MIN_COMPRESSED_BYTES:  # type: ignore[arg-type]  # bytes, as above
        response.enable_compression()
    return response
