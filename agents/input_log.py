"""Checks while a partition is read that its log still has the records that were processed.

A new leader may lack some of them (an unclean leader election). Each leader has a number, its leader epoch. The broker says at
which offset each epoch ended.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from app.kafka.leader_epochs import NOT_THERE, EpochEnd
from app.kafka.records import NO_EPOCH
from app.kafka.slices import GapError

EndOfEpoch = Callable[[int, int], Awaitable[EpochEnd | None]]  # where a partition's leader epoch ends, see `end_of_epoch`


async def never_told(_partition: int, _leader_epoch: int) -> EpochEnd | None:
    """The answer of brokers that are too old to tell where an epoch ends."""
    return None


class InputLog:
    """The log of one partition, as far as it was processed."""

    def __init__(self, partition: int, leader_epoch: int, ask: EndOfEpoch, tail: tuple[int, int] = (0, NO_EPOCH)) -> None:
        """`leader_epoch`: of the last batch that was processed. `ask`: for the end of an epoch.

        `tail`: up to which offset a former worker read, as its bars say, and in which leader epoch. Until then a replay waits
        for the same records.
        """
        self.leader_epoch = leader_epoch
        self._partition = partition
        self._ask = ask
        self._tail = tail

    async def follow(self, leader_epoch: int, consumed_to: int) -> bool:
        """Go on with batches of this leader epoch. Returns whether it is another one. Raises as `check` does."""
        if leader_epoch == self.leader_epoch:
            return False
        await self.check(self._ask, consumed_to)
        self.leader_epoch = leader_epoch
        return True

    async def check(self, ask: EndOfEpoch, consumed_to: int) -> None:
        """Check that the log has all records before `consumed_to`, and those that a replay has still to read.

        Raises `GapError` where it was truncated, and aiokafka's errors.
        """
        end = None if self.leader_epoch == NO_EPOCH else await ask(self._partition, self.leader_epoch)
        if end is not None and end.offset < consumed_to:
            raise GapError(
                f"partition {self._partition}: its log was truncated below offset {consumed_to}, up to where it was read"
            )
        tail_end, leader_epoch = self._tail
        if leader_epoch == NO_EPOCH or consumed_to >= tail_end:
            return
        end = await ask(self._partition, leader_epoch)
        if end is not None and NOT_THERE < end.offset < tail_end:
            raise GapError(
                f"partition {self._partition}: its log was truncated below offset {tail_end}, which published bars name"
            )
