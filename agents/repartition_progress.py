"""How far the repartition of this worker is, for /readyz, the API and the metrics."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from app.kafka.clock import steady_ms
from app.kafka.leaders import Place


@dataclass
class SourceProgress:
    """One partition of a source: the next offset to be copied, and its end offset, as far as that is known."""

    next_offset: int
    end: int | None = None
    lost: int = 0  # records that are gone from it (on_gap=continue), in all its time
    caught_up: bool = False  # whether its end was reached since the assignment

    def reached(self, next_offset: int, end: int | None) -> None:
        """Everything below `next_offset` is copied. `end`: the end offset now, if it is known."""
        self.next_offset = next_offset
        if end is not None:
            self.end = end
            self.caught_up |= next_offset >= end

    @property
    def lag(self) -> int:
        """How many offsets have still to be copied."""
        return 0 if self.end is None else max(0, self.end - self.next_offset)


@dataclass
class RepartitionProgress:
    """`state`: starting, recovering, running, waiting (for the broker or Schema Registry) or stopped."""

    state: str = "starting"
    waiting: str = ""  # for what, where it waits for something
    sources: dict[Place, SourceProgress] = field(default_factory=dict)  # the partitions of this worker
    held_up: dict[Place, str] = field(default_factory=dict)  # those that are waited for while the others run, and why
    copied: Counter[str] = field(default_factory=Counter)  # records since this worker started, by source topic
    unplaced: Counter[str] = field(default_factory=Counter)  # those of them whose symbol could not be found
    _settled: int | None = None

    def settled_since(self) -> int | None:
        """Since when (`steady_ms`) all that had arrived in this worker's sources when it began is copied; None: it is not yet.

        Before that a silent input says nothing: what has arrived meanwhile may not have been copied.
        """
        if self.state != "running" or not all(source.caught_up for source in self.sources.values()):
            self._settled = None
        elif self._settled is None:
            self._settled = steady_ms() + 1  # what is asked for within this millisecond may be older
        return self._settled

    @property
    def lag(self) -> int:
        """How many offsets of this worker's partitions have still to be copied."""
        return sum(source.lag for source in self.sources.values())

    def shown(self) -> dict[str, Any]:
        """The same as /readyz shows it."""
        answer: dict[str, Any] = {"state": self.state, "partitions": len(self.sources), "lag": self.lag}
        if self.waiting:
            answer["waiting"] = self.waiting
        if self.held_up:
            answer["held_up"] = {f"{topic}[{number}]": why for (topic, number), why in sorted(self.held_up.items())}
        return answer
