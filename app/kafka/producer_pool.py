"""The producers of a worker: a transactional one for the checkpoints of each partition, and one for bars sent at once."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping

from app.kafka.cluster import Cluster
from app.kafka.producers import NO_LIMITS, BatchProducer, TransactionalProducer
from app.settings import Settings
from app.settings.types import Delivery, IdleClose


class ProducerPool:
    """The producers made by the last `renew`; none before it, and after `stop`."""

    def __init__(self, settings: Settings) -> None:
        self.finals: BatchProducer | None = None  # None if the bars are part of the checkpoint's transaction
        self.markers: BatchProducer | None = None  # None unless idle_close=marker
        self.checkpoints: dict[int, TransactionalProducer] = {}  # by source partition
        self._settings = settings
        self._all: list[BatchProducer] = []

    async def renew(
        self, cluster: Cluster, numbers: Iterable[int], *, max_request: int, batch_limits: Mapping[str, int] = NO_LIMITS
    ) -> None:
        """Make and start producers for these partitions. The old ones must have been stopped. Sizes as for `BatchProducer`.

        When this returns, checkpoints by other workers of these partitions are fenced. Raises aiokafka's errors.
        """
        settings = self._settings
        at_once = settings.delivery is Delivery.idempotent
        marks = settings.idle_close is IdleClose.marker
        plain = BatchProducer(cluster, max_request=max_request, batch_limits=batch_limits) if at_once or marks else None
        self.finals, self.markers = plain if at_once else None, plain if marks else None
        self.checkpoints = {
            number: TransactionalProducer(
                cluster,
                max_request=max_request,
                batch_limits=batch_limits,
                transactional_id=f"{settings.app_id}-{settings.ticks_topic}-{number}",
                group=settings.app_id,
            )
            for number in numbers
        }
        self._all = [*self.checkpoints.values(), *([plain] if plain is not None else [])]
        try:
            async with asyncio.TaskGroup() as group:  # if one fails, the others are cancelled: none starts after `stop`
                for producer in self._all:
                    group.create_task(producer.start())
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from None

    async def stop(self) -> None:
        """Stop all producers. When this returns, every send has succeeded or failed."""
        await asyncio.gather(*(producer.stop() for producer in self._all))
        self._all = []  # only now: if this call is cancelled, the next one waits for the same producers
