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


FRAME = "Of a longer bar or window, such as `1h`; absent or null where it has the window size."


def placed(value: bytes, partition: int, frame: str = "") -> msgspec.Raw:
    """The JSON of a bar as published, with its partition, and with its frame if it is a longer one."""
    more = b',"frame":"%b"' % frame.encode() if frame else b""
    return msgspec.Raw(value.rstrip()[:-1] + b',"partition":%d%b}' % (partition, more))


class FinalBar(ApiModel):
    """One closed window, as published to a topic of bars, and the partition in which it was published."""

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
    close_reason: str = Field(description="`watermark` or `idle`; `correction` if it is a revision.")
    closed_at: int = Field(
        description="Arrival time of the record that closed it; for `idle` and a revision, the time at which it was due."
    )
    watermark: int
    first_offset: int
    last_offset: int
    closed_at_offset: int
    revision: int = Field(default=0, description="0 is the final; each revision of it has one more.")
    partial: bool = Field(default=False, description=PARTIAL)
    corrected: int | None = Field(default=None, description="How many late ticks a revision has more than the version before.")
    partition: int | None = None
    frame: str | None = Field(default=None, description=FRAME)


class FoldedBar(ApiModel):
    """A bar of a frame that is not kept, folded from the newest versions of shorter bars, and from open windows."""

    broker: str
    symbol: str
    bucket_start: int
    bucket_end: int
    open: Exact
    high: Exact
    low: Exact
    close: Exact
    volume: Exact | None
    vwap: Exact | None = Field(description="Of the bars' own, which are rounded: the eighth decimal may be off by one.")
    ticks: int
    first_ts: int
    last_ts: int
    first_offset: int
    last_offset: int
    folded: int = Field(description="How many bars it is made of.")
    revision: int = Field(description="How many revisions these bars have, in total.")
    partial: bool = Field(description=PARTIAL)
    partition: int
    frame: str
    final: bool = Field(description="Whether its window has closed; else it is among the open ones.")
    watermark: int | None = Field(description="The newest watermark that is known of its partition.")


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
    frame: str | None = Field(default=None, description=FRAME)
    ticks_in_open: int | None = Field(
        default=None, description="Of a longer window: how many of its ticks are in windows of the window size that are open."
    )


class CorrectableWindow(ApiModel):
    """A closed window that late ticks can still revise, as it was published last."""

    broker: str
    symbol: str
    partition: int
    frame: str | None = Field(description=FRAME)
    bucket_start: int
    bucket_end: int
    open: Exact
    high: Exact
    low: Exact
    close: Exact
    volume: Exact | None
    ticks: int
    revision: int
    expires_at_stream_time: int = Field(description="Its end plus grace plus correction_horizon: from then on ticks are late.")
    due: int | None = Field(description="Arrival time at which the revision that has begun is published; null without one.")
    added: int = Field(description="Late ticks of that revision so far.")


class Windows(ApiModel):
    """A page of open windows; with `state=correctable` the closed windows of a symbol that can still be revised."""

    windows: list[OpenWindow]
    correctable: list[CorrectableWindow] = Field(default=[])
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
    frame: str = Field(description="The frame of these bars; of base bars the window size.")
    kept: bool = Field(description="Whether they are published; else they are folded from shorter ones.")
    bars: list[FinalBar] | list[FoldedBar] | BarColumns
    open: list[OpenWindow] | list[FoldedBar]
    partitions: list[int] = Field(
        description="The partitions that have bars of the symbol. Where there are several, producers do not place it alike, "
        "and two bars may have the same start."
    )
    next_cursor: str | None = Field(description="The cursor of the next page, which has older bars.")
    oldest: int | None = Field(
        description="Start of its oldest bar in the read model; of a frame that is not kept, that of its source."
    )
    oldest_kept: int | None = Field(
        description="Start of the oldest bar of the symbol in the read model; null if no older bar was deleted from it."
    )
    none_kept: bool = Field(description="Whether it holds no bar of the symbol, and may have deleted some.")
    complete: bool = Field(description="Whether the read model has caught up with the finals topic.")
    away: list[Away]


class NewestBars(ApiModel):
    """The most recently published bars, newest first; each in its newest version."""

    bars: list[FinalBar]
    next_cursor: str | None = Field(
        description="For the next page, which may have no bar although older ones follow; null if there are none."
    )
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


class Holding(ApiModel):
    """A longer window that is kept and holds a window."""

    frame: str
    bucket_start: int
    bucket_end: int


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
    frame: str | None = Field(default=None, description=FRAME)
    versions: list[FinalBar] = Field(default=[], description="All versions of the bar that are known, the newest first.")
    folded: FoldedBar | None = Field(default=None, description="The bar, if its frame is not kept.")
    part_of: list[Holding] = Field(default=[], description="The longer windows that are kept and hold it.")
    correctable: bool | None = Field(
        default=None, description="Whether late ticks can still revise it; null without late_policy=correct, or if unknown."
    )
    expires_at_stream_time: int | None = Field(default=None, description="The stream time from which they no longer can.")
    scope_time: int | None = Field(
        default=None, description="Stream time of its scope now, where `correctable` follows from it."
    )
    revision_due: int | None = Field(
        default=None, description="Arrival time at which the revision that has begun is published; null without one."
    )
    revision_added: int = Field(default=0, description="Late ticks of that revision so far.")
    late_ticks: int = Field(
        default=0, description="Late ticks of this window in the read model, which keeps the newest late ticks."
    )
    now: int
