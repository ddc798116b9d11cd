"""The HTML pages. They are static shells; scripts fill them from the API."""

from __future__ import annotations

import gzip
import mimetypes
import re
from collections.abc import Awaitable, Callable
from functools import cache, lru_cache
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

from aiohttp import web
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from app.plain import visible
from app.settings import Settings
from app.web.endpoint import MIN_COMPRESSED_BYTES, checked
from app.web.frames import Chosen, Frames
from app.web.numbers import NUMBERS
from app.web.params import MAX_BARS, ChartParams, LiveParams

HERE = Path(__file__).parent
IMPORT = re.compile(r'^import .* from "\./([\w-]+\.js)";$', re.MULTILINE)
CHART_SCRIPT = "lightweight-charts.js"
# the Python package `litecharts` carries the script; nothing else of it is used
CHART_PACKAGE, CHART_FILE = "litecharts", "litecharts/js/lightweight-charts.js"
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

    def __init__(self, settings: Settings, frames: Frames) -> None:
        self._frames, self._size = frames, settings.window_size
        loader = FileSystemLoader(HERE / "templates")
        self._templates = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True)
        self._templates.filters["visible"] = visible
        self._shared = {
            "pages": PAGES,
            "app_id": settings.app_id,
            "size": settings.window_size,
            "size_text": settings.size_text,
            "grace": settings.grace,
            "rows": MAX_BARS,
            "grace_text": settings.text_of("grace"),
            "ticks": settings.input_topic,
            "finals": settings.finals_topic,
        }

    def routes(self) -> list[web.RouteDef]:
        """The routes for aiohttp's router."""
        plain = {"/": "overview", "/wheel": "wheel", "/migrations": "migrations"}
        return [
            *(web.get(path, self._plain(path, name)) for path, name in plain.items()),
            web.get("/numbers", self._numbers),
            web.get("/symbols", self._symbols),
            web.get("/live", self._live),
            web.get("/chart/{broker}/{symbol}", self._chart),
            web.get("/side/{kind:late|rejected}", self._side),
            web.get("/static/{name}", static),
        ]

    def render(self, template: str, path: str, title: str, *, script: str = "", **values: Any) -> str:
        """The HTML of a page. `path` is the entry of the navigation that is marked; values are escaped."""
        page = {"path": path, "title": title, "script": script, "modules": _imported(script) if script else ()}
        return self._templates.get_template(template).render(self._shared | page | values)

    def error(self, request: web.Request, status: int, title: str, detail: str) -> str:
        """The HTML of an error."""
        return self.render("error.html", request.path, title, status=status, reason=title, detail=detail)

    def _plain(self, path: str, name: str) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def handle(_: web.Request) -> web.Response:
            return _html(self.render(f"{name}.html", path, name.capitalize(), script=f"{name}.js"))

        return handle

    async def _numbers(self, _: web.Request) -> web.Response:
        return _html(self.render("numbers.html", "/numbers", "Numbers", script="numbers.js", numbers=NUMBERS))

    async def _symbols(self, request: web.Request) -> web.Response:
        return _html(self.render("symbols.html", "/symbols", "Symbols", script="symbols.js", q=request.query.get("q", "")))

    async def _live(self, request: web.Request) -> web.Response:
        filters = {name: request.query.get(name, "") for name in ("broker", "symbol")}
        checked(LiveParams, {name: value for name, value in filters.items() if value})
        return _html(self.render("live.html", "/live", "Live", script="live.js", **filters))

    async def _chart(self, request: web.Request) -> web.Response:
        names = checked(ChartParams, request.match_info)
        title = f"{visible(names.symbol)} of {visible(names.broker)}"
        chosen = self._frames.choose(request.query.get("frame"))
        offered = self._frames.offered()
        frames = [self._button(one, chosen) for one in (offered if chosen in offered else [*offered, chosen])]
        values = {
            "broker": names.broker,
            "symbol": names.symbol,
            "frames": frames,
            "frame": chosen.text,
        }
        return _html(self.render("chart.html", "/symbols", title, script="chart.js", **values))

    def _button(self, one: Chosen, chosen: Chosen) -> dict[str, object]:
        """What the script of the chart knows of a frame. The size is 0 where the calendar decides."""
        size = self._size if one.frame is None else one.frame.size
        return {"name": one.text, "size": size, "kept": _text(one.kept), "pressed": _text(one == chosen)}

    async def _side(self, request: web.Request) -> web.Response:
        kind = request.match_info["kind"]
        return _html(self.render("side.html", "/side/late", f"{kind.capitalize()} records", script="side.js", kind=kind))


@cache
def _imported(script: str) -> tuple[str, ...]:
    """The modules that a page's script imports, and those that they import: the browser asks for all of them at once."""
    found = [script]
    for name in found:  # it grows
        text = (HERE / "static" / name).read_text(encoding="utf-8")
        found += [one for one in dict.fromkeys(IMPORT.findall(text)) if one not in found]
    return tuple(found[1:])


def _text(value: bool) -> str:  # noqa: FBT001  # its one argument
    return "true" if value else "false"


def chart_library() -> Path:
    """The path of the chart library's script."""
    return Path(str(distribution(CHART_PACKAGE).locate_file(CHART_FILE)))


async def static(request: web.Request) -> web.StreamResponse:
    """A static file, or 304 if the client has it already; 404 for any other name."""
    name = request.match_info["name"]
    path = chart_library() if name == CHART_SCRIPT else HERE / "static" / name
    if path.parent not in (HERE / "static", chart_library().parent) or not path.is_file():
        raise web.HTTPNotFound
    stat = path.stat()
    tag = f'"{stat.st_mtime_ns:x}-{stat.st_size:x}"'
    headers = {"ETag": tag, "Cache-Control": "no-cache", "Vary": "Accept-Encoding"}
    if tag in request.headers.get("If-None-Match", ""):
        return web.Response(status=304, headers=headers)
    kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
    if stat.st_size < MIN_COMPRESSED_BYTES or "gzip" not in request.headers.get("Accept-Encoding", ""):
        return web.Response(body=path.read_bytes(), content_type=kind, headers=headers)
    packed = _compressed(path, stat.st_mtime_ns)
    return web.Response(body=packed, content_type=kind, headers=headers | {"Content-Encoding": "gzip"})


@lru_cache(maxsize=128)
def _compressed(path: Path, _: int) -> bytes:
    """A file as it was written at a time: compressed once, not for each client, in the loop that reads ticks as well."""
    return gzip.compress(path.read_bytes(), mtime=0)


def _html(text: str) -> web.Response:
    response = web.Response(text=text, content_type="text/html", headers={"Cache-Control": "no-store"})
    response.enable_compression()
    return response
