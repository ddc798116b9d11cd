"""The requests of UDF, answered from the read model. Final bars only: what a client has read, only a revision changes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from decimal import Decimal
from itertools import groupby
from typing import Any
from zoneinfo import ZoneInfo

from aiohttp import web as http

from app.kafka.clock import now_ms
from app.readmodel.queries import Queries, StoredBar
from app.settings import Settings
from app.web.context import WebContext, must_be_complete
from app.web.endpoint import EncodedJson, Endpoint
from app.web.errors import IncompleteError
from app.web.models.base import encode
from app.web.params import MAX_BARS
from app.web.udf.models import (
    Config,
    Exchange,
    FoundSymbol,
    FoundSymbols,
    HistoryAnswer,
    SymbolAnswer,
    SymbolInfo,
    SymbolType,
    UdfError,
)
from app.web.udf.names import UnknownSymbolError, find, prefix_of, ticker
from app.web.udf.params import UdfHistoryParams, UdfParams, UdfSearchParams, UdfSymbolParams
from app.web.udf.resolutions import canonical, is_daily, resolutions, served, trading_day
from tables.bars import decode_bar

MOST_BROKERS = 100  # in the filter of the search
PRICED_BARS = 200  # newest bars whose decimals are looked at
MOST_DECIMALS = 16  # as many as a JavaScript number has digits
ANY_TIME = 1 << 60
LONGEST_SHIFT_S = 2 * 86_400  # from the start of a day to the time that UDF gives it
REBUILT = "the local copy of the bars is damaged, and is made anew: try again"

NamedBars = tuple[str, str, list[StoredBar]]  # a symbol's broker and name, and bars of it


async def config(web: WebContext, _: UdfParams) -> Config:
    """What this data feed can do."""
    none: list[str] = []
    brokers = await web.read_model.query(lambda queries: queries.brokers(MOST_BROKERS), none)
    return Config(
        supported_resolutions=list(resolutions(web.settings)),
        exchanges=[
            Exchange(value="", name="All brokers", desc=""),
            *(Exchange(value=broker, name=broker, desc=broker) for broker in brokers),
        ],
        symbols_types=[SymbolType(name="All types", value="")],
    )


async def search(web: WebContext, params: UdfSearchParams) -> FoundSymbols:
    """Symbols with bars, by prefix."""
    prefix, broker = prefix_of(params.query), params.exchange or None
    if broker is not None:
        prefix = prefix.rpartition("|")[2]  # the filter says the broker already

    def select(queries: Queries) -> list[tuple[str, str]]:
        rows = queries.symbols(prefix, broker, "", params.limit)
        return list(dict.fromkeys((row.broker, row.symbol) for row in rows))  # one symbol may live in two partitions

    nothing: list[tuple[str, str]] = []
    found = await web.read_model.query(select, nothing)
    return FoundSymbols(
        [
            FoundSymbol(
                symbol=symbol,
                full_name=f"{broker}:{symbol}",
                description=f"{symbol} of {broker}",
                exchange=broker,
                ticker=ticker(broker, symbol),
                type="",
            )
            for broker, symbol in found
        ]
    )


async def symbols(web: WebContext, params: UdfSymbolParams) -> SymbolAnswer:
    """One symbol: its name, the decimals of its prices, and the resolutions of its bars."""
    must_be_complete(web)

    def select(queries: Queries) -> NamedBars | None:
        broker, symbol = find(queries, params.symbol)
        return broker, symbol, queries.bars(queries.symbol(broker, symbol), 0, ANY_TIME, PRICED_BARS)

    try:
        found = await web.read_model.query(select, None)
    except UnknownSymbolError as error:
        return SymbolAnswer(UdfError(errmsg=str(error)))
    if found is None:
        raise IncompleteError(REBUILT)
    broker, symbol, stored = found
    bars = [decode_bar(one.value) for one in stored]
    volumes = [bar.volume for bar in bars if bar.volume is not None]
    kinds = served(resolutions(web.settings))
    return SymbolAnswer(
        SymbolInfo(
            name=symbol,
            ticker=ticker(broker, symbol),
            full_name=f"{broker}:{symbol}",
            description=f"{symbol} of {broker}",
            exchange=broker,
            listed_exchange=broker,
            type="",
            session="24x7",
            timezone="Etc/UTC",
            format="price",
            minmov=1,
            pricescale=10 ** decimals(price for bar in bars for price in (bar.open, bar.high, bar.low, bar.close)),
            volume_precision=decimals(volumes),
            visible_plots_set="ohlcv" if volumes else "ohlc",
            supported_resolutions=list(kinds.all),
            has_seconds=bool(kinds.seconds),
            seconds_multipliers=list(kinds.seconds),
            has_intraday=bool(kinds.seconds or kinds.minutes),
            intraday_multipliers=list(kinds.minutes),
            has_daily=kinds.daily,
            has_weekly_and_monthly=kinds.weekly_and_monthly,
            has_empty_bars=False,
            data_status="streaming",
        )
    )


async def history(web: WebContext, params: UdfHistoryParams) -> EncodedJson:
    """Final bars of a symbol, oldest first: the newest ones of the range, if it has more than one answer takes."""
    must_be_complete(web)
    known, resolution = resolutions(web.settings), canonical(params.resolution)
    if resolution not in known:
        listed = ", ".join(known) or "none, since UDF counts whole seconds"
        return _error(f"there are no bars of resolution {params.resolution}; there are those of {listed}")
    time_of = _times(web.settings, resolution)
    since, until = 0 if params.countback is not None else params.since, params.until
    limit = MAX_BARS if params.countback is None else min(params.countback, MAX_BARS)

    def select(queries: Queries) -> tuple[list[StoredBar], int | None] | None:
        places = queries.symbol(*find(queries, params.symbol), known[resolution])
        margin = LONGEST_SHIFT_S if is_daily(resolution) else 0
        first, end = max(0, since - margin) * 1_000, max(0, until + margin) * 1_000
        more = limit + (2 if margin else 0)
        bars = one_each(queries.bars(places, first, end, more * max(1, len(places))))
        bars = [bar for bar in bars if since <= time_of(bar.start) < until][:limit]
        older = [] if bars else queries.bars(places, 0, max(0, since + margin) * 1_000, len(places) + 2)
        return bars, next((time_of(bar.start) for bar in older if time_of(bar.start) < since), None)

    try:
        selected = await web.read_model.query(select, None)
    except UnknownSymbolError as error:
        return _error(str(error))
    if selected is None:
        raise IncompleteError(REBUILT)
    found, before = selected
    if not found:
        gap: dict[str, Any] = {} if before is None else {"nextTime": before}
        return EncodedJson(encode({"s": "no_data", **gap}))
    bars = [decode_bar(stored.value) for stored in reversed(found)]
    columns: dict[str, Any] = {"t": [time_of(bar.bucket_start) for bar in bars]}
    columns |= {name[0]: [getattr(bar, name) for bar in bars] for name in ("open", "high", "low", "close")}
    if all(bar.volume is not None for bar in bars):
        columns["v"] = [bar.volume for bar in bars]
    return EncodedJson(encode({"s": "ok", **columns}))


async def server_time(_: http.Request) -> http.Response:
    """The time of this worker (epoch s), as text."""
    return http.Response(text=str(now_ms() // 1_000), headers={"Cache-Control": "no-store"})


ENDPOINTS = [
    Endpoint("/udf/config", config, Config, "udf", UdfParams),
    Endpoint("/udf/symbols", symbols, SymbolAnswer, "udf", UdfSymbolParams),
    Endpoint("/udf/search", search, FoundSymbols, "udf", UdfSearchParams),
    Endpoint("/udf/history", history, HistoryAnswer, "udf", UdfHistoryParams),
]


def _times(settings: Settings, resolution: str) -> Callable[[int], int]:
    """A function that gives the time (epoch s) of a bar by its start (epoch ms)."""
    if not is_daily(resolution):
        return lambda start: start // 1_000
    zone = ZoneInfo(settings.day_zone if resolutions(settings)[resolution] else "UTC")
    return lambda start: trading_day(start, zone)


def _error(text: str) -> EncodedJson:
    return EncodedJson(encode({"s": "error", "errmsg": text}))


def one_each(bars: Iterable[StoredBar]) -> list[StoredBar]:
    """Of the bars with one start, which two partitions published, that of the lower partition. `bars`: newest first."""
    return [list(same)[-1] for _, same in groupby(bars, key=lambda bar: bar.start)]


def decimals(values: Iterable[Decimal]) -> int:
    """The most decimals that one of the values has."""
    found = 0
    for value in values:
        exponent = value.as_tuple().exponent
        found = max(found, -exponent if isinstance(exponent, int) else 0)
    return min(found, MOST_DECIMALS)
