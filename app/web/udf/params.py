"""The query parameters of UDF. Clients add parameters of their own, which are ignored."""

from __future__ import annotations

from typing import Annotated

from pydantic import ConfigDict, Field

from app.web.params import MAX_TIMESTAMP, Params

MAX_SECONDS = MAX_TIMESTAMP // 1_000

SymbolName = Annotated[
    str,
    Field(
        min_length=1,
        max_length=1_025,  # a record key and a separator
        pattern=r"^[^\x00-\x1f\x7f-\x9f]+$",
        description="`BROKER:SYMBOL`, the `ticker` of a symbol.",
        examples=["fxcm:EURUSD"],
    ),
]
Seconds = Annotated[int, Field(ge=-MAX_SECONDS, le=MAX_SECONDS)]  # the library asks for times before 1970 as well


class UdfParams(Params):
    """The base class, and the parameters of a request that has none."""

    model_config = ConfigDict(extra="ignore")


class UdfSymbolParams(UdfParams):
    """Selects one symbol."""

    symbol: SymbolName


class UdfSearchParams(UdfParams):
    """Selects symbols by prefix."""

    query: Annotated[
        str, Field(max_length=1_025, description="Prefix of the symbol, or of `BROKER:SYMBOL`; case is ignored.")
    ] = ""
    exchange: Annotated[str, Field(max_length=1_024, description="A broker; empty: all.")] = ""
    type: Annotated[str, Field(max_length=100, description="Ignored.")] = ""
    limit: Annotated[int, Field(ge=1, le=500)] = 30


class UdfHistoryParams(UdfParams):
    """Selects bars of one symbol."""

    symbol: SymbolName
    resolution: Annotated[str, Field(min_length=1, max_length=20, examples=["1"])]
    since: Annotated[Seconds, Field(alias="from", description="Start of the oldest bar (epoch s).")] = 0
    until: Annotated[Seconds, Field(alias="to", description="Only bars that start before this (epoch s).")] = MAX_SECONDS
    countback: Annotated[
        int | None,
        Field(ge=1, le=1_000_000, description="The newest so many bars before `to`; `from` is ignored then."),
    ] = None
