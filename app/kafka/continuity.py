"""Whether the batches fetched from a partition follow each other without a gap.

A consumer's position advances with every fetch, even if a rebalance drops the records of that fetch. A later fetch then
leaves records out without any error.
"""

from __future__ import annotations

from app.kafka.records import NO_EPOCH, Batch, LeaderEpoch

OffsetGap = tuple[int, int]  # the first offset that is missing, and the first one after the gap


class Continuity:
    """The next offset that one partition has to deliver."""

    def __init__(self, next_offset: int) -> None:
        self.next_offset = next_offset
        self._leader_epoch = NO_EPOCH  # of the last batch that was taken

    def take(self, batches: list[Batch]) -> tuple[list[Batch], OffsetGap | None]:
        """The batches up to the first gap, without those delivered before; and the gap, if there is one.

        A `LeaderEpoch` is kept where it differs from that of the batch taken before.
        """
        taken: list[Batch] = []
        leader: LeaderEpoch | None = None
        for batch in batches:
            if isinstance(batch, LeaderEpoch):
                leader = batch
                continue
            if batch.base_offset > self.next_offset:
                return taken, (self.next_offset, batch.base_offset)
            if batch.next_offset > self.next_offset:
                if leader is not None and leader.leader_epoch != self._leader_epoch:
                    self._leader_epoch = leader.leader_epoch
                    taken.append(leader)
                self.next_offset = batch.next_offset
                taken.append(batch)
        return taken, None
