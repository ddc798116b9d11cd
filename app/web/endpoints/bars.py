"""`/api/v1/bars`: final bars of one symbol, and the newest of all symbols."""

from __future__ import annotations

from typing import Any

import msgspec

from app.readmodel.progress import State
from app.readmodel.queries import Queries
from app.web.context import WebContext
from app.web.cursors import decode_cursor, encode_cursor
from app.web.endpoint import EncodedJson
from app.web.models.base import encode
from app.web.params import MAX_TIMESTAMP, BarsParams, NewestBarsParams
from tables.bars import Bar, decode_bar

COLUMNS = ("bucket_start", "open", "high", "low", "close", "volume", "ticks", "revision", "partial")  # of `format=columns`


async def bars(web: WebContext, params: BarsParams) -> EncodedJson:
    """The newest final bars of a symbol within a time range, and its open windows."""
    until = min(params.until, decode_cursor(params.cursor, int)[0]) if params.cursor else params.until
    nothing: tuple[list[bytes], int | None] = [], None

    def select(queries: Queries) -> tuple[list[bytes], int | None]:
        symbol = queries.symbol(params.broker, params.symbol)
        if symbol is None:
            return nothing
        return queries.bars(symbol.id, params.since, until, params.limit + 1), symbol.oldest_kept

    # windows before bars: a window that closes in between appears twice rather than not at all
    with_windows = until == MAX_TIMESTAMP or params.cursor is None
    windows, away = await web.open_windows(params.broker, params.symbol) if with_windows else ([], [])
    values, oldest = await web.read_model.query(select, nothing)
    more, values = len(values) > params.limit, values[: params.limit]
    next_cursor = encode_cursor(decode_bar(values[-1]).bucket_start) if more else None
    values.reverse()
    page: dict[str, Any] = {
        "broker": params.broker,
        "symbol": params.symbol,
        "open": [window.model_dump() for window in windows if params.since <= window.bucket_start < until],
        "next_cursor": next_cursor,
        "oldest_kept": oldest,
        "complete": web.read_model.progress.state is State.live,
        "away": [one.model_dump() for one in away],
    }
    if params.format == "columns":
        rows = [_row(decode_bar(value)) for value in values]
        return EncodedJson(encode({**page, "bars": {"columns": COLUMNS, "rows": rows}}))
    return EncodedJson(encode({**page, "bars": [msgspec.Raw(value) for value in values]}))


def _row(bar: Bar) -> list[object]:
    return [getattr(bar, name) or False if name == "partial" else getattr(bar, name) for name in COLUMNS]


async def newest_bars(web: WebContext, params: NewestBarsParams) -> EncodedJson:
    """The most recently published bars of all symbols, newest first."""
    nothing: list[bytes] = []
    values = await web.read_model.query(
        lambda queries: queries.newest_bars(params.broker, params.symbol, params.limit), nothing
    )
    complete = web.read_model.progress.state is State.live
    return EncodedJson(encode({"bars": [msgspec.Raw(value) for value in values], "complete": complete}))
