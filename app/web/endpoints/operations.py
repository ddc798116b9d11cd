"""What operators and tools ask for: probes, Prometheus metrics, the OpenAPI document."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import orjson
from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from app.web.context import WebContext
from app.web.endpoint import EncodedJson, Endpoint, respond
from app.web.metrics import registry
from app.web.models.workers import Healthy, Ready
from app.web.params import Params
from app.web.security.access import required_token


async def healthz(context: WebContext, _: Params) -> Healthy:
    """Whether the process answers."""
    return Healthy(state=context.tasks.readiness()["state"])


async def readyz(context: WebContext, _: Params) -> Ready:
    """Whether the worker owns its partitions, has recovered them and hears from the broker; 503 if not."""
    return Ready(**context.tasks.readiness())


PROBES = [Endpoint("/healthz", healthz, Healthy, "operation"), Endpoint("/readyz", readyz, Ready, "operation")]


def routes(context: WebContext, endpoints: Sequence[Endpoint]) -> list[web.RouteDef]:
    """The routes for aiohttp's router. The OpenAPI document describes `endpoints` and the probes."""
    settings = context.settings
    metrics = registry(context)
    secured = bool(required_token(settings))
    described: list[EncodedJson] = []  # once it was asked for
    making = asyncio.Lock()

    def describe() -> EncodedJson:
        from app.web.openapi import document  # noqa: PLC0415  # large, and few ask

        found = document([*endpoints, *PROBES], secured=secured, window_size=settings.window_size)
        return EncodedJson(orjson.dumps(found))

    async def openapi(request: web.Request) -> web.Response:
        async with making:
            if not described:
                described.append(await asyncio.to_thread(describe))
        return respond(request, described[0])

    async def scrape(_: web.Request) -> web.Response:
        body = generate_latest(metrics)
        return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE_LATEST, "Cache-Control": "no-store"})

    async def ready(request: web.Request) -> web.Response:
        result = await readyz(context, Params())
        response = respond(request, result)
        response.set_status(200 if result.state == "running" else 503)
        return response

    async def healthy(request: web.Request) -> web.Response:
        return respond(request, await healthz(context, Params()))

    return [
        web.get("/openapi.json", openapi),
        web.get("/metrics", scrape),
        web.get("/readyz", ready),
        web.get("/healthz", healthy),
    ]
