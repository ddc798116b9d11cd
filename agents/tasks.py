"""The tasks of this worker: recovered on assignment, checkpointed together, and recovered again after a failed send."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from typing import Any

from aiokafka import errors as kafka_errors
from faust.types import TP

from agents.checkpoint_pacing import CheckpointPacing
from agents.log_watch import LogWatch
from agents.metrics import Metrics
from agents.readiness import Readiness
from agents.task import PartitionTask
from agents.task_creator import TaskCreator, raise_if_refused
from agents.tick_consumer import TickConsumer
from agents.topics import TopicsReport
from app.errors import BarwheelError
from app.kafka.assignor import AddressAssignor
from app.kafka.cluster import Cluster
from app.kafka.failures import reason_of, refused
from app.kafka.slices import GapError, Slice
from app.settings import Settings

log = logging.getLogger(__name__)
VERIFY_SECONDS = 1.0  # between two questions to the group whether the partitions are still ours
MENDED_BY_RECOVERY = (GapError, kafka_errors.KafkaError, OSError)  # TimeoutError is an OSError


class TaskManager:
    """Connects Faust's consumer with the tasks. `crash` ends the worker with an error."""

    def __init__(self, settings: Settings, crash: Callable[[BaseException], Awaitable[None]]) -> None:
        self.settings = settings
        self.cluster = Cluster("")
        self.metrics = Metrics(settings.grace)
        self.url = ""  # address of the web port, as other workers are told it
        self.assignor = AddressAssignor(settings.ticks_topic, lambda: self.url)
        self.topics: TopicsReport | None = None
        self.consumer: TickConsumer | None = None
        self._crash = crash
        self._readiness = Readiness()
        self._creator = TaskCreator(settings, self.metrics, self._readiness)
        self._watch = LogWatch(settings)
        self._pacing = CheckpointPacing(settings.checkpoint_interval / 1_000)
        self._early_checkpoints: dict[int, asyncio.Task[None]] = {}  # before the timer's, by partition
        self._tasks: dict[int, PartitionTask] = {}
        self._taking = False  # whether slices are taken
        self._recovery: asyncio.Task[None] | None = None

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
        return {TP(self.settings.ticks_topic, n): task.consumed_to for n, task in self._tasks.items()}

    def readiness(self) -> dict[str, Any]:
        """The state, and how far a recovery is, as /readyz shows it."""
        consumer = self.consumer if self._tasks else None
        return self._readiness.answer(None if consumer is None else consumer.silence())

    # ---- work

    async def feed(self, part: Slice) -> None:
        """Process a slice, unless its partition was revoked or recovered after the fetch."""
        task = self._tasks.get(part.partition)
        if not self._taking or task is None or task is not part.task:
            return
        self._pacing.fetched(part)
        try:
            await self._watch.check_if_doubtful(self.cluster, self._tasks, self.consumer)
            await task.feed(part)
        except Exception as error:  # noqa: BLE001  # Faust would go on with the next slice
            await self.handle_error(error)
            return
        if self._begin_early_checkpoint(task):
            await asyncio.sleep(0)  # let it copy the states before the next slice opens more windows

    async def tick(self) -> None:
        """Turn the wheel of every partition."""
        self.metrics.timer_turned(self.settings.wheel_tick / 1_000)
        if not self._taking or self.consumer is None:
            return
        try:
            heads = self.consumer.heads()
            for number, task in self.running().items():
                head = heads.get((self.settings.ticks_topic, number))
                if head is not None:
                    await task.tick(head)
                self._begin_early_checkpoint(task)
        except Exception as error:  # noqa: BLE001  # Faust's task would end silently, and windows stay open
            await self.handle_error(error)

    async def watch(self) -> None:
        """Check now and then that the topics are still those that the positions belong to."""
        if self._taking:
            try:
                await self._watch.check_if_due(self.cluster, self._tasks, self.consumer)
            except Exception as error:  # noqa: BLE001  # Faust's task would end silently
                await self.handle_error(error)

    async def checkpoint(self) -> None:
        """Checkpoint every task that is due; all of them if this is the last checkpoint."""
        count = len(self._tasks)
        await self._checkpoint([t for t in self._tasks.values() if not self._taking or self._pacing.due(t, count)])

    async def _checkpoint(self, tasks: Iterable[PartitionTask]) -> None:
        try:
            await asyncio.gather(*(task.checkpoint() for task in tasks))
        except Exception as error:  # noqa: BLE001  # Faust would only log it
            await self.handle_error(error, last=not self._taking)

    def _begin_early_checkpoint(self, task: PartitionTask) -> bool:
        if not self._taking or self._tasks.get(task.number) is not task:
            return False  # given away or being recovered, since the caller looked
        running = self._early_checkpoints.get(task.number)
        if (running is not None and not running.done()) or not self._pacing.due_early(task, len(self._tasks)):
            return False
        self._early_checkpoints[task.number] = asyncio.ensure_future(self._checkpoint([task]))
        return True

    # ---- assignment and revocation

    async def assign(self, numbers: set[int]) -> None:
        """Recover these partitions. Returns when they are ready, or have been revoked."""
        self._tasks = {}
        with contextlib.suppress(asyncio.CancelledError):
            await self._begin(self._recover(numbers))

    def stop_intake(self) -> None:
        """Take no more slices, and cancel a recovery in progress."""
        self._taking = False
        if self._recovery is not None and not self._recovery.done():
            self._recovery.cancel()

    def release(self) -> None:
        """Forget the tasks: the partitions belong to others now."""
        self._tasks = {}

    async def stop(self) -> None:
        """Stop, after the last checkpoint."""
        self._readiness.state = "stopped"
        self.release()
        await self._creator.stop()

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
        try:
            await raise_if_refused(self.cluster, error)
        except BarwheelError as refusal:
            await self._crash(refusal)
        else:
            log.warning("a Kafka client failed (%s): it tries again", reason_of(error))

    def _begin(self, recovery: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = self._recovery = asyncio.ensure_future(self._watched(recovery))
        return task

    async def _watched(self, recovery: Coroutine[Any, Any, None]) -> None:
        """Run a recovery. If it fails, end the worker: Faust would go on without these partitions."""
        task = asyncio.current_task()
        try:
            await recovery
        except Exception as error:  # noqa: BLE001  # whatever it is
            await self._crash(error)
        except asyncio.CancelledError as error:
            if task is None or task.cancelling():
                raise  # revoked, see `stop_intake`
            # A client raised the cancellation of its own task. Passed on, it would look like a revocation.
            await self._crash(RuntimeError("a recovery was cancelled from inside").with_traceback(error.__traceback__))

    async def _recover(self, numbers: set[int]) -> None:
        try:
            self._tasks = await self._creator.recover(self.cluster, self.topics, numbers)
        except BarwheelError as error:
            await self._crash(error)
            return
        self._taking = True
        self._readiness.state = "running"
        if numbers:
            log.info("ready: partitions %s of %s", ", ".join(map(str, sorted(numbers))), self.settings.ticks_topic)

    async def _restart(self) -> None:
        """Recover all partitions, once the group confirms that they are still ours. Otherwise we would fence the new owner."""
        tasks, self._tasks = self._tasks, {}
        consumer, topic = self.consumer, self.settings.ticks_topic
        if consumer is None:
            return
        self._readiness.state = "waiting"
        tps = {TP(topic, number) for number in tasks}
        consumer.pause_partitions(tps)
        checkpointed = {TP(topic, number): task.checkpointed_to for number, task in tasks.items()}
        await self._persist(lambda: consumer.verify_membership(checkpointed))
        await self._recover(set(tasks))
        await self._persist(lambda: consumer.seek_to(self.positions()))
        consumer.resume_partitions(tps)

    async def _persist(self, attempt: Callable[[], Awaitable[bool | None]]) -> None:
        """Repeat an attempt that returns False, or fails with an error that another attempt may mend."""
        while True:
            try:
                if await attempt() is not False:
                    return
                log.info("the group is rebalancing: waiting to learn whether the partitions are still ours")
            except (kafka_errors.KafkaError, OSError) as error:
                await raise_if_refused(self.cluster, error)
                log.warning("%s: trying again", reason_of(error))
            await asyncio.sleep(VERIFY_SECONDS)
