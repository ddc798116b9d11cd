"""What the last look at ksqlDB has found, for the web port."""

from __future__ import annotations

from dataclasses import dataclass, field

from migrations.server.query_states import PAUSED, RUNNING

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


@dataclass(frozen=True)
class WatchedSource:
    """A stream or table of the history, and its topic.

    `rate` is how many offsets a second were added to the topic between the last two looks: records, and the markers of
    transactions. `lag` are the records that the slowest query which reads from it has still to read. `size` is the topic's in
    bytes, without the copies of its replicas. Each is None if it is not known.
    """

    name: str
    topic: str
    rate: float | None
    lag: int | None
    size: int | None


@dataclass(frozen=True)
class TopicEnds:
    """The sums of the end offsets of topics at a moment, which is a time in seconds of a clock that never goes back."""

    moment: float
    ends: dict[str, int] = field(default_factory=dict)

    def rate(self, topic: str, later: TopicEnds) -> float | None:
        """Offsets a second from here to a later moment; None if it is not known, or the topic was created again."""
        before, after, seconds = self.ends.get(topic), later.ends.get(topic), later.moment - self.moment
        if before is None or after is None or after < before or seconds <= 0:
            return None
        return (after - before) / seconds


@dataclass
class Watched:
    """What the last look has found, for the web port. `up` is None before the first one."""

    up: bool | None = None
    error: str = ""
    queries: list[WatchedQuery] = field(default_factory=list)
    sources: list[WatchedSource] = field(default_factory=list)
    ends: TopicEnds | None = None  # of the last look that saw the topics
    topics_error: str = ""  # why the last look did not see them
    log_records: int = 0
    log_newest: list[str] = field(default_factory=list)
