"""The producers of a worker: a transactional one for the checkpoints of each partition, and one for bars sent at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from aiokafka.errors import KafkaError

from app.kafka.batches import NewBuilder
from app.kafka.cluster import Cluster
from app.kafka.producers import NO_LIMITS, BatchProducer, TransactionalProducer
from app.kafka.transactional_producers import TransactionalProducers
from app.settings import Settings
from app.settings.types import Delivery, IdleClose


class ProducerPool:
    """The producers made since the last `stop`."""

    def __init__(self, settings: Settings, new_builder: NewBuilder | None = None) -> None:
        """`new_builder`: see `BatchProducer`."""
        self._settings = settings
        self._new_builder = new_builder
        self._producers: TransactionalProducers[int] = TransactionalProducers()  # by source partition
        self._plain: BatchProducer | None = None  # of all partitions, for what is sent outside transactions

    @property
    def checkpoints(self) -> dict[int, TransactionalProducer]:
        """Those of checkpoints, by source partition."""
        return self._producers.started

    @property
    def finals(self) -> BatchProducer | None:
        """Sends bars at once; None if they are part of the checkpoint's transaction."""
        return self._plain if self._settings.delivery is Delivery.idempotent else None

    @property
    def markers(self) -> BatchProducer | None:
        """Sends markers; None unless `idle_close=marker`."""
        return self._plain if self._settings.idle_close is IdleClose.marker else None

    async def start(
        self, cluster: Cluster, numbers: Iterable[int], *, max_request: int, batch_limits: Mapping[str, int] = NO_LIMITS
    ) -> dict[int, KafkaError | OSError]:
        """Make and start producers for these partitions, and return the errors of those that did not start.

        Checkpoints by other workers of the other ones are fenced then. Former producers of these partitions are stopped first.
        Sizes as for `BatchProducer`. Raises aiokafka's errors where the producer of all partitions does not start.
        """
        settings = self._settings
        needed = settings.delivery is Delivery.idempotent or settings.idle_close is IdleClose.marker
        if needed and self._plain is None:
            plain = BatchProducer(
                cluster,
                max_request=max_request,
                batch_limits=batch_limits,
                linger=settings.linger,
                new_builder=self._new_builder,
            )
            await self._producers.add(plain)
            self._plain = plain

        def make(number: int) -> TransactionalProducer:
            return TransactionalProducer(
                cluster,
                max_request=max_request,
                batch_limits=batch_limits,
                transactional_id=f"{settings.app_id}-{settings.input_topic}-{number}",
                group=settings.app_id,
                new_builder=self._new_builder,
            )

        return await self._producers.start(numbers, make)

    async def abort(self) -> None:
        """End all producers at once, see `BatchProducer.abort`."""
        await self._producers.abort()

    async def stop(self) -> None:
        """Stop all producers. When this returns, every send has succeeded or failed."""
        await self._producers.stop()
        self._plain = None
