"""Recovers the partitions of an assignment: new producers, then one task after another. Waits while the broker is away."""

from __future__ import annotations

import asyncio
import functools
import logging
import random
import time

from aiokafka import errors as kafka_errors

from agents.log_watch import end_of_input_epoch
from agents.metrics import Metrics
from agents.placement import PlacedSymbols, Placement
from agents.readiness import Readiness, RecoveryProgress
from agents.recovery import recover, stop_if_given_up
from agents.task import PartitionTask
from agents.topics import SIDE_EXTRA_BYTES, TopicsReport, check_partitions
from app.errors import BrokerError
from app.kafka.bootstrap import unreachable
from app.kafka.cluster import Cluster
from app.kafka.failures import reason_of, refused
from app.kafka.producer_pool import ProducerPool
from app.kafka.reader import Reader
from app.settings import Settings
from tables.state import Identity

log = logging.getLogger(__name__)
BACKOFF_SECONDS = (0.5, 30.0)  # first and longest wait between two tries
STOP_SECONDS = 3.0  # for the producers at the end


class TaskCreator:
    """Makes the tasks of an assignment. Its producers fence those of former owners."""

    def __init__(self, settings: Settings, metrics: Metrics, readiness: Readiness) -> None:
        self._settings = settings
        self._metrics = metrics
        self._readiness = readiness
        self._producers = ProducerPool(settings)
        self._placement = Placement(settings.ticks_topic)

    async def recover(self, cluster: Cluster, topics: TopicsReport | None, numbers: set[int]) -> dict[int, PartitionTask]:
        """The tasks of these partitions, ready to be fed; waits while the broker is away.

        Raises `BarwheelError` where the stored state cannot be used, or the broker refuses what another attempt does not mend.
        """
        self._readiness.state = "recovering"
        began = time.monotonic()
        wait = BACKOFF_SECONDS[0]
        while True:
            try:
                tasks = await self._try_recover(cluster, topics, numbers)
                break
            except kafka_errors.KafkaError as error:
                await raise_if_refused(cluster, error)
                self._readiness.state = "waiting"
                log.warning("not recovered (%s): trying again in %.1f s", reason_of(error), wait)
                await asyncio.sleep(wait * random.uniform(0.8, 1.2))  # noqa: S311  # jitter
                wait = min(wait * 2, BACKOFF_SECONDS[1])
        stop_if_given_up()
        self._metrics.recovery.add(time.monotonic() - began)
        return tasks

    async def _try_recover(self, cluster: Cluster, topics: TopicsReport | None, numbers: set[int]) -> dict[int, PartitionTask]:
        settings, producers = self._settings, self._producers
        if topics is None:
            raise BrokerError("the topics have not been checked yet")
        now = await check_partitions(settings, cluster, topics.partitions)
        await producers.stop()  # every send of the old producers has ended before anything is read
        stop_if_given_up()
        await producers.renew(
            cluster,
            sorted(numbers),
            max_request=topics.max_message_bytes + SIDE_EXTRA_BYTES,
            batch_limits=topics.batch_limits,
        )
        tasks: dict[int, PartitionTask] = {}
        if not numbers:
            return tasks
        stop_if_given_up()
        names = frozenset({settings.ticks_topic, settings.finals_topic, settings.changelog_topic})
        async with Reader(cluster, names) as reader:
            progress = self._readiness.recovery = RecoveryProgress(len(numbers), reading=lambda: reader.reading)
            for number in sorted(numbers):
                tasks[number] = await self._recover_one(reader, cluster, topics, number, now)
                progress.done += 1
        return tasks

    async def _recover_one(
        self, reader: Reader, cluster: Cluster, topics: TopicsReport, number: int, now: Identity
    ) -> PartitionTask:
        found = await recover(reader, self._settings, number, topics.partitions, now)
        stop_if_given_up()
        task = PartitionTask(
            self._settings,
            number,
            found,
            self._producers.checkpoints[number],
            self._producers.finals,
            append_time=topics.log_append_time,
            max_record=topics.max_side_bytes,
            metrics=self._metrics,
            markers=self._producers.markers,
            end_of_epoch=functools.partial(end_of_input_epoch, self._settings, cluster),
            placed=PlacedSymbols(self._placement, number, topics.partitions),
        )
        await task.begin()
        return task

    async def stop(self) -> None:
        """Stop the producers. The next recovery finds out which of their bars were written."""
        try:
            async with asyncio.timeout(STOP_SECONDS):
                await self._producers.stop()
        except TimeoutError:
            log.warning("the broker has not acknowledged all records: the next start finds out which were written")


async def raise_if_refused(cluster: Cluster, error: BaseException) -> None:
    """Raise `BrokerError` where another attempt cannot help.

    A client that cannot connect does not say why, so the brokers are asked: they may refuse the credentials.
    """
    refusal = refused(error)
    if refusal is not None:
        raise refusal from error
    if isinstance(error, kafka_errors.KafkaConnectionError):
        await unreachable(cluster)
