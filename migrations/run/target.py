"""What all operations on a server share: the target, a progress callback, and the result of applying a plan."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from app.kafka.cluster import Cluster
from migrations.plan.compare import Step
from migrations.plan.entry import Entry
from migrations.run.lock import SESSION_MS
from migrations.server.client import KsqlClient

LOCK_SECONDS = 60.0  # how long to wait for another runner
SERVER_FAULT = 50000  # error codes from here on are about the server, not the statement


@dataclass(frozen=True)
class Target:
    """A ksqlDB server, the Kafka cluster and topic of its history, and the app and user that apply plans."""

    client: KsqlClient
    cluster: Cluster
    topic: str
    app_id: str
    user: str
    replication_factor: int = -1  # the cluster's default
    session_ms: int = SESSION_MS  # a dead holder of the lock loses it after this time


class Progress(Protocol):
    """A callback before and after each statement."""

    def __call__(self, step: Step, done: Entry | None) -> None:
        """`done` is the new entry; None before the statement."""


@dataclass
class ApplyResult:
    """The steps as they were before the run, and the entries that the run wrote."""

    steps: list[Step]
    applied: list[Entry] = field(default_factory=list)
