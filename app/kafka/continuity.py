"""Whether what was fetched of a partition follows on what was handed on before: nothing may be left out unnoticed.

A consumer's position moves on with every fetch, also with one whose records were dropped because a rebalance was under way.
"""

from __future__ import annotations

from app.kafka.fetcher import Batch, Skipped

OffsetGap = tuple[int, int]  # the first offset that is missing, and the first one after it


class Continuity:
    """How far one partition has been handed on."""

    def __init__(self, next_offset: int) -> None:
        self.next_offset = next_offset

    def take(self, batches: list[Batch]) -> tuple[list[Batch], OffsetGap | None]:
        """The batches up to the first gap, and that gap."""
        taken: list[Batch] = []
        for batch in batches:
            if batch.base_offset > self.next_offset:
                return taken, (self.next_offset, batch.base_offset)
            if batch.next_offset > self.next_offset:
                self.next_offset = batch.next_offset
                taken.append(batch)
        return taken, None

    def skip(self, gap: OffsetGap) -> Batch:
        """Go on after a gap: what stands in the place of the missing records."""
        self.next_offset = gap[1]
        return Skipped(*gap)
