"""Workers and partitions as the API shows them. Times are epoch ms (UTC); durations are ms unless their name has a unit."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from app.web.models.base import ApiModel, Away


class ScopeTime(ApiModel):
    """The progress of event time in one scope."""

    stream_time: int
    watermark: int
    set_at: int = Field(description="Arrival time of the record that advanced it.")


class Due(ApiModel):
    """The next window end of a scope that the idle timer closes."""

    scope: str
    due: int
    end: int


class Counts(ApiModel):
    """Records by outcome: `read` is the sum of all but `lost`."""

    read: int
    binned: int
    corrected: int = Field(default=0, description="Late ticks that became part of a revised bar (late_policy=correct).")
    late: int
    rejected: int
    heartbeats: int
    lost: int


class PartitionCounts(Counts):
    """Records of one partition by outcome, and its position."""

    next_offset: int
    open_windows: int
    arrival_clock_violations: int
    arrival_clock_steps: int = 0  # a worker of an older version says nothing of it
    misplaced_symbols: int = Field(
        default=0,
        description="Symbols, of those seen since the assignment, that Kafka's default partitioner would have put into another "
        "partition; again where one trades again after a while. No fault where all producers place a symbol alike.",
    )
    stream_times: dict[str, int] = Field(
        description="Of the first 100 scopes by name, `*` for the partition; empty under scope `symbol`."
    )
    more_scopes: int = Field(default=0, description="How many scopes `stream_times` leaves out.")


class Accounting(ApiModel):
    """Records by outcome, in total and by partition."""

    state: str
    total: Counts
    partitions: dict[str, PartitionCounts]
    balanced: bool = Field(description="Whether every record that was read has exactly one outcome, in each partition.")
    away: list[Away]


class Recovery(ApiModel):
    """The progress of a worker's recovery; `partitions` and `done` count partitions."""

    partitions: int
    done: int
    reading: str
    offset: int
    end: int


class PartitionState(StrEnum):
    """The state of a partition."""

    running = "running"
    recovering = "recovering"
    waiting = "waiting"
    no_owner = "no_owner"
    owner_away = "owner_away"


class PartitionRow(ApiModel):
    """One partition of the input. A field is null if its owner does not know it or cannot be asked."""

    partition: int
    owner: str | None
    me: bool
    state: PartitionState
    position: int | None = None
    high_watermark: int | None = None
    lag: int | None = None
    checkpointed: int | None = Field(default=None, description="The offset at which reading resumes after a crash.")
    open_windows: int | None = None
    stream_times: dict[str, ScopeTime] = Field(default_factory=dict, description="Of the first 100 scopes by name.")
    more_scopes: int = Field(default=0, description="How many scopes `stream_times` leaves out.")
    counts: Counts | None = None
    recovery: Recovery | None = Field(
        default=None, description="Progress of the recovery that its owner is running, over all of that owner's partitions."
    )
    held_up: str | None = Field(
        default=None, description="Why its owner, which runs its other partitions, waits for this one: it has no leader, say."
    )


class Partitions(ApiModel):
    """The partitions of the input and their owners."""

    now: int
    partitions: list[PartitionRow]
    away: list[Away]


class WorkerRow(ApiModel):
    """One worker of the app."""

    url: str
    me: bool
    partitions: list[int]


class SettingRow(ApiModel):
    """One setting; secrets are masked."""

    value: str
    source: str
    description: str


class BrokerRow(ApiModel):
    """The Kafka cluster."""

    address: str
    pocket: bool
    silent_for_s: float | None = Field(description="Seconds since it answered a fetch; null if this worker owns no partition.")


class DoubledRow(ApiModel):
    """Bars whose key another partition had published before: each lacks the ticks of the other. There should be none."""

    bars: int = Field(description="How many there are in the read model. The rest is of the newest of their windows.")
    broker: str
    symbol: str
    bucket_start: int
    partitions: list[int]
    remedy: str


class ReadModelRow(ApiModel):
    """The state of the read model, the local copy of the final bars."""

    state: str
    bars: int | None
    symbols: int | None
    limit: int
    behind: int = Field(description="Records still to be read.")
    rebuilt: int = Field(description="How often it was rebuilt since the worker started.")
    error: str | None
    doubled: DoubledRow | None


class RepartitionSource(ApiModel):
    """A partition of a source that this worker copies."""

    topic: str
    partition: int
    next_offset: int = Field(description="The next offset to be copied.")
    high_watermark: int | None
    lag: int
    lost: int = Field(description="Records that were gone before they were copied (on_gap=continue).")


class Repartition(ApiModel):
    """How far this worker is in copying the sources to the input topic, with `repartition=on`."""

    state: str
    waiting: str | None = Field(description="For what it waits, if it does.")
    lag: int = Field(description="Records of this worker's partitions that have still to be copied.")
    sources: list[RepartitionSource]
    held_up: dict[str, str] = Field(description="The partitions that are waited for while the others run, and why.")


class Topics(ApiModel):
    """The names of the topics."""

    ticks: str = Field(description="What the engines read: the offsets of bars are those of this topic.")
    finals: str
    late: str
    rejected: str
    changelog: str


class Status(ApiModel):
    """This worker: its version, settings and state."""

    name: str
    version: str
    core: str = Field(description="`native` or `python`: what processes the ticks.")
    core_note: str = Field(description="Why it is not the native core; empty if it is.")
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
    repartition: Repartition | None = Field(description="Null unless `repartition=on`.")
    window_size: int
    grace: int
    scope: str
    idle_close: bool
    streams: int = Field(description="Open event streams of this worker.")


class WheelPartition(ApiModel):
    """The wheel of one partition."""

    partition: int
    entries: int
    arrival: int | None = Field(description="Arrival time up to which the wheel has been advanced.")
    slots: list[tuple[int, int]] = Field(description="Pairs of slot number and entries, for slots that are not empty.")
    due: list[Due]


class Timer(ApiModel):
    """How punctual the task is that advances the wheels (ms)."""

    every: int
    lag_ms: float
    worst_lag_ms: float


class Wheel(ApiModel):
    """This worker's timing wheels."""

    tick_ms: int
    slots: int
    timer: Timer
    partitions: list[WheelPartition]


class WatchedKsqldb(ApiModel):
    """What this worker's last look at ksqlDB has found; `up` is null before the first one, and without ksqlDB."""

    up: bool | None = None
    error: str | None = None
    queries: list[dict[str, Any]] = Field(
        default_factory=list, description="Queries of the history: state, errors that ksqlDB keeps, lag in records."
    )
    sources: list[dict[str, Any]] = Field(
        default_factory=list,
        description="Streams and tables of the history: their topic, offsets a second that are added to it, the lag of the "
        "slowest query that reads from them, and the topic's size in bytes.",
    )
    processing_log_records: int = 0
    processing_log: list[str] = Field(default_factory=list, description="The newest entries of ksqlDB's processing log.")


class Migrations(ApiModel):
    """KSQL migrations of this app; steps and history are as in `app migrate status --json`."""

    state: str
    reason: str | None
    summary: str | None
    steps: list[dict[str, Any]]
    history: list[dict[str, Any]]
    ksqldb: WatchedKsqldb


class Ready(BaseModel):
    """Whether the worker is running, and what it waits for if not."""

    model_config = ConfigDict(extra="allow")
    state: str
    held_up: dict[str, str] = Field(
        default_factory=dict, description="The partitions that are waited for while the others run, and why."
    )
    schema_registry: str | None = Field(default=None, description="Why ticks wait for Schema Registry, if they do.")
    repartition: dict[str, Any] | None = Field(
        default=None, description="With `repartition=on`: state, partitions and lag of the copying of the sources."
    )


class Healthy(ApiModel):
    """The process answers."""

    state: str
