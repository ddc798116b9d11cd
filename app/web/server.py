"""Everything on the web port: the endpoints, what guards them, and what starts and ends with the server."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

import orjson
from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from app.errors import SettingsError
from app.readmodel.model import ReadModel
from app.settings import OPEN_DOOR, Settings
from app.settings.types import WebAuth, loopback
from app.web.context import WebContext
from app.web.endpoint import Endpoint, Raw, answer
from app.web.endpoints import bars as market
from app.web.endpoints import status as worker
from app.web.endpoints.migrations import Migrated
from app.web.endpoints.why import why
from app.web.events.hub import Hub
from app.web.metrics import registry
from app.web.models.bars import Bars, NewestBars, SideRecords, Symbols, Why, Windows
from app.web.models.workers import Accounting, Healthy, Migrations, Partitions, Ready, Status, Wheel
from app.web.openapi import document
from app.web.pages import Pages
from app.web.params import (
    AccountingAsked,
    Asked,
    BarsAsked,
    NewestAsked,
    PartitionsAsked,
    SideAsked,
    SymbolsAsked,
    WhyAsked,
    WindowsAsked,
)
from app.web.peers import Peers
from app.web.security.guard import Guard, headers, token_of
from app.web.security.runner import Runner

if TYPE_CHECKING:
    from app.application import BarwheelApp

SHUTDOWN_SECONDS = 2.0  # for requests that are under way
LONGEST_LINE = 64 << 10  # bytes: what is too long should come as far as the guard, which says so in the API's own way
ENDPOINTS = [
    Endpoint("/api/v1/status", worker.status, Status, "workers"),
    Endpoint("/api/v1/partitions", worker.partitions, Partitions, "workers", PartitionsAsked),
    Endpoint("/api/v1/accounting", worker.accounting, Accounting, "workers", AccountingAsked),
    Endpoint("/api/v1/wheel", worker.wheel, Wheel, "workers"),
    Endpoint("/api/v1/symbols", market.symbols, Symbols, "market", SymbolsAsked),
    Endpoint("/api/v1/windows", market.windows, Windows, "market", WindowsAsked),
    Endpoint("/api/v1/bars", market.newest, NewestBars, "market", NewestAsked),
    Endpoint("/api/v1/bars/{broker}/{symbol}", market.bars, Bars, "market", BarsAsked),
    Endpoint("/api/v1/why/{broker}/{symbol}/{bucket_start}", why, Why, "market", WhyAsked),
    Endpoint("/api/v1/late", market.late, SideRecords, "market", SideAsked),
    Endpoint("/api/v1/rejected", market.rejected, SideRecords, "market", SideAsked),
    Endpoint("/api/v1/migrations", worker.migrations, Migrations, "migrations"),
]


def check_door(settings: Settings, bind: str) -> None:
    """Refuse an address that others can reach where nothing must be shown; `bind` may come from the command line."""
    if not loopback(bind) and settings.web_auth is WebAuth.token and not token_of(settings):
        raise SettingsError(OPEN_DOOR.format(bind))


def check_port(bind: str, port: int) -> None:
    """Refuse a port that is another program's before anything is started: a second worker on this machine needs its own."""
    try:
        for family, kind, protocol, _, address in socket.getaddrinfo(
            bind or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        ):
            with socket.socket(family, kind, protocol) as probe:  # with the options of the server's own
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                if family == socket.AF_INET6:
                    probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                probe.bind(address)
    except OSError as error:
        where = f"cannot listen on {bind}: {(error.strerror or str(error)).lower()}"
        raise SettingsError(
            f"web_port={port}: {where}; set BARWHEEL_WEB_PORT, or worker's --web-port, to a free one"
        ) from error


def install(app: BarwheelApp, applied: Any) -> WebContext:
    """Put all of it on Faust's web server; `applied` is the table of the migrations' history."""
    server: Any = app.web
    site: web.Application = server.web_app
    # Faust's own would wait a minute for a stream that is open
    server._runner = Runner(site, access_log=None, shutdown_timeout=SHUTDOWN_SECONDS, max_line_size=LONGEST_LINE)  # noqa: SLF001
    settings, tasks = app.settings, app.task_manager
    model = ReadModel(settings, lambda: tasks.catching_up)
    peers = Peers(tasks)
    context = WebContext(settings, tasks, model, peers, Migrated(settings, app.migrating, applied))
    context.hub = Hub(context)

    async def start(_: web.Application) -> None:
        await peers.start()
        if tasks.topics is not None:
            model.start(tasks.cluster, tasks.topics.partitions, context.hub.publish, context.hub.reset)
        context.hub.start()

    async def end_streams(_: web.Application) -> None:
        await context.hub.stop()

    async def stop(_: web.Application) -> None:
        await model.stop()
        await peers.stop()

    site.on_startup.append(start)
    site.on_shutdown.append(end_streams)
    site.on_cleanup.append(stop)
    site.on_response_prepare.append(headers)
    site.middlewares.append(Guard(context).__call__)
    # pages first: Faust adds a `/` of its own, which is never reached but must not follow right on ours
    pages = Pages(settings)
    context.error_page = pages.error
    site.add_routes(pages.routes())
    site.add_routes(_operation(context, app))
    site.add_routes([endpoint.route(context) for endpoint in ENDPOINTS])
    site.add_routes([web.get("/api/v1/events", context.hub.stream, allow_head=False)])
    return context


def _operation(context: WebContext, app: BarwheelApp) -> list[web.RouteDef]:
    """What operators and tools ask for."""
    settings, tasks = context.settings, context.tasks
    metrics = registry(context, app.migrating)
    described = [*ENDPOINTS, *PROBES]
    text = Raw(orjson.dumps(document(described, secured=bool(token_of(settings)), window_size=settings.window_size)))

    async def openapi(request: web.Request) -> web.Response:
        return answer(request, text)

    async def scrape(_: web.Request) -> web.Response:
        body = generate_latest(metrics)
        return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE_LATEST, "Cache-Control": "no-store"})

    async def ready(request: web.Request) -> web.Response:
        found = tasks.readiness()
        response = answer(request, Ready(**found))
        response.set_status(200 if found["state"] == "running" else 503)
        return response

    async def healthy(request: web.Request) -> web.Response:
        return answer(request, Healthy(state=tasks.readiness()["state"]))

    return [
        web.get("/openapi.json", openapi),
        web.get("/metrics", scrape),
        web.get("/readyz", ready),
        web.get("/healthz", healthy),
    ]


async def _healthz(web: WebContext, _: Asked) -> Healthy:
    """Whether the process answers."""
    return Healthy(state=web.tasks.readiness()["state"])


async def _readyz(web: WebContext, _: Asked) -> Ready:
    """Whether the worker owns its partitions, has recovered them and hears from the broker; 503 where it does not."""
    return Ready(**web.tasks.readiness())


PROBES = [Endpoint("/healthz", _healthz, Healthy, "operation"), Endpoint("/readyz", _readyz, Ready, "operation")]
