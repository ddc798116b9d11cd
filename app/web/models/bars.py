"""What the API answers about symbols, as types. Times are epoch ms, prices exact JSON numbers."""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

Exact = Annotated[Decimal, WithJsonSchema({"type": "number"})]


class Answer(BaseModel):
    """The base: what is not named is not answered."""

    model_config = ConfigDict(extra="forbid")


class ParameterError(Answer):
    """One parameter that cannot be used."""

    name: str
    value: str
    message: str


class Problem(Answer):
    """What went wrong, as RFC 9457 has it."""

    type: str = Field(default="about:blank", description="Always about:blank: the status says it.")
    title: str
    status: int
    detail: str
    errors: list[ParameterError] = []


class Away(Answer):
    """Partitions that could not be asked, and why: the answer is without them."""

    partitions: list[int]
    url: str | None = Field(description="The web port of the worker that owns them, where it is known.")
    reason: str


class FinalBar(Answer):
    """One closed window, as it lies in the topic of finals."""

    broker: str
    symbol: str
    bucket_start: int
    bucket_end: int
    open: Exact
    high: Exact
    low: Exact
    close: Exact
    volume: Exact | None
    vwap: Exact | None
    ticks: int
    first_ts: int
    last_ts: int
    close_reason: str = Field(description="`watermark` or `idle`.")
    closed_at: int = Field(description="Arrival of the record that closed it; the due time for `idle`.")
    watermark: int
    first_offset: int
    last_offset: int
    closed_at_offset: int
    revision: int = 0


class OpenWindow(Answer):
    """A window that still takes ticks."""

    broker: str
    symbol: str
    partition: int
    bucket_start: int
    bucket_end: int
    open: Exact
    high: Exact
    low: Exact
    close: Exact
    volume: Exact | None
    vwap: Exact | None
    ticks: int
    first_ts: int
    last_ts: int
    first_offset: int
    last_offset: int
    opened_at: int = Field(description="Arrival of the tick that opened it.")
    stream_time: int | None
    watermark: int | None
    closes_at_stream_time: int = Field(description="The end of the window plus grace.")
    idle_due: int | None = Field(description="Arrival time at which silence closes it; null where idle_close is off.")


class WhyStatus(StrEnum):
    """Where a window is."""

    final = "final"
    open = "open"
    closing = "closing"
    not_opened = "not_opened"  # and may still open
    never_opened = "never_opened"  # and cannot any more
    recovering = "recovering"
    no_owner = "no_owner"
    owner_away = "owner_away"
    unknown = "unknown"


class Why(Answer):
    """Why a bar is final, or is not yet."""

    broker: str
    symbol: str
    bucket_start: int
    bucket_end: int
    status: WhyStatus
    sentence: str = Field(description="For people.")
    bar: FinalBar | None = None
    window: OpenWindow | None = None
    partition: int | None = None
    worker: str | None = Field(default=None, description="Web port of the worker that owns the partition.")
    stream_time: int | None = None
    watermark: int | None = None
    missing_ms: int | None = Field(default=None, description="How far stream time is from closing the window.")
    closes_by: Literal["data", "idle"] | None = Field(
        None, description="What closes it if no tick of its scope comes any more."
    )
    closes_at: int | None = Field(default=None, description="When silence closes it, in arrival time.")
    late_ticks: int = Field(default=0, description="Late ticks of this window among the recent ones that are kept.")
    now: int


class SymbolRow(Answer):
    """One (broker, symbol)."""

    broker: str
    symbol: str
    partition: int
    last_start: int | None = Field(description="Of its newest final bar.")
    open: bool | None = Field(description="Whether a window of it is open; null where its owner could not be asked.")


class Symbols(Answer):
    """A page of symbols."""

    symbols: list[SymbolRow]
    next_cursor: str | None
    away: list[Away] = []


class Windows(Answer):
    """A page of open windows."""

    windows: list[OpenWindow]
    next_cursor: str | None
    away: list[Away]


class BarColumns(Answer):
    """Bars without repeating their names."""

    columns: list[str]
    rows: list[list[Exact | None]]


class Bars(Answer):
    """Bars of a symbol: the newest that were asked for, in ascending time."""

    broker: str
    symbol: str
    bars: list[FinalBar] | BarColumns
    open: list[OpenWindow]
    next_cursor: str | None = Field(description="Leads to older bars.")
    oldest_kept: int | None = Field(description="Start of the oldest bar that is kept here, where older ones have been let go.")
    complete: bool = Field(description="Whether all final bars have been read from their topic.")
    away: list[Away]


class NewestBars(Answer):
    """The bars that became final last, newest first."""

    bars: list[FinalBar]
    complete: bool = Field(description="Whether all final bars have been read from their topic.")


class SideRecord(Answer):
    """A late or rejected record."""

    id: int
    partition: int
    offset: int
    arrival: int | None
    broker: str | None
    symbol: str | None
    ts: int | None
    bucket_start: int | None
    reason: str
    detail: str
    value: str
    truncated: bool


class SideRecords(Answer):
    """The newest late or rejected records."""

    records: list[SideRecord]
    next_cursor: str | None
    reasons: dict[str, int] = Field(description="How many of those that are kept have each reason.")
