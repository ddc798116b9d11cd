"""What the last look at ksqlDB has found, for the web port."""

from __future__ import annotations

from dataclasses import dataclass, field

from migrations.server.health import PAUSED, RUNNING

GONE = "GONE"  # the server does not have the query


@dataclass(frozen=True)
class WatchedQuery:
    """A query of the history. `lag` are the records that it has still to read, and None while it has committed no offset.

    `put_aside`: a swap or its roll-back has paused it, as it should be.
    """

    id: str
    writes: str
    state: str
    errors: int
    lag: int | None
    put_aside: bool

    @property
    def stopped(self) -> bool:
        """Whether it should run and does not."""
        return self.state != RUNNING and not (self.put_aside and self.state in (PAUSED, GONE))


@dataclass
class Watched:
    """What the last look has found, for the web port. `up` is None before the first one."""

    up: bool | None = None
    error: str = ""
    queries: list[WatchedQuery] = field(default_factory=list)
    log_records: int = 0
    log_newest: list[str] = field(default_factory=list)
