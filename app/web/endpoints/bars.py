"""`/api/v1/bars`: final bars of one symbol, and the newest of all symbols."""

from __future__ import annotations

from typing import Any, NamedTuple

from app.readmodel.progress import State
from app.readmodel.queries import Queries, StoredBar
from app.web.bar_page import BarPage
from app.web.context import WebContext
from app.web.cursors import decode_cursor, encode_cursor
from app.web.endpoint import EncodedJson
from app.web.models.base import encode
from app.web.params import MAX_TIMESTAMP, BarsParams, NewestBarsParams
from tables.bars import decode_bar

COLUMNS = (  # of `format=columns`
    *("bucket_start", "open", "high", "low", "close", "volume", "ticks", "revision"),
    *("partial", "partition"),
)


class _Found(NamedTuple):
    """The result of a query: bars, newest first, the partitions of the symbol, and its oldest bar if older ones went.

    `none_kept`: there is no bar of the symbol, and some may have been deleted.
    """

    bars: list[StoredBar]
    partitions: list[int]
    oldest_kept: int | None
    none_kept: bool = False


async def bars(web: WebContext, params: BarsParams) -> EncodedJson | BarPage:
    """The newest final bars of a symbol within a time range, and its open windows."""
    until, before = params.until, 0
    if params.cursor:
        start, partition = decode_cursor(params.cursor, int, int)
        if start < until:
            until, before = start, partition

    def select(queries: Queries) -> _Found:
        places = queries.symbol(params.broker, params.symbol)
        found = queries.bars(places, params.since, until, params.limit + 1, before)
        oldest = [place.oldest_kept for place in places if place.oldest_kept is not None]
        none_kept = not places and queries.incomplete()
        return _Found(found, [place.partition for place in places], min(oldest, default=None), none_kept)

    # windows before bars: a window that closes in between appears twice rather than not at all
    with_windows = until == MAX_TIMESTAMP or params.cursor is None
    windows, away = await web.open_windows(params.broker, params.symbol) if with_windows else ([], [])
    found = await web.read_model.query(select, _Found([], [], None))
    more, page = len(found.bars) > params.limit, found.bars[: params.limit]
    next_cursor = encode_cursor(page[-1].start, page[-1].partition) if more else None
    page.reverse()
    answer: dict[str, Any] = {
        "broker": params.broker,
        "symbol": params.symbol,
        "open": [window.model_dump() for window in windows if params.since <= window.bucket_start < until],
        "partitions": found.partitions,
        "next_cursor": next_cursor,
        "oldest_kept": found.oldest_kept,
        "none_kept": found.none_kept,
        "complete": web.read_model.progress.state is State.live,
        "away": [one.model_dump() for one in away],
    }
    if params.format == "columns":
        return EncodedJson(encode({**answer, "bars": {"columns": COLUMNS, "rows": [_row(bar) for bar in page]}}))
    return BarPage(page, answer, params.scale)


def _row(stored: StoredBar) -> list[object]:
    bar = decode_bar(stored.value)
    return [*(getattr(bar, name) for name in COLUMNS[:-2]), bool(bar.partial), stored.partition]


async def newest_bars(web: WebContext, params: NewestBarsParams) -> BarPage:
    """The most recently published bars of all symbols, newest first."""
    nothing: list[StoredBar] = []
    found = await web.read_model.query(lambda queries: queries.newest_bars(params.broker, params.symbol, params.limit), nothing)
    complete = web.read_model.progress.state is State.live
    return BarPage(found, {"complete": complete}, params.scale)
