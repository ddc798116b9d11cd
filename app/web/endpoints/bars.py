"""`/api/v1/bars`: bars of one symbol in any frame, and the newest of all symbols."""

from __future__ import annotations

from typing import Any, NamedTuple

from app.readmodel.progress import State
from app.readmodel.queries import NewestPage, Queries, StoredBar, StoredSymbol
from app.web.bar_page import BarPage
from app.web.context import WebContext
from app.web.cursors import decode_cursor, encode_cursor
from app.web.endpoint import EncodedJson
from app.web.errors import InvalidParametersError
from app.web.folding import FoldedPage, Known, Wanted, folded_page
from app.web.frames import Chosen
from app.web.models.bars import FoldedBar, OpenWindow
from app.web.models.base import Away, encode
from app.web.params import MAX_TIMESTAMP, BarsParams, NewestBarsParams
from tables.bars import decode_bar
from tables.scopes import NEVER, UNKNOWN
from tables.views import stream_time_of

COLUMNS = (  # of `format=columns`
    *("bucket_start", "open", "high", "low", "close", "volume", "ticks", "revision"),
    *("bucket_end", "vwap", "partial", "partition"),
)
MAX_VERSIONS = 20_000  # of bars in one answer


class _Found(NamedTuple):
    """The result of a query: bars, newest first, the partitions of the symbol, and its oldest bar.

    `oldest_kept`: the same, if older ones went. `none_kept`: there is no bar of the symbol, and some may have been deleted.
    """

    bars: list[StoredBar]
    partitions: list[int]
    oldest: int | None
    oldest_kept: int | None
    none_kept: bool = False
    next: tuple[int, int] | None = None  # start and partition of the last bar of the page, if there are older ones
    folded: FoldedPage | None = None


async def bars(web: WebContext, params: BarsParams) -> EncodedJson | BarPage:
    """The newest bars of a symbol within a time range, in any frame, and its open windows."""
    chosen = web.frames.choose(params.frame)
    if params.revisions == "all" and not chosen.kept:
        raise InvalidParametersError(
            ("revisions", "all", f"{chosen.text} is not kept: its bars are folded from the newest versions of shorter ones")
        )
    until, before = params.until, 0
    if params.cursor:
        start, partition = decode_cursor(params.cursor, int, int)
        if start < until:
            until, before = start, partition
    # windows before bars: a window that closes in between appears twice rather than not at all
    with_windows = until == MAX_TIMESTAMP or params.cursor is None or not chosen.kept
    windows, away = await _open_windows(web, params, chosen) if with_windows else ([], [])
    known = {} if chosen.kept else known_of(web, params.broker, params.symbol, chosen)

    def select(queries: Queries) -> _Found:
        name = chosen.name if chosen.kept else chosen.source
        places = queries.symbol(params.broker, params.symbol, name)
        oldest = min((place.oldest for place in places if place.oldest is not None), default=None)
        kept = min((place.oldest_kept for place in places if place.oldest_kept is not None), default=None)
        shown = [place.partition for place in places], oldest, kept, queries.none_kept(places, name)
        if chosen.kept:
            found = queries.bars(places, params.since, until, params.limit + 1, before)
            page = found[: params.limit]
            more = (page[-1].start, page[-1].partition) if len(found) > params.limit else None
            if params.revisions == "all":
                page, more = _with_versions(queries, places, page, more)
            return _Found(page, *shown, more)
        wanted = Wanted(
            *(chosen.name, lambda time: web.frames.span(chosen, time), params.since, until, params.limit, before),
            *(windows, known, web.settings.bar_scale),
        )
        folded = folded_page(queries, places, (params.broker, params.symbol), wanted)
        return _Found([], *shown, folded.next, folded)

    found = await web.read_model.query(select, _Found([], [], None, None))
    answer: dict[str, Any] = {
        "broker": params.broker,
        "symbol": params.symbol,
        "frame": chosen.text,
        "kept": chosen.kept,
        "open": _shown_open(found, windows, params.since, until) if chosen.kept or params.cursor is None else [],
        "partitions": found.partitions,
        "next_cursor": None if found.next is None else encode_cursor(*found.next),
        "oldest": found.oldest,
        "oldest_kept": found.oldest_kept,
        "none_kept": found.none_kept,
        "complete": web.read_model.progress.state is State.live,
        "away": [one.model_dump() for one in away],
    }
    folded = None if found.folded is None else found.folded.bars
    if params.format == "columns":
        rows = [_folded_row(bar) for bar in folded or ()] or [_row(bar) for bar in found.bars[::-1]]
        return EncodedJson(encode({**answer, "bars": {"columns": COLUMNS, "rows": rows}}))
    return BarPage(found.bars[::-1], answer, params.scale, chosen.name, folded)


async def _open_windows(web: WebContext, params: BarsParams, chosen: Chosen) -> tuple[list[OpenWindow], list[Away]]:
    return await web.open_windows(params.broker, params.symbol, frame=chosen.name if chosen.kept else chosen.source)


def _shown_open(found: _Found, windows: list[OpenWindow], since: int, until: int) -> list[dict[str, Any]]:
    if found.folded is not None:
        return [bar.model_dump() for bar in found.folded.open]
    return [window.model_dump() for window in windows if since <= window.bucket_start < until]


def known_of(web: WebContext, broker: str, symbol: str, chosen: Chosen) -> dict[int, Known]:
    """What the engines of this worker know. A watermark counts only if all bars that it has closed are in the read model.

    Longer bars are published with the checkpoint, so of these it is not known.
    """
    found: dict[int, Known] = {}
    positions = web.read_model.progress.positions
    for number, task in web.running_tasks.items():
        cut = task.engine.cut
        time = stream_time_of(task.engine, broker, symbol)
        behind = task.has_bars_beyond(positions.get((web.settings.finals_topic, number), 0))
        watermark = None if time is None or behind or chosen.source else time - web.settings.grace
        found[number] = Known(watermark, None if cut in (UNKNOWN, NEVER) else cut)
    return found


def _with_versions(
    queries: Queries, places: list[StoredSymbol], page: list[StoredBar], more: tuple[int, int] | None
) -> tuple[list[StoredBar], tuple[int, int] | None]:
    """The bars with all their versions, the newest bar and version first, and where to go on if these are too many."""
    by_partition = {place.partition: place for place in places}
    found: list[StoredBar] = []
    for number, bar in enumerate(page):
        versions = [bar]
        if bar.revision:
            versions = queries.versions(by_partition[bar.partition], bar.start, MAX_VERSIONS)
        if number and len(found) + len(versions) > MAX_VERSIONS:
            last = page[number - 1]
            return found, (last.start, last.partition)
        found += versions
    return found, more


def _row(stored: StoredBar) -> list[object]:
    bar = decode_bar(stored.value)
    return [*(getattr(bar, name) for name in COLUMNS[:-2]), bool(bar.partial), stored.partition]


def _folded_row(bar: FoldedBar) -> list[object]:
    return [getattr(bar, name) for name in COLUMNS]


async def newest_bars(web: WebContext, params: NewestBarsParams) -> BarPage:
    """The bars of all symbols that were published or revised last, newest first."""
    chosen = web.frames.choose(params.frame)
    if not chosen.kept:
        raise InvalidParametersError(
            ("frame", params.frame or "", "is not kept: only the bars of one symbol are folded, at /api/v1/bars/BROKER/SYMBOL")
        )
    (before,) = decode_cursor(params.cursor, int) if params.cursor else (0,)
    nothing = NewestPage([], None)
    page = await web.read_model.query(
        lambda queries: queries.newest_bars(params.broker, params.symbol, params.limit, chosen.name, before), nothing
    )
    answer = {
        "next_cursor": None if page.next is None else encode_cursor(page.next),
        "complete": web.read_model.progress.state is State.live,
    }
    return BarPage(page.bars, answer, params.scale, chosen.name)
