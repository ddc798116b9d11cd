"""The interface that the tasks need of the input topic's consumer. `app.driver` implements it."""

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

    def refusals(self) -> int:
        """How often a fetch response had an error for a partition."""

    def assignment(self) -> set[TP]:
        """The partitions that the group has assigned to this worker."""

    def highwater(self, tp: TP) -> int:
        """The end offset of a partition, from the last fetch response."""

    def pause_partitions(self, tps: set[TP]) -> None:
        """Stop fetching these partitions."""

    def resume_partitions(self, tps: set[TP]) -> None:
        """Fetch them again."""

    async def verify_membership(self, offsets: Mapping[TP, int]) -> bool:
        """Commit these offsets. True if the group accepts them, as it does only from the owner of the partitions."""

    async def begin_at(self, positions: Mapping[TP, int]) -> None:
        """Read these partitions from these offsets as well."""

    async def seek_to(self, positions: Mapping[TP, int]) -> None:
        """Read these partitions from these offsets, and no others."""
