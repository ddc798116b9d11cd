"""The tasks of this worker: recovered on assignment, checkpointed together, and recovered again after a failed send."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable
from functools import partial
from typing import Any

from aiokafka import errors as kafka_errors
from faust.types import TP

from agents.checkpoint_pacing import CheckpointPacing
from agents.checkpoint_rounds import CheckpointRounds
from agents.log_watch import LogWatch
from agents.metrics import Metrics
from agents.readiness import Readiness
from agents.recovery_task import RecoveryTask
from agents.repartition.agent import Repartitioner
from agents.schemas import TickSchemas
from agents.task import PartitionTask
from agents.task_creator import TaskCreator, persist, raise_if_refused
from agents.tick_consumer import TickConsumer
from agents.topics import TopicsReport
from app.errors import BarwheelError
from app.kafka.assignor import AddressAssignor
from app.kafka.cluster import Cluster
from app.kafka.failures import reason_of, refused
from app.kafka.slices import GapError, Slice
from app.settings import Settings

log = logging.getLogger(__name__)
MENDED_BY_RECOVERY = (GapError, kafka_errors.KafkaError, OSError)  # TimeoutError is an OSError


class TaskManager:
    """Connects Faust's consumer with the tasks. `crash` ends the worker with an error."""

    def __init__(self, settings: Settings, crash: Callable[[BaseException], Awaitable[None]]) -> None:
        self.settings = settings
        self.cluster = Cluster("")
        self.metrics = Metrics(settings.grace)
        self.url = ""  # address of the web port, as other workers are told it
        self.assignor = AddressAssignor(settings.input_topic, lambda: self.url)
        self.topics: TopicsReport | None = None
        self.consumer: TickConsumer | None = None
        self._crash = crash
        self.schemas = TickSchemas(settings)
        self.repartitioner = Repartitioner(settings, crash) if settings.repartition else None
        self._readiness = Readiness(copying=self.repartitioner and self.repartitioner.progress)
        self._creator = TaskCreator(settings, self.metrics, self._readiness)
        self._watch = LogWatch(settings)
        self._pacing = CheckpointPacing(settings.checkpoint_interval / 1_000)
        self._checkpoints = CheckpointRounds(self._pacing, lambda error: self.handle_error(error, last=not self._taking))
        self._tasks: dict[int, PartitionTask] = {}
        self._taking = False  # whether slices are taken
        self._recovery, self._late_recovery = RecoveryTask(crash), RecoveryTask(crash)  # the latter: of those held up

    # ---- state, for readers

    @property
    def state(self) -> str:
        """See `Readiness`."""
        return self._readiness.state

    @property
    def catching_up(self) -> bool:
        """See `CheckpointPacing`."""
        return self._pacing.catching_up

    def running(self) -> dict[int, PartitionTask]:
        """The tasks at work now, by partition."""
        return dict(self._tasks)

    def positions(self) -> dict[TP, int]:
        """The offset at which each task goes on reading."""
        return {TP(self.settings.input_topic, n): task.consumed_to for n, task in self._tasks.items()}

    def readiness(self) -> dict[str, Any]:
        """The state, and how far a recovery is, as /readyz shows it."""
        consumer = self.consumer if self._tasks else None
        return self._readiness.answer(None if consumer is None else consumer.silence(), self.schemas.waiting)

    # ---- work

    async def feed(self, part: Slice) -> None:
        """Process a slice, unless its partition was revoked or recovered after the fetch."""
        task = self._tasks.get(part.partition)
        if not self._taking or task is None or task is not part.task:
            return
        self._pacing.fetched(part)
        try:
            await self._watch.check_if_doubtful(self.cluster, self._tasks, self.consumer)
            kept = await self.schemas.keep(part, lambda: self._taking and self._tasks.get(part.partition) is task)
            if kept is not None:
                await task.feed(kept)
        except Exception as error:  # noqa: BLE001  # Faust would go on with the next slice
            await self.handle_error(error)
            return
        if self._checkpoints.begin_early(task, self._tasks):
            await asyncio.sleep(0)  # let it copy the states before the next slice opens more windows

    async def tick(self) -> None:
        """Turn the wheel of every partition."""
        self.metrics.timer_turned(self.settings.wheel_tick / 1_000)
        if not self._taking or self.consumer is None:
            return
        async with self._handling_errors():
            heads, since = self.consumer.heads(), self._readiness.silence_counts_from()
            for number, task in self.running().items():
                head = heads.get((self.settings.input_topic, number))
                if head is not None and head.sent >= since:
                    await task.tick(head)
                if self._taking:
                    self._checkpoints.begin_early(task, self._tasks)

    async def watch(self) -> None:
        """Check now and then that the topics are still those that the positions belong to."""
        if self._taking:
            async with self._handling_errors():
                await self._watch.check_if_due(self.cluster, self._tasks, self.consumer)

    @contextlib.asynccontextmanager
    async def _handling_errors(self) -> AsyncIterator[None]:
        """Handle the body's error: Faust's task would end silently, and windows stay open."""
        try:
            yield
        except Exception as error:  # noqa: BLE001  # whatever it is
            await self.handle_error(error)

    async def checkpoint(self) -> None:
        """Checkpoint every task that is due; all of them if this is the last checkpoint."""
        count = len(self._tasks)
        await self._checkpoints.make([t for t in self._tasks.values() if not self._taking or self._pacing.due(t, count)])

    # ---- assignment and revocation

    async def assign(self, numbers: set[int]) -> None:
        """Recover these partitions. Returns when they are ready, or have been revoked."""
        self._tasks = {}
        with contextlib.suppress(asyncio.CancelledError):
            await self._begin(self._recover(numbers))

    def stop_intake(self) -> None:
        """Take no more slices, and cancel a recovery in progress."""
        self._taking = False
        self._recovery.cancel()
        self._late_recovery.cancel()

    async def abandon(self) -> None:
        """Give up the checkpoints under way, and the producers: the next owner must find everything that was sent."""
        self._checkpoints.give_up()
        await self._creator.abort()

    def release(self) -> None:
        """Forget the tasks: the partitions belong to others now."""
        self._tasks, self._readiness.held_up = {}, {}

    async def stop(self) -> None:
        """Stop, after the last checkpoint."""
        self._readiness.state = "stopped"
        self.release()
        await asyncio.gather(self._creator.stop(), self.schemas.close())

    async def handle_error(self, error: BaseException, *, last: bool = False) -> None:
        """Handle an error of a running task: recover if the broker caused it, otherwise end the worker.

        `last`: it happened in the last checkpoint before the partitions are released. No bar depends on that one.
        """
        if not self._taking and not last:
            log.warning("%s; the partitions are being recovered or given away already", reason_of(error))
            return
        self._taking = False
        refusal = refused(error)
        if refusal is not None:
            await self._crash(refusal)
        elif not isinstance(error, MENDED_BY_RECOVERY):
            await self._crash(error)
        elif last:
            log.warning("%s; no last checkpoint, the next owner goes on from the one before", reason_of(error))
        else:
            log.warning("%s; recovering the partitions", reason_of(error))
            self._begin(self._restart())

    async def client_failed(self, error: BaseException) -> None:
        """Handle an error of a client that tries again by itself: end the worker where that cannot help."""
        log.warning("a Kafka client failed (%s): it tries again", reason_of(error))
        async with self._crashing_if_refused():
            await raise_if_refused(self.cluster, error)

    @contextlib.asynccontextmanager
    async def _crashing_if_refused(self) -> AsyncIterator[None]:
        """End the worker where the body says that another attempt cannot help."""
        try:
            yield
        except BarwheelError as refusal:
            await self._crash(refusal)

    def _begin(self, recovery: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        self._late_recovery.cancel()  # this one recovers its partitions as well
        return self._recovery.begin(recovery)

    async def _recover(self, numbers: set[int]) -> None:
        await self._late_recovery.ended()  # two recoveries at once would fence each other
        async with self._crashing_if_refused():
            self._tasks = await self._creator.recover(self.cluster, self.topics, numbers)
            self._begin_work()

    def _begin_work(self) -> None:
        self._taking = True
        self._readiness.state = "running"
        log_ready(self.settings.input_topic, self._tasks)
        if self._readiness.held_up:
            self._late_recovery.begin(self._recover_held_up())

    async def _recover_held_up(self) -> None:
        """Put the partitions that are held up to work, once each can be recovered."""
        if (consumer := self.consumer) is None:
            return
        async with self._crashing_if_refused():
            verify = partial(self._still_ours, consumer)
            async for tasks in self._creator.recover_held_up(self.cluster, self.topics, verify):
                self._tasks = {**self._tasks, **tasks}
                starts = {tp: offset for tp, offset in self.positions().items() if tp.partition in tasks}
                await persist(self.cluster, partial(consumer.begin_at, starts))
                consumer.resume_partitions(set(starts))
                log_ready(self.settings.input_topic, tasks)

    async def _still_ours(self, consumer: TickConsumer, tasks: dict[int, PartitionTask] | None = None) -> bool:
        """Ask the group by committing offsets of these tasks, or of those that run: it takes them from their owner only."""
        found, topic = (self._tasks if tasks is None else tasks), self.settings.input_topic
        return await consumer.verify_membership({TP(topic, number): task.checkpointed_to for number, task in found.items()})

    async def _restart(self) -> None:
        """Recover all partitions, once the group confirms that they are still ours. Otherwise we would fence the new owner."""
        tasks, self._tasks = self._tasks, {}
        if (consumer := self.consumer) is None:
            return
        self._readiness.state = "waiting"
        numbers = tasks.keys() | self._readiness.held_up.keys()
        consumer.pause_partitions({TP(self.settings.input_topic, number) for number in numbers})
        await persist(self.cluster, lambda: self._still_ours(consumer, tasks))
        await self._recover(numbers)
        positions = self.positions()
        await persist(self.cluster, lambda: consumer.seek_to(positions))
        consumer.resume_partitions(set(positions))


def log_ready(topic: str, numbers: Iterable[int]) -> None:
    """Log that partitions are at work."""
    log.info("ready: partitions %s of %s", ", ".join(map(str, sorted(numbers))) or "none", topic)
