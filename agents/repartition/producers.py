"""The transactional producers of the sources' partitions. Starting one fences that of the partition's former owner."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping

from aiokafka.errors import KafkaError

from agents.repartition.positions import Place
from app.kafka.cluster import Cluster
from app.kafka.producer_pool import PRODUCERS_AT_ONCE, START_SECONDS
from app.kafka.producers import TRANSACTION_SECONDS, TransactionalProducer
from app.settings import Settings


class SourceProducers:
    """The producers since the last `stop`, by partition of a source.

    A transactional id for each partition, as aiokafka 0.14 sends no group metadata with the offsets of a transaction (KIP-447):
    the coordinator of the group could not tell a former owner from the present one.
    """

    def __init__(self, settings: Settings) -> None:
        self.of: dict[Place, TransactionalProducer] = {}
        self._settings = settings
        self._all: list[TransactionalProducer] = []

    async def start(
        self, cluster: Cluster, places: Iterable[Place], *, max_request: int, batch_limits: Mapping[str, int]
    ) -> dict[Place, KafkaError | OSError]:
        """Make and start producers for these partitions; returns the errors of those that did not start."""
        settings, failed, at_once = self._settings, dict[Place, KafkaError | OSError](), asyncio.Semaphore(PRODUCERS_AT_ONCE)

        async def start(place: Place) -> None:
            topic, number = place
            producer = TransactionalProducer(
                cluster,
                max_request=max_request,
                batch_limits=batch_limits,
                transactional_id=f"{settings.app_id}-repartition-{topic}-{number}",
                group=settings.repartition_group,
                # Engines see nothing behind an open transaction. One of a worker that died ends when its session has.
                transaction_seconds=min(TRANSACTION_SECONDS, settings.session_timeout / 1_000),
            )
            self._all.append(producer)
            async with at_once:
                try:
                    async with asyncio.timeout(START_SECONDS):
                        await producer.start()
                except (KafkaError, OSError) as error:
                    failed[place] = error
                else:
                    self.of[place] = producer

        try:
            async with asyncio.TaskGroup() as group:
                for place in places:
                    group.create_task(start(place))
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from None
        return failed

    async def abort(self) -> None:
        """End all producers at once: nothing more is sent."""
        await asyncio.gather(*(producer.abort() for producer in self._all))

    async def stop(self) -> None:
        """Stop all producers. When this returns, every send has succeeded or failed."""
        for producer in self._all:
            producer.give_up_unsent()
        await asyncio.gather(*(producer.stop() for producer in self._all))
        self._all, self.of = [], {}
