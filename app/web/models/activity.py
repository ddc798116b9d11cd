"""The last hour as the API shows it."""

from __future__ import annotations

from pydantic import Field

from app.web.models.base import ApiModel, Away


class ActivityStep(ApiModel):
    """Ten seconds."""

    start: int = Field(description="Epoch ms, a multiple of `every_ms`.")
    read: int = Field(description="Records read.")
    bars: int = Field(description="Bars that the broker acknowledged.")
    lag: int = Field(description="Records that had not been read at its end.")
    p50_ms: float | None = Field(
        description="Half of its bars were acknowledged within this time after the end of their window plus grace; null "
        "without bars. Estimated from the buckets of `window_due_to_bar_seconds`, as Prometheus does."
    )
    p99_ms: float | None = Field(description="The same for 99 of 100.")
    late: list[int] = Field(description="Its bars by bucket of that histogram.")


class Activity(ApiModel):
    """What was done in the last hour, or since the start, in steps. A step without a worker is missing."""

    now: int
    every_ms: int
    steps: list[ActivityStep]
    away: list[Away]
