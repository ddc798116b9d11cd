"""How far the read model is. The follower's thread writes it, the event loop reads it."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass, field
from enum import StrEnum

from app.doubled import Doubled
from app.readmodel.rows import Name, Partition


class State(StrEnum):
    """The state of the read model."""

    starting = "starting"
    catching_up = "catching_up"
    live = "live"
    waiting = "waiting"  # for the broker
    failed = "failed"  # for example because the disk is full; it tries again
    stopped = "stopped"


@dataclass
class Progress:
    """The progress of one read model."""

    state: State = State.starting
    error: str = ""
    behind: int = 0  # records still to be read, as of the last fetch
    positions: dict[Partition, int] = field(default_factory=dict)  # next offsets
    rebuilt: int = 0  # how often the file was recreated since the start
    doubled: Doubled | None = None  # bars with a key that two partitions published
    in_two: Container[Name] = ()  # symbols that have bars in two partitions
