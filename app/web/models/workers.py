"""What the API answers about workers, as types. Times are epoch ms, durations ms unless their name says otherwise."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from app.web.models.bars import Answer, Away


class ScopeTime(Answer):
    """How far a scope is."""

    stream_time: int
    watermark: int
    set_at: int = Field(description="Arrival of what moved it.")


class Due(Answer):
    """A scope that silence would close."""

    scope: str
    due: int
    end: int


class Counts(Answer):
    """What became of records: `read` is the sum of the four after it."""

    read: int
    binned: int
    late: int
    rejected: int
    heartbeats: int
    lost: int


class PartitionCounts(Counts):
    """The same of one partition, and where it is."""

    next_offset: int
    open_windows: int
    arrival_clock_violations: int
    stream_times: dict[str, int] = Field(description="By scope, `*` for the partition; empty under scope `symbol`.")


class Accounting(Answer):
    """What became of the records."""

    state: str
    total: Counts
    partitions: dict[str, PartitionCounts]
    balanced: bool = Field(description="Whether every record is accounted for once.")
    away: list[Away]


class Recovery(Answer):
    """How far a recovery is; partitions of this worker."""

    partitions: int
    done: int
    reading: str
    offset: int
    end: int


class PartitionState(StrEnum):
    """What a partition is doing."""

    running = "running"
    recovering = "recovering"
    waiting = "waiting"
    no_owner = "no_owner"
    owner_away = "owner_away"


class PartitionRow(Answer):
    """One partition of the input; null where its owner does not know or cannot be asked."""

    partition: int
    owner: str | None
    me: bool
    state: PartitionState
    position: int | None = None
    high_watermark: int | None = None
    lag: int | None = None
    checkpointed: int | None = Field(default=None, description="The next offset after a crash.")
    open_windows: int | None = None
    stream_times: dict[str, ScopeTime] = Field(default_factory=dict)
    counts: Counts | None = None
    recovery: Recovery | None = Field(default=None, description="How far its owner is with all partitions that it recovers.")


class Partitions(Answer):
    """The partitions of the input, and who owns them."""

    now: int
    partitions: list[PartitionRow]
    away: list[Away]


class WorkerRow(Answer):
    """One worker of the app."""

    url: str
    me: bool
    partitions: list[int]


class SettingRow(Answer):
    """One setting; secrets show as stars."""

    value: str
    source: str
    description: str


class BrokerRow(Answer):
    """The Kafka cluster."""

    address: str
    pocket: bool
    silent_for_s: float | None = Field(description="Seconds since it answered a fetch.")


class ReadModelRow(Answer):
    """How the local copy of the finals is."""

    state: str
    bars: int | None
    symbols: int | None
    limit: int
    behind: int = Field(description="Records that are still to be read.")
    rebuilt: int = Field(description="How often it was made anew since the worker started.")
    error: str | None


class Topics(Answer):
    """The names of the topics."""

    ticks: str
    finals: str
    late: str
    rejected: str
    changelog: str


class Status(Answer):
    """What this worker is and how it is."""

    name: str
    version: str
    app_id: str
    state: str
    started_at: int
    uptime_ms: int
    now: int
    url: str
    broker: BrokerRow
    settings: dict[str, SettingRow]
    workers: list[WorkerRow]
    recovery: Recovery | None
    read_model: ReadModelRow
    topics: Topics
    window_size: int
    grace: int
    scope: str
    idle_close: bool
    streams: int = Field(description="Open event streams of this worker.")


class WheelPartition(Answer):
    """The wheel of one partition."""

    partition: int
    entries: int
    arrival: int | None = Field(description="How far arrival time is.")
    slots: list[tuple[int, int]] = Field(description="Slot and entries, of slots that hold any.")
    due: list[Due]


class Timer(Answer):
    """The task that turns the wheels; ms."""

    every: int
    lag_ms: float
    worst_lag_ms: float


class Wheel(Answer):
    """This worker's timing wheels."""

    tick_ms: int
    slots: int
    timer: Timer
    partitions: list[WheelPartition]


class Migrations(Answer):
    """KSQL migrations of this app; the entries are those of `app migrate status --json`."""

    state: str
    reason: str | None
    summary: str | None
    steps: list[dict[str, Any]]
    history: list[dict[str, Any]]


class Ready(BaseModel):
    """Whether the worker does its work, and what it is waiting for otherwise."""

    model_config = ConfigDict(extra="allow")
    state: str


class Healthy(Answer):
    """That the process answers."""

    state: str
