"""Recovers the partitions of an assignment: new producers, then some tasks at a time. Waits while the broker is away.

A partition that cannot be recovered does not hold the others. It is held up, and tried again while they are at work.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping

from aiokafka import errors as kafka_errors

from agents.bar_schemas import BarSchemas
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
from app.kafka.leaders import Place
from app.kafka.producer_pool import ProducerPool
from app.kafka.reader import Reader
from app.settings import Settings
from app.together import run_together
from tables.native import batch_builder
from tables.state import Identity

log = logging.getLogger(__name__)
BACKOFF_SECONDS = (0.5, 30.0)  # first and longest wait between two tries
HELD_UP_BACKOFF = (0.5, 5.0)  # the same, for partitions that are held up: asking for a leader is one small request
SETTLE_SECONDS, SETTLE_PAUSE = 2.0, 0.1  # a topic that was just created, or moves, has no leader for so long
# Each reader has a connection to each broker, and two fetch responses of up to 4 MiB in memory. A worker has one CPU for all of
# them: more readers would only wait for it.
READERS = 8
CANCELLED = kafka_errors.KafkaError("a task of the Kafka client was cancelled from inside")  # `run_together` hides that
STOP_SECONDS = 3.0  # for the producers at the end
VERIFY_SECONDS = 1.0  # between two questions to the group whether the partitions are still ours


class TaskCreator:
    """Makes the tasks of an assignment. Its producers fence those of former owners."""

    def __init__(self, settings: Settings, metrics: Metrics, readiness: Readiness) -> None:
        self._settings = settings
        self._metrics = metrics
        self._readiness = readiness
        self._producers = ProducerPool(settings, batch_builder(settings.native.value))
        self._placement = Placement(settings.input_topic)

    async def recover(self, cluster: Cluster, topics: TopicsReport | None, numbers: set[int]) -> dict[int, PartitionTask]:
        """The tasks of these partitions, ready to be fed; waits while the broker is away.

        Those that are held up are left out and noted, see `recover_held_up`. At least one is not. Raises `BarwheelError` where
        the stored state cannot be used, or the broker or Schema Registry refuses what another attempt does not mend.
        """
        await BarSchemas(self._settings).registered(self._readiness)
        self._readiness.state, self._readiness.held_up = "recovering", {}
        began = time.monotonic()
        wait = BACKOFF_SECONDS[0]
        while True:
            try:
                tasks = await self._try_recover(cluster, topics, numbers)
                break
            except (kafka_errors.KafkaError, OSError) as error:
                await raise_if_refused(cluster, error)
                self._readiness.state = "waiting"
                wait = min(wait, (HELD_UP_BACKOFF if self._readiness.held_up else BACKOFF_SECONDS)[1])
                log.warning("not recovered (%s): trying again in %.1f s", reason_of(error), wait)
                await asyncio.sleep(wait * random.uniform(0.8, 1.2))  # noqa: S311  # jitter
                wait *= 2
        stop_if_given_up()
        self._metrics.recovery.add(time.monotonic() - began)
        return tasks

    async def recover_held_up(
        self, cluster: Cluster, topics: TopicsReport | None, still_ours: Callable[[], Awaitable[bool]]
    ) -> AsyncIterator[dict[int, PartitionTask]]:
        """Try the partitions that are held up until there are none; yields the tasks of those that are not any more.

        `still_ours` asks the group before each try, which would fence another owner. Raises as `recover` does.
        """
        wait = HELD_UP_BACKOFF[0]
        while self._readiness.held_up:
            await asyncio.sleep(wait * random.uniform(0.8, 1.2))  # noqa: S311  # jitter
            wait = min(wait * 2, HELD_UP_BACKOFF[1])
            try:
                if not await still_ours():
                    continue  # a rebalance is under way, which ends this
                tasks, held_up = await self._recover_some(cluster, topics, set(self._readiness.held_up))
            except (kafka_errors.KafkaError, OSError) as error:
                await raise_if_refused(cluster, error)
                log.debug("still held up (%s)", reason_of(error))  # said when it began
                continue
            self._readiness.held_up = held_up
            if tasks:
                wait = HELD_UP_BACKOFF[0]
                yield tasks

    async def _try_recover(self, cluster: Cluster, topics: TopicsReport | None, numbers: set[int]) -> dict[int, PartitionTask]:
        tasks, held_up = await self._recover_some(cluster, topics, numbers, all_anew=True)
        for number, why in sorted(held_up.items()):
            log.warning("partition %d is held up (%s): it is tried again, the others do not wait for it", number, why)
        self._readiness.held_up = held_up
        return tasks

    async def _recover_some(
        self, cluster: Cluster, topics: TopicsReport | None, numbers: set[int], *, all_anew: bool = False
    ) -> tuple[dict[int, PartitionTask], dict[int, str]]:
        """The tasks of those partitions that can be recovered now, and why the others cannot.

        `all_anew`: the producers of all other partitions end as well. Where none can be recovered, raises the error of one.
        """
        if topics is None:
            raise BrokerError("the topics have not been checked yet")
        now = await check_partitions(self._settings, cluster, topics.partitions)
        if all_anew:
            self._readiness.held_up = {}
            await self._producers.stop()  # every send of the old producers has ended before anything is read
        if not numbers:
            return {}, {}
        stop_if_given_up()
        attempt = _Attempt(self._settings, self._producers, topics, now, self._metrics, self._placement)
        self._readiness.recovery = attempt.progress
        await attempt.run(cluster, numbers)
        stop_if_given_up()
        held_up = {number: reason_of(error) for number, error in attempt.failed.items()}
        if not attempt.tasks:
            self._readiness.held_up = held_up
            raise next(iter(attempt.failed.values()))
        return attempt.tasks, held_up

    async def stop(self) -> None:
        """Stop the producers. The next recovery finds out which of their bars were written."""
        try:
            async with asyncio.timeout(STOP_SECONDS):
                await self._producers.stop()
        except TimeoutError:
            log.warning("the broker has not acknowledged all records: the next start finds out which were written")
            await self.abort()

    async def abort(self) -> None:
        """End the producers at once: the partitions' next owner reads what was written, so nothing may be written later."""
        await self._producers.abort()


class _Attempt:
    """One attempt to recover some partitions: the tasks of those that could be recovered, and the errors of the others."""

    def __init__(
        self,
        settings: Settings,
        producers: ProducerPool,
        topics: TopicsReport,
        now: Identity,
        metrics: Metrics,
        placement: Placement,
    ) -> None:
        self.tasks: dict[int, PartitionTask] = {}
        self.failed: dict[int, Exception] = {}
        self.progress = RecoveryProgress(0, reading=self._reading)
        self._settings = settings
        self._producers = producers
        self._topics = topics
        self._now = now
        self._metrics = metrics
        self._placement = placement
        self._readers: list[Reader] = []
        self._read = settings.recovered_topics
        only_written = tuple(topic for topic in settings.beyond_topics if topic not in self._read)
        self._written = (settings.late_topic, settings.rejected_topic, *only_written)

    async def run(self, cluster: Cluster, numbers: set[int]) -> None:
        """Recover what can be recovered. Raises errors that are not of one partition alone."""
        self.progress.partitions = len(numbers)
        async with Reader(cluster, frozenset(self._read + self._written)) as reader:
            waiting = await self._with_leaders(reader, numbers)
            failed = await self._producers.start(
                cluster,
                sorted(waiting),
                max_request=self._topics.max_message_bytes + SIDE_EXTRA_BYTES,
                batch_limits=self._topics.batch_limits,
            )
            self._fail(failed)
            # asked after the former owners have been fenced: nothing that they write comes later
            known, unknown = await reader.bounds_of(self._places(self._read, waiting - failed.keys()))
            self._fail({number: error for (_, number), error in unknown.items()})
        stop_if_given_up()
        queue = sorted(waiting - self.failed.keys(), reverse=True)
        readers = [Reader(cluster, frozenset(self._read), known=known) for _ in range(min(READERS, len(queue)))]
        await run_together(self._take(reader, cluster, queue) for reader in readers)
        self._fail(dict.fromkeys(numbers - self.tasks.keys() - self.failed.keys(), CANCELLED))

    async def _with_leaders(self, reader: Reader, numbers: set[int]) -> set[int]:
        """The partitions with a leader in every topic, after a moment for elections; the others fail."""
        began = time.monotonic()
        while True:
            errors = reader.leaderless(self._places(self._read + self._written, numbers))
            if not errors or time.monotonic() - began > SETTLE_SECONDS:
                break
            await asyncio.sleep(SETTLE_PAUSE)
            await reader.learn_leaders()
        self._fail({number: error for (_, number), error in errors.items()})
        return numbers - self.failed.keys()

    async def _take(self, reader: Reader, cluster: Cluster, queue: list[int]) -> None:
        """Recover partitions of the queue, one after another, until it is empty."""
        async with reader:
            self._readers.append(reader)
            while queue:
                number = queue.pop()
                try:
                    self.tasks[number] = await self._recover_one(reader, cluster, number)
                except (kafka_errors.KafkaError, OSError) as error:
                    self._fail({number: error})
                else:
                    self.progress.done += 1
            self._readers.remove(reader)

    async def _recover_one(self, reader: Reader, cluster: Cluster, number: int) -> PartitionTask:
        found = await recover(reader, self._settings, number, self._topics.partitions, self._now)
        stop_if_given_up()
        task = PartitionTask(
            self._settings,
            number,
            found,
            self._producers.checkpoints[number],
            self._producers.finals,
            append_time=self._topics.log_append_time,
            max_record=self._topics.max_side_bytes,
            metrics=self._metrics,
            markers=self._producers.markers,
            end_of_epoch=functools.partial(end_of_input_epoch, self._settings, cluster),
            placed=PlacedSymbols(self._placement, number, self._topics.partitions),
        )
        await task.begin()
        return task

    def _fail(self, errors: Mapping[int, Exception]) -> None:
        """Note the errors of partitions. Raises one that another attempt does not mend."""
        for number, error in errors.items():
            refusal = refused(error)
            if refusal is not None:
                raise refusal from error
            self.failed[number] = error

    def _reading(self) -> tuple[str, int, int]:
        """What the reader with the most left to read is reading."""
        return max((reader.reading for reader in self._readers), key=lambda one: one[2] - one[1], default=("", 0, 0))

    def _places(self, topics: Iterable[str], numbers: Iterable[int]) -> list[Place]:
        return [(topic, number) for number in sorted(numbers) for topic in topics]


async def raise_if_refused(cluster: Cluster, error: BaseException) -> None:
    """Raise `BrokerError` where another attempt cannot help.

    A client that cannot connect does not say why, so the brokers are asked: they may refuse the credentials.
    """
    refusal = refused(error)
    if refusal is not None:
        raise refusal from error
    if isinstance(error, kafka_errors.KafkaConnectionError):
        await unreachable(cluster)


async def persist(cluster: Cluster, attempt: Callable[[], Awaitable[bool | None]]) -> None:
    """Repeat an attempt that returns False, or fails with an error that another attempt may mend."""
    while True:
        try:
            if await attempt() is not False:
                return
            log.info("the group is rebalancing: waiting to learn whether the partitions are still ours")
        except (kafka_errors.KafkaError, OSError) as error:
            await raise_if_refused(cluster, error)
            log.warning("%s: trying again", reason_of(error))
        await asyncio.sleep(VERIFY_SECONDS)
