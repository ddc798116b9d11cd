"""The producers of a worker's partitions: one for the bars, where those go out at once, and one for each checkpoint."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from app.kafka.cluster import Cluster
from app.kafka.producers import BatchProducer, TransactionalProducer
from app.settings import Settings
from app.settings.types import Delivery


class ProducerPool:
    """Those of the last `renew`; all of them, or none after an error."""

    def __init__(self, settings: Settings) -> None:
        self.finals: BatchProducer | None = None  # None where the bars wait for the checkpoint
        self.checkpoints: dict[int, TransactionalProducer] = {}  # by source partition
        self._settings = settings
        self._all: list[BatchProducer] = []

    async def renew(self, cluster: Cluster, numbers: Iterable[int], *, max_request: int) -> None:
        """Put new ones, for these partitions, in the place of the old ones, which must have been stopped.

        Another worker's checkpoints of these partitions are fenced when this returns; raises aiokafka's errors.
        """
        settings = self._settings
        at_once = settings.delivery is Delivery.idempotent
        self.finals = BatchProducer(cluster, max_request=max_request) if at_once else None
        self.checkpoints = {
            number: TransactionalProducer(
                cluster,
                max_request=max_request,
                transactional_id=f"{settings.app_id}-{settings.ticks_topic}-{number}",
                group=settings.app_id,
            )
            for number in numbers
        }
        self._all = [*self.checkpoints.values(), *([self.finals] if self.finals is not None else [])]
        try:
            async with asyncio.TaskGroup() as group:  # where one fails, no other goes on starting behind the one who stops them
                for producer in self._all:
                    group.create_task(producer.start())
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from None

    async def stop(self) -> None:
        """Every send has ended when this returns, one way or the other."""
        await asyncio.gather(*(producer.stop() for producer in self._all))
        self._all = []  # not before: a recovery that is cancelled here leaves it to the next one to wait for them
