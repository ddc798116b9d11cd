"""Installs the web port on Faust's web server: routes, middleware, and what starts and stops with the server."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from agents.tasks import TaskManager
from app.ksqldb.migrating import Migrating
from app.readmodel.model import ReadModel
from app.settings import Settings
from app.web.bar_page import MEDIA_TYPES
from app.web.context import HistoryTable, WebContext
from app.web.endpoint import Endpoint
from app.web.endpoints import operations
from app.web.endpoints.activity import activity
from app.web.endpoints.bars import bars, newest_bars
from app.web.endpoints.migrations import migrations
from app.web.endpoints.partitions import accounting, partitions
from app.web.endpoints.side_records import late, rejected
from app.web.endpoints.status import status, wheel
from app.web.endpoints.symbols import brokers, symbols
from app.web.endpoints.why import why
from app.web.endpoints.windows import windows
from app.web.events.hub import EventHub
from app.web.models.activity import Activity
from app.web.models.bars import Bars, NewestBars, Why, Windows
from app.web.models.side_records import SideRecords
from app.web.models.symbols import Brokers, Symbols
from app.web.models.workers import Accounting, Migrations, Partitions, Status, Wheel
from app.web.pages import Pages
from app.web.params import (
    AccountingParams,
    BarsParams,
    BrokersParams,
    LateParams,
    NewestBarsParams,
    PartitionsParams,
    RejectedParams,
    SymbolsParams,
    WhyParams,
    WindowsParams,
)
from app.web.peers import Peers
from app.web.security.connections import connection_limit
from app.web.security.guard import Guard
from app.web.security.headers import add_headers
from app.web.security.runner import Runner
from app.web.udf import endpoints as udf

SHUTDOWN_SECONDS = 2.0  # for requests in progress
MAX_LINE_BYTES = 64 << 10  # larger than the guard's limit, so that the guard answers most queries that are too long
ENDPOINTS = [
    Endpoint("/api/v1/status", status, Status, "workers"),
    Endpoint("/api/v1/partitions", partitions, Partitions, "workers", PartitionsParams),
    Endpoint("/api/v1/accounting", accounting, Accounting, "workers", AccountingParams),
    Endpoint("/api/v1/activity", activity, Activity, "workers", AccountingParams),
    Endpoint("/api/v1/wheel", wheel, Wheel, "workers"),
    Endpoint("/api/v1/brokers", brokers, Brokers, "market", BrokersParams),
    Endpoint("/api/v1/symbols", symbols, Symbols, "market", SymbolsParams),
    Endpoint("/api/v1/windows", windows, Windows, "market", WindowsParams),
    Endpoint("/api/v1/bars", newest_bars, NewestBars, "market", NewestBarsParams, MEDIA_TYPES),
    Endpoint("/api/v1/bars/{broker}/{symbol}", bars, Bars, "market", BarsParams, MEDIA_TYPES),
    Endpoint("/api/v1/why/{broker}/{symbol}/{bucket_start}", why, Why, "market", WhyParams),
    Endpoint("/api/v1/late", late, SideRecords, "market", LateParams),
    Endpoint("/api/v1/rejected", rejected, SideRecords, "market", RejectedParams),
    Endpoint("/api/v1/migrations", migrations, Migrations, "migrations"),
    *udf.ENDPOINTS,
]


def install(server: Any, settings: Settings, tasks: TaskManager, migrating: Migrating, history: HistoryTable) -> WebContext:
    """Add everything to `server`, the web server of a Faust app. It starts and stops with that server.

    `migrating`: the progress of the migrations at this worker's start; `history`: the table of applied migrations.
    """
    site: web.Application = server.web_app
    # Faust's own runner would wait a minute for each open event stream at the end
    server._runner = Runner(  # noqa: SLF001
        site,
        limit=connection_limit(),
        access_log=None,
        shutdown_timeout=SHUTDOWN_SECONDS,
        max_line_size=MAX_LINE_BYTES,
    )
    read_model = ReadModel(settings, lambda: tasks.catching_up)
    peers = Peers(tasks)
    context = WebContext(settings, tasks, read_model, peers, migrating, history)
    hub = EventHub(context)
    pages = Pages(settings, context.frames)

    async def start(_: web.Application) -> None:
        await peers.start()
        if tasks.topics is not None:
            read_model.start(tasks.cluster, tasks.topics.partitions, hub.publish, hub.reset)
        hub.start()
        context.activity.start()

    async def end_streams(_: web.Application) -> None:
        await hub.stop()

    async def stop(_: web.Application) -> None:
        await context.activity.stop()
        await read_model.stop()
        await peers.stop()

    site.on_startup.append(start)
    site.on_shutdown.append(end_streams)
    site.on_cleanup.append(stop)
    site.on_response_prepare.append(add_headers)
    site.middlewares.append(Guard(settings, context.responses, pages.error, lambda: tasks.url).__call__)
    # The pages come first: Faust adds a route `/` of its own, which ours hides. aiohttp merges adjacent routes of the same
    # path into one resource and refuses a second GET there, so our `/` must not be the last route before Faust's.
    site.add_routes(pages.routes())
    site.add_routes(operations.routes(context, ENDPOINTS))
    site.add_routes([endpoint.route(context) for endpoint in ENDPOINTS])
    site.add_routes([web.get("/api/v1/events", hub.stream, allow_head=False), web.get("/udf/time", udf.server_time)])
    return context
