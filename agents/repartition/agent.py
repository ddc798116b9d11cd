"""The agent that copies the sources: a consumer group of its own, and a task for each partition that the group assigns.

It runs beside the engines and does not wait for them. An error of the broker makes it recover, as the engines do: new
producers, positions read again. The group's rebalance is eager: the tasks end before the partitions are given away.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Sequence

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka import errors as kafka_errors
from aiokafka.structs import OffsetAndMetadata

from agents.repartition.consumer import connected
from agents.repartition.recovery import SourceRecovery, changed
from agents.repartition.source_task import SourceTask
from agents.repartition.watch import SourceWatch
from agents.repartition_progress import RepartitionProgress
from agents.schemas import TickSchemas
from agents.task_creator import raise_if_refused
from agents.topics import TopicsReport
from app.errors import StateError
from app.kafka.cluster import Cluster
from app.kafka.failures import reason_of
from app.kafka.fetcher import report_errors_of_the_group
from app.kafka.leaders import Place
from app.kafka.records import Batch, Record
from app.kafka.slices import GapError
from app.settings import Settings
from app.together import run_together

log = logging.getLogger(__name__)
MENDED_BY_RECOVERY = (GapError, kafka_errors.KafkaError, OSError)
BACKOFF_SECONDS = (0.5, 15.0)  # first and longest wait between two recoveries
HELD_UP_SECONDS = 5.0  # between two tries of partitions that are held up
POLL_MS = 200
LINGER_SECONDS = 0.05  # at live pace records gather for so long: a transaction costs some requests, whatever it holds
FULL = 2_000  # records in a fetch: then there is more to be read at once
LAST_SECONDS = 5.0  # for the transactions under way when partitions are revoked
LOOK_SECONDS = 0.1  # between two looks whether the group has assigned partitions


class Repartitioner(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka has no types
    """One for each worker. `crash` ends the worker with an error."""

    def __init__(self, settings: Settings, crash: Callable[[BaseException], Awaitable[None]]) -> None:
        self.progress = RepartitionProgress()
        self._settings = settings
        self._crash = crash
        self._schemas = TickSchemas(settings)
        self._cluster = Cluster("")
        self._recovery = SourceRecovery(settings, self.progress, self._ready)
        self._watch = SourceWatch(settings)
        self._tasks: dict[Place, SourceTask] = {}
        self._assigned: set[Place] | None = None  # None: the group is rebalancing
        self._generation = 0  # counts the rebalances
        self._stale = True  # whether the partitions must be recovered before they are read
        self._failed = False  # whether it is because of an error
        self._turn = asyncio.Lock()  # held while partitions are recovered, or copied
        self._working: asyncio.Task[None] | None = None  # what holds it
        self._gaps: dict[str, int] = {}
        self._topics: dict[str, int] = {}  # those that are subscribed to, with their numbers of partitions
        self._again = float("inf")  # when to try those that are held up, by the monotonic clock

    # ---- running

    async def run(self, cluster: Cluster, topics: TopicsReport) -> None:
        """Copy until cancelled. An error that another attempt does not mend ends the worker."""
        self._cluster = cluster
        consumer: AIOKafkaConsumer | None = None
        try:
            consumer = await connected(self._settings, cluster)
            report_errors_of_the_group(consumer, self._client_failed)
            await self._work(consumer, topics)
        except Exception as error:  # noqa: BLE001  # whatever it is: without the copies no tick is processed
            await self._crash(error)
        finally:
            self.progress.state = "stopped"
            await self._stop(consumer)

    async def _client_failed(self, error: BaseException) -> None:
        log.warning("the repartition's group failed (%s): it tries again", reason_of(error))
        try:
            await raise_if_refused(self._cluster, error)
        except Exception as refusal:  # noqa: BLE001  # of any kind: it cannot help to try again
            await self._crash(refusal)

    async def _work(self, consumer: AIOKafkaConsumer, topics: TopicsReport) -> None:
        wait = BACKOFF_SECONDS[0]
        while True:
            try:
                await self._step(consumer, topics)
            except MENDED_BY_RECOVERY as error:
                await raise_if_refused(self._cluster, error)
                self._note_gap(error)
                self._stale = self._failed = True
                self._state("waiting", reason_of(error))
                log.warning("repartition: %s; recovering its partitions in %.1f s", reason_of(error), wait)
                await asyncio.sleep(wait * random.uniform(0.8, 1.2))  # noqa: S311  # jitter
                wait = min(2 * wait, BACKOFF_SECONDS[1])
            else:
                wait = wait if self._stale else BACKOFF_SECONDS[0]

    async def _step(self, consumer: AIOKafkaConsumer, topics: TopicsReport) -> None:
        """Recover if needed, then copy what one fetch brings."""
        await self._follow_topics(consumer)
        generation = self._generation
        if self._assigned is None:
            await asyncio.sleep(LOOK_SECONDS)
            return
        if self._stale or time.monotonic() > self._again:
            await self._alone(self._recover(consumer, topics))
            return
        self._state("running")
        if not self._tasks:
            await asyncio.sleep(LOOK_SECONDS)
            return
        fetched: dict[TopicPartition, list[Batch]] = await consumer.getmany(timeout_ms=POLL_MS)
        if generation == self._generation and not self._stale:  # else they are read again
            await self._alone(self._copy(consumer, fetched))
        if sum(batches[-1].next_offset - batches[0].base_offset for batches in fetched.values() if batches) < FULL:
            await asyncio.sleep(LINGER_SECONDS)

    async def _alone(self, work: Awaitable[None]) -> None:
        """Do this; a rebalance waits for it, or cancels it."""
        async with self._turn:
            task = self._working = asyncio.ensure_future(work)
            try:
                await asyncio.wait([task])
            finally:
                if not task.done():  # The agent is being stopped. Behind a transaction that is left open nothing can be read.
                    await asyncio.wait([task], timeout=LAST_SECONDS)
                    task.cancel()
                self._working = None
        if not task.cancelled():
            task.result()

    async def _recover(self, consumer: AIOKafkaConsumer, topics: TopicsReport) -> None:
        if self._assigned is None:
            return  # revoked since
        self._state("recovering")
        self._stale, places = True, set(self._assigned)
        if self._failed and self._tasks:  # are they still ours? Otherwise we would fence the new owner
            known = {TopicPartition(*place): OffsetAndMetadata(t.position.resume_at, "") for place, t in self._tasks.items()}
            await consumer.commit({tp: offset for tp, offset in known.items() if (tp.topic, tp.partition) in places})
        consumer.pause(*(TopicPartition(*place) for place in places))
        self._tasks = await self._recovery.recover(self._cluster, topics, places)
        tps = [TopicPartition(*place) for place in self._tasks]
        for tp in tps:
            consumer.seek(tp, self._tasks[tp.topic, tp.partition].position.resume_at)
        consumer.resume(*tps)
        self._stale = self._failed = False
        self._again = time.monotonic() + HELD_UP_SECONDS if self.progress.held_up else float("inf")
        log.info("repartition: ready, %d partitions of %d topics", len(tps), len({tp.topic for tp in tps}))

    async def _copy(self, consumer: AIOKafkaConsumer, fetched: dict[TopicPartition, list[Batch]]) -> None:
        """Copy each partition in a transaction of its own, at the same time."""
        for place, task in self._tasks.items():
            self.progress.sources[place].reached(task.position.resume_at, consumer.highwater(TopicPartition(*place)))
        found = [(self._tasks.get((tp.topic, tp.partition)), tp, batches) for tp, batches in fetched.items()]
        await run_together(task.feed(batches, consumer.highwater(tp)) for task, tp, batches in found if task is not None)

    async def _ready(self, records: Sequence[Record]) -> bool:
        """Wait for the schemas that these records name. False: the partitions were given away meanwhile."""
        placing = self._recovery.placing
        if placing is None or placing.by_key:
            return True
        generation = self._generation
        return await self._schemas.ready(records, lambda: generation == self._generation)

    # ---- topics

    async def _follow_topics(self, consumer: AIOKafkaConsumer) -> None:
        """Subscribe to the sources that there are, and check that those of the tasks are still the same."""
        found = await self._watch.look_if_due(self._cluster)
        if found is None:
            return
        if names := sorted(found.topics):
            if set(names) != set(consumer.subscription()):
                log.info("repartition: reading %s", ", ".join(names))
                consumer.subscribe(names, listener=self)
            elif found.topics != self._topics:
                await consumer._client.force_metadata_update()  # noqa: SLF001  # the group's leader assigns the new partitions
            self._topics = found.topics
        elif consumer.subscription():
            consumer.unsubscribe()
            await self.on_partitions_revoked([])
        if not names and self._assigned is None:
            await self.on_partitions_assigned([])
        problem = changed(self._tasks.values(), found.ids)
        if problem and not self._stale:
            raise GapError(problem)

    # ---- rebalances

    async def on_partitions_revoked(self, revoked: Sequence[TopicPartition]) -> None:  # noqa: ARG002  # all of them
        """End the transactions under way, within a limit: the partitions' next owner fences what is left."""
        self._generation += 1
        self._assigned = None
        if self._working is not None and self._stale:
            self._working.cancel()  # it recovers: that would fence the next owner
        try:
            async with asyncio.timeout(LAST_SECONDS):
                async with self._turn:
                    pass
        except TimeoutError:
            log.warning("repartition: a transaction is given up, the next owner goes on from the one before")
            if self._working is not None:
                self._working.cancel()
            await self._recovery.producers.abort()
        self._stale, self._tasks = True, {}
        self.progress.sources.clear()

    async def on_partitions_assigned(self, assigned: Sequence[TopicPartition]) -> None:
        """Note the partitions: they are recovered before they are read."""
        self._assigned, self._stale = {(tp.topic, tp.partition) for tp in assigned}, True

    # ---- the rest

    def _state(self, state: str, waiting: str = "") -> None:
        self.progress.state = state
        if self._schemas.waiting:
            self.progress.state, waiting = "waiting", self._schemas.waiting
        elif state == "running" and not self._watch.found_any:
            waiting = f"no topic for ticks_topic={self._settings.ticks_topic}"
        self.progress.waiting = waiting

    def _note_gap(self, error: BaseException) -> None:
        """Raise `StateError` where the same offsets are missing for the third time: they do not exist."""
        if isinstance(error, GapError):
            text = str(error)
            self._gaps[text] = self._gaps.get(text, 0) + 1
            if self._gaps[text] > 2:  # noqa: PLR2004  # see the docstring
                raise StateError(f"{text}: they do not exist, as in a topic that was compacted; leave it out of ticks_topic")

    async def _stop(self, consumer: AIOKafkaConsumer | None) -> None:
        self._generation += 1
        self._tasks = {}
        try:
            async with asyncio.timeout(LAST_SECONDS):
                await self._recovery.producers.stop()
        except TimeoutError:
            await self._recovery.producers.abort()
        await self._schemas.close()
        if consumer is not None:
            await consumer.stop()
