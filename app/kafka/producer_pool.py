"""The producers of a worker: a transactional one for the checkpoints of each partition, and one for bars sent at once."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping

from aiokafka.errors import KafkaError

from app.kafka.cluster import Cluster
from app.kafka.producers import NO_LIMITS, BatchProducer, TransactionalProducer
from app.settings import Settings
from app.settings.types import Delivery, IdleClose

# Each start makes a connection or two, with their TLS and SASL handshakes: a broker queues few connections that wait for it.
PRODUCERS_AT_ONCE = 16
START_SECONDS = 60.0  # for one producer: its coordinator may first have to end a transaction in a partition without a leader


class ProducerPool:
    """The producers made since the last `stop`."""

    def __init__(self, settings: Settings) -> None:
        self.checkpoints: dict[int, TransactionalProducer] = {}  # by source partition
        self._settings = settings
        self._plain: BatchProducer | None = None  # of all partitions, for what is sent outside transactions
        self._all: list[BatchProducer] = []
        self._starting = asyncio.Semaphore(PRODUCERS_AT_ONCE)

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
        settings, failed = self._settings, dict[int, KafkaError | OSError]()
        needed = settings.delivery is Delivery.idempotent or settings.idle_close is IdleClose.marker
        if needed and self._plain is None:
            plain = BatchProducer(cluster, max_request=max_request, batch_limits=batch_limits)
            self._all.append(plain)
            await plain.start()
            self._plain = plain

        async def start(number: int) -> None:
            producer = TransactionalProducer(
                cluster,
                max_request=max_request,
                batch_limits=batch_limits,
                transactional_id=f"{settings.app_id}-{settings.input_topic}-{number}",
                group=settings.app_id,
            )
            async with self._starting:
                await self._stop_one(number)
                self._all.append(producer)
                try:
                    async with asyncio.timeout(START_SECONDS):
                        await producer.start()
                except (KafkaError, OSError) as error:
                    failed[number] = error
                    await producer.stop()
                    self._all.remove(producer)
                else:
                    self.checkpoints[number] = producer

        try:
            async with asyncio.TaskGroup() as group:  # after an error of another kind, none starts after `stop`
                for number in numbers:
                    group.create_task(start(number))
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from None
        return failed

    async def abort(self) -> None:
        """End all producers at once, see `BatchProducer.abort`."""
        await asyncio.gather(*(producer.abort() for producer in self._all))

    async def stop(self) -> None:
        """Stop all producers. When this returns, every send has succeeded or failed."""
        for producer in self._all:
            producer.give_up_unsent()
        await asyncio.gather(*(producer.stop() for producer in self._all))
        # only now: if this call is cancelled, the next one waits for the same producers
        self._all, self.checkpoints, self._plain = [], {}, None

    async def _stop_one(self, number: int) -> None:
        producer = self.checkpoints.pop(number, None)
        if producer is not None:
            producer.give_up_unsent()
            await producer.stop()
            self._all.remove(producer)
