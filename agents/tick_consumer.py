"""What the tasks need of the consumer that reads the input topic; `app.driver` has the one that Faust runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from faust.types import TP

from app.kafka.fetcher import Heads


class TickConsumer(Protocol):
    """The consumer of the input topic."""

    def heads(self) -> Heads:
        """The heads of the log, by (topic, partition)."""

    def silence(self) -> float:
        """Seconds since the broker answered a fetch."""

    def assignment(self) -> set[TP]:
        """The partitions that the group has assigned to this worker."""

    def highwater(self, tp: TP) -> int:
        """The end offset of a partition, as the broker said last."""

    def pause_partitions(self, tps: set[TP]) -> None:
        """Stop fetching these partitions."""

    def resume_partitions(self, tps: set[TP]) -> None:
        """Fetch them again."""

    async def verify_membership(self, offsets: Mapping[TP, int]) -> bool:
        """Whether the group takes these offsets from us; it does so only from the member that owns the partitions."""

    async def seek_to(self, positions: Mapping[TP, int]) -> None:
        """Go on reading at these offsets, and nowhere else."""
