"""The web port: accounting and state of this worker as JSON, and one small page of the same for people."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

import orjson
from aiohttp import web

if TYPE_CHECKING:
    from app.runtime import Runtime

COLUMNS = ("read", "binned", "late", "rejected", "heartbeats", "lost", "next_offset", "open_windows")
STYLE = (
    ":root{color-scheme:light dark}body{font:1rem/1.5 system-ui,sans-serif;margin:2rem auto;max-width:60rem;padding:0 1rem}"
    "div{overflow-x:auto}table{border-collapse:collapse}th,td{padding:.25rem .75rem;text-align:right;"
    "border-bottom:1px solid #8886}caption{text-align:left;padding:.5rem 0}"
)


def routes(runtime: Runtime) -> list[web.RouteDef]:
    """The routes, for aiohttp's router."""

    async def accounting(_: web.Request) -> web.Response:
        return _json(runtime.accounting())

    async def ready(_: web.Request) -> web.Response:
        found = runtime.readiness()
        return _json(found, status=200 if found["state"] == "running" else 503)

    async def healthy(_: web.Request) -> web.Response:
        return _json({"state": runtime.state})

    async def page(_: web.Request) -> web.Response:
        return web.Response(text=render(runtime), content_type="text/html", headers={"Cache-Control": "no-store"})

    return [
        web.get("/api/v1/accounting", accounting),
        web.get("/readyz", ready),
        web.get("/healthz", healthy),
        web.get("/", page),
    ]


def _json(body: Any, status: int = 200) -> web.Response:
    headers = {"Cache-Control": "no-store"}
    return web.Response(body=orjson.dumps(body), status=status, content_type="application/json", headers=headers)


def render(runtime: Runtime) -> str:
    """The page: one row a partition, one in all."""
    known = runtime.accounting()
    rows = {**known["partitions"], "all": known["total"]}
    head = "".join(f"<th scope=col>{escape(name.replace('_', ' '))}</th>" for name in ("partition", *COLUMNS))
    body = "".join(
        f"<tr><th scope=row>{escape(name)}</th>" + "".join(f"<td>{row.get(c, '')}</td>" for c in COLUMNS) + "</tr>"
        for name, row in rows.items()
    )
    settings = runtime.settings
    about = f"{settings.app_id}: {settings.size_text} bars of {settings.ticks_topic}, this worker is {known['state']}"
    return (
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>"
        f"<meta http-equiv=refresh content=2><title>barwheel</title><style>{STYLE}</style>"
        f"<main><h1>barwheel</h1><p>{escape(about)}</p><div><table><caption>read = binned + late + rejected + heartbeats"
        f"</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
        "<p>JSON: <a href=/api/v1/accounting>/api/v1/accounting</a></p></main></html>"
    )
