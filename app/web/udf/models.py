"""The responses of UDF. Times are epoch seconds (UTC); prices are exact JSON numbers."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, RootModel

from app.web.models.base import ApiModel, Exact


class Exchange(ApiModel):
    """A broker, as a filter of the search; the empty value selects all."""

    value: str
    name: str
    desc: str


class SymbolType(ApiModel):
    """A kind of symbols, as a filter of the search; barwheel knows none."""

    name: str
    value: str


class Config(ApiModel):
    """What this data feed can do."""

    supported_resolutions: list[str]
    exchanges: list[Exchange]
    symbols_types: list[SymbolType]
    supports_search: bool = True
    supports_group_request: bool = False
    supports_marks: bool = False
    supports_timescale_marks: bool = False
    supports_time: bool = True


class UdfError(ApiModel):
    """Why there is no other answer."""

    s: Literal["error"] = "error"
    errmsg: str


class SymbolInfo(ApiModel):
    """One symbol, with the names of the charting library."""

    name: str
    ticker: str = Field(description="The name by which the other requests ask for it.")
    full_name: str
    description: str
    exchange: str
    listed_exchange: str
    type: str
    session: str
    timezone: str
    format: str
    minmov: int
    pricescale: int = Field(description="10 to the power of the decimals of its newest prices.")
    volume_precision: int
    visible_plots_set: Literal["ohlcv", "ohlc"]
    supported_resolutions: list[str]
    has_seconds: bool
    seconds_multipliers: list[str]
    has_intraday: bool
    intraday_multipliers: list[str]
    has_daily: bool
    has_weekly_and_monthly: bool
    has_empty_bars: bool
    data_status: str


class SymbolAnswer(RootModel[SymbolInfo | UdfError]):
    """A symbol, or why there is none."""


class FoundSymbol(ApiModel):
    """A result of the search."""

    symbol: str
    full_name: str
    description: str
    exchange: str
    ticker: str
    type: str


class FoundSymbols(RootModel[list[FoundSymbol]]):
    """The results of the search."""


class History(ApiModel):
    """Final bars, oldest first, as columns. `v` is absent unless every bar has a volume."""

    s: Literal["ok"]
    t: list[int]
    o: list[Exact]
    h: list[Exact]
    l: list[Exact]  # noqa: E741  # UDF's name
    c: list[Exact]
    v: list[Exact] | None = None


class NoHistory(ApiModel):
    """No bar in the range. `nextTime`: start of the newest bar before it; absent if there is none."""

    s: Literal["no_data"]
    nextTime: int | None = None  # noqa: N815  # UDF's name


class HistoryAnswer(RootModel[History | NoHistory | UdfError]):
    """Bars, none, or why there are none."""
