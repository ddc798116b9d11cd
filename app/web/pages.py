"""The pages: rendered here as far as they do not change, filled by small scripts from the API."""

from __future__ import annotations

import mimetypes
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

from aiohttp import web
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from app.settings import Settings
from app.web.endpoint import COMPRESS_FROM

HERE = Path(__file__).parent
CHART = "lightweight-charts.js"  # carried by a wheel, of which nothing else is used
CHART_WHEEL, CHART_FILE = "litecharts", "litecharts/js/lightweight-charts.js"
PAGES = (
    ("/", "Overview"),
    ("/symbols", "Symbols"),
    ("/live", "Live"),
    ("/wheel", "Wheel"),
    ("/side/late", "Late, rejected"),
    ("/migrations", "Migrations"),
)


class Pages:
    """The pages of one worker."""

    def __init__(self, settings: Settings) -> None:
        loader = FileSystemLoader(HERE / "templates")
        self._templates = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True)
        self._always = {
            "pages": PAGES,
            "app_id": settings.app_id,
            "size": settings.window_size,
            "size_text": settings.size_text,
            "grace": settings.grace,
            "grace_text": settings.text_of("grace"),
            "ticks": settings.ticks_topic,
            "finals": settings.finals_topic,
        }

    def routes(self) -> list[web.RouteDef]:
        """For aiohttp's router."""
        plain = {"/": "overview", "/wheel": "wheel", "/migrations": "migrations"}
        return [
            *(web.get(path, self._plain(path, name)) for path, name in plain.items()),
            web.get("/symbols", self._symbols),
            web.get("/live", self._live),
            web.get("/chart/{broker}/{symbol}", self._chart),
            web.get("/side/{kind:late|rejected}", self._side),
            web.get("/static/{name}", static),
        ]

    def render(self, name: str, here: str, title: str, *, script: str = "", **more: Any) -> str:
        """A page's HTML; what is put into it is escaped."""
        return self._templates.get_template(name).render(self._always | {"here": here, "title": title, "script": script} | more)

    def error(self, request: web.Request, status: int, title: str, detail: str) -> str:
        """A page that says what went wrong."""
        return self.render("error.html", request.path, title, status=status, reason=title, detail=detail)

    def _plain(self, path: str, name: str) -> Any:
        async def handle(_: web.Request) -> web.Response:
            return _page(self.render(f"{name}.html", path, name.capitalize(), script=f"{name}.js"))

        return handle

    async def _symbols(self, request: web.Request) -> web.Response:
        return _page(self.render("symbols.html", "/symbols", "Symbols", script="symbols.js", q=request.query.get("q", "")))

    async def _live(self, request: web.Request) -> web.Response:
        asked = {name: request.query.get(name, "") for name in ("broker", "symbol")}
        return _page(self.render("live.html", "/live", "Live", script="live.js", **asked))

    async def _chart(self, request: web.Request) -> web.Response:
        broker, symbol = request.match_info["broker"], request.match_info["symbol"]
        at = request.query.get("at", "")
        title = f"{symbol} of {broker}"
        given = {"broker": broker, "symbol": symbol, "at": at if at.isdecimal() else ""}
        return _page(self.render("chart.html", "/symbols", title, script="chart.js", **given))

    async def _side(self, request: web.Request) -> web.Response:
        kind = request.match_info["kind"]
        return _page(self.render("side.html", "/side/late", f"{kind.capitalize()} records", script="side.js", kind=kind))


def chart_library() -> Path:
    """Where the wheel has the chart library."""
    return Path(str(distribution(CHART_WHEEL).locate_file(CHART_FILE)))


async def static(request: web.Request) -> web.StreamResponse:
    """A file of ours, or the chart library; asked for again, it is not sent again."""
    name = request.match_info["name"]
    path = chart_library() if name == CHART else HERE / "static" / name
    if path.parent not in (HERE / "static", chart_library().parent) or not path.is_file():
        raise web.HTTPNotFound
    found = path.stat()
    tag = f'"{found.st_mtime_ns:x}-{found.st_size:x}"'
    kept = {"ETag": tag, "Cache-Control": "no-cache", "Vary": "Accept-Encoding"}
    if tag in request.headers.get("If-None-Match", ""):
        return web.Response(status=304, headers=kept)
    kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
    response = web.Response(body=path.read_bytes(), content_type=kind, headers=kept)
    if found.st_size >= COMPRESS_FROM:
        response.enable_compression()
    return response


def _page(text: str) -> web.Response:
    response = web.Response(text=text, content_type="text/html", headers={"Cache-Control": "no-store"})
    response.enable_compression()
    return response
