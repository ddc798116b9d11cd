"""Late and rejected records as the API shows them. Times are epoch ms (UTC)."""

from __future__ import annotations

from pydantic import Field

from app.web.models.base import ApiModel


class SideRecord(ApiModel):
    """A late or rejected record."""

    id: int
    topic: str = Field(description="Where it was read: `ticks_topic`, or with `repartition=on` one of its topics.")
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


class SideRecords(ApiModel):
    """A page of late or rejected records, newest first."""

    records: list[SideRecord]
    next_cursor: str | None
    reasons: dict[str, int] = Field(description="How many of the records in the read model have each reason.")
