"""Bars and open windows as the API shows them. Times are epoch ms (UTC), prices exact JSON numbers."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

import msgspec
from pydantic import Field

from app.web.models.base import ApiModel, Away, Exact

PARTIAL = (
    "True if its window may lack ticks: reading began inside it, or records of the input were lost. "
    "Absent or false in a whole bar."
)


def placed(value: bytes, partition: int) -> msgspec.Raw:
    """The JSON of a bar as published, with its partition."""
    return msgspec.Raw(value.rstrip()[:-1] + b',"partition":%d}' % partition)


class FinalBar(ApiModel):
    """One closed window, as published to the finals topic, and the partition in which it was published."""

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
    closed_at: int = Field(description="Arrival time of the record that closed it; for `idle`, the time at which it was due.")
    watermark: int
    first_offset: int
    last_offset: int
    closed_at_offset: int
    revision: int = 0
    partial: bool = Field(default=False, description=PARTIAL)
    partition: int | None = None


class OpenWindow(ApiModel):
    """A window that still accepts ticks."""

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
    opened_at: int = Field(description="Arrival time of the tick that opened it.")
    stream_time: int | None
    watermark: int | None
    closes_at_stream_time: int = Field(description="The end of the window plus grace.")
    idle_due: int | None = Field(description="Arrival time at which the idle timer closes it; null if idle_close is off.")
    partial: bool = Field(default=False, description=PARTIAL)


class Windows(ApiModel):
    """A page of open windows."""

    windows: list[OpenWindow]
    next_cursor: str | None
    away: list[Away]


class BarColumns(ApiModel):
    """Bars as rows, with the field names given once."""

    columns: list[str]
    rows: list[list[Exact | bool | None]]


class Bars(ApiModel):
    """A page of a symbol's final bars in ascending order of time, and its open windows."""

    broker: str
    symbol: str
    bars: list[FinalBar] | BarColumns
    open: list[OpenWindow]
    partitions: list[int] = Field(
        description="The partitions that have bars of the symbol. Where there are several, producers do not place it alike, "
        "and two bars may have the same start."
    )
    next_cursor: str | None = Field(description="The cursor of the next page, which has older bars.")
    oldest_kept: int | None = Field(
        description="Start of the oldest bar of the symbol in the read model; null if no older bar was deleted from it."
    )
    none_kept: bool = Field(description="Whether it holds no bar of the symbol, and may have deleted some.")
    complete: bool = Field(description="Whether the read model has caught up with the finals topic.")
    away: list[Away]


class NewestBars(ApiModel):
    """The most recently published bars, newest first."""

    bars: list[FinalBar]
    complete: bool = Field(description="Whether the read model has caught up with the finals topic.")


class WhyStatus(StrEnum):
    """The state of a window."""

    final = "final"
    open = "open"
    closing = "closing"  # its bar is being published
    not_opened = "not_opened"  # it has no tick yet and can still open
    never_opened = "never_opened"  # it had no tick and can no longer open
    recovering = "recovering"
    no_owner = "no_owner"
    owner_away = "owner_away"
    unknown = "unknown"


class Why(ApiModel):
    """Why a bar is final, or why it is not final yet."""

    broker: str
    symbol: str
    bucket_start: int
    bucket_end: int
    status: WhyStatus
    sentence: str = Field(description="The explanation in words.")
    bar: FinalBar | None = None
    window: OpenWindow | None = None
    partition: int | None = None
    worker: str | None = Field(default=None, description="Web port of the worker that owns the partition.")
    stream_time: int | None = None
    watermark: int | None = None
    missing_ms: int | None = Field(
        default=None, description="Event time (ms) that stream time must still advance to close the window."
    )
    closes_by: Literal["data", "idle"] | None = Field(
        None, description="What can close it: `data` is a later tick only, `idle` also the idle timer."
    )
    closes_at: int | None = Field(default=None, description="Arrival time at which the idle timer closes it.")
    also_in: list[int] = Field(
        default=[], description="Other partitions that have a bar or an open window of the same window. There should be none."
    )
    late_ticks: int = Field(
        default=0, description="Late ticks of this window in the read model, which keeps the newest late ticks."
    )
    now: int
