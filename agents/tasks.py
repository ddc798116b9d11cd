"""The partitions this worker owns: recovered on assignment, checkpointed together, recovered again after a failed send."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from typing import TYPE_CHECKING, Any

from aiokafka import errors as kafka_errors
from faust.types import TP

from agents.metrics import Metrics
from agents.recovery import recover, stop_if_given_up
from agents.side_outputs import SIDE_MARGIN
from agents.task import PartitionTask, now_ms
from agents.topics import check_partitions
from app.errors import BarwheelError, BrokerError
from app.kafka.assignor import AddressAssignor
from app.kafka.cluster import Cluster
from app.kafka.producer_pool import ProducerPool
from app.kafka.producers import PERMANENT_WRITE_ERRORS
from app.kafka.reader import Reader
from app.kafka.slices import GapError, Slice
from app.settings import Settings

if TYPE_CHECKING:
    from agents.topics import TopicsReport
    from app.driver.consumer import Consumer

log = logging.getLogger(__name__)
BACKOFF_SECONDS = (0.5, 30.0)  # first and longest wait between two tries
SILENT_SECONDS = 5.0  # without an answer to a fetch, which is there in 0.2 s where there is nothing new
FULL_SECONDS = 1.0  # for which a fetch of more than one slice tells that there is more
STOP_SECONDS = 3.0  # for the producers at the end
CONFIRM_SECONDS = 1.0  # between two questions to the group
CHECKPOINT_SHARE = 20  # checkpoints take about a twentieth of the time at most
STATE_SECONDS = 8e-6  # of CPU for each state in one


class TaskManager:
    """All that is between Faust's consumer and the engines. `crash` ends the worker with an error."""

    def __init__(self, settings: Settings, crash: Callable[[BaseException], Awaitable[None]]) -> None:
        self.settings = settings
        self.cluster = Cluster("")
        self.metrics = Metrics(settings.grace)
        self.url = ""  # of the web port, as other workers are told it
        self.assignor = AddressAssignor(settings.ticks_topic, lambda: self.url)
        self.topics: TopicsReport | None = None
        self.consumer: Consumer | None = None
        self.state = "starting"  # then recovering, running, waiting (for the broker), stopped
        self._crash = crash
        self._producers = ProducerPool(settings)
        self._between: dict[int, asyncio.Task[None]] = {}  # checkpoints that the timer did not ask for, by partition
        self._partitions: dict[int, PartitionTask] = {}
        self._open = False  # whether slices are taken
        self._full_at = float("-inf")  # when a fetch brought more than one slice (monotonic)
        self._recovery: asyncio.Task[None] | None = None
        self._recovered: tuple[Reader, int, int] | None = None  # while it is under way: partitions done, and of how many

    # ---- what others ask

    def owners(self) -> dict[int, PartitionTask]:
        """The partitions at work now, by number."""
        return dict(self._partitions)

    def positions(self) -> dict[TP, int]:
        """Where each partition goes on reading."""
        return {TP(self.settings.ticks_topic, n): p.consumed_to for n, p in self._partitions.items()}

    @property
    def catching_up(self) -> bool:
        """Whether more is there to be read than what has just been written."""
        return time.monotonic() - self._full_at < FULL_SECONDS

    # ---- the walk of a slice

    async def feed(self, part: Slice) -> None:
        """Process a slice, unless its partition has been given away or recovered since it was fetched."""
        owner = self._partitions.get(part.partition)
        if not self._open or owner is None or owner is not part.task:
            return
        if not part.last:
            self._full_at = time.monotonic()
        try:
            await owner.feed(part)
        except Exception as error:  # noqa: BLE001  # Faust would go on with the next slice
            await self.failed(error)
            return
        if self.catching_up and self._begin_checkpoint(owner):
            await asyncio.sleep(0)  # it has its turn before the next slice opens more windows

    async def tick(self) -> None:
        """One turn of the wheel's task."""
        self.metrics.turned(self.settings.wheel_tick / 1_000)
        if not self._open or self.consumer is None:
            return
        try:
            heads = self.consumer.heads()
            for number, partition in self.owners().items():
                head = heads.get((self.settings.ticks_topic, number))
                if head is not None:
                    await partition.tick(head, now_ms())
        except Exception as error:  # noqa: BLE001  # a task that dies silently would leave bars open
            await self.failed(error)

    async def checkpoint(self) -> None:
        """Checkpoint every partition that can afford it; all of them where it is the last one."""
        await self._checkpoint([p for p in self._partitions.values() if not self._open or self._affordable(p)])

    async def _checkpoint(self, partitions: Iterable[PartitionTask]) -> None:
        try:
            await asyncio.gather(*(partition.checkpoint() for partition in partitions))
        except Exception as error:  # noqa: BLE001  # Faust would only log it
            await self.failed(error, last=not self._open)

    def _affordable(self, partition: PartitionTask) -> bool:
        """Whether enough time has passed for as many states as it would write.

        While much is read at once, every window is in a checkpoint, and one a second could take all the time. Just after a
        minute has closed few windows are open: then it costs little, and what was published is covered.
        """
        wait = CHECKPOINT_SHARE * len(self._partitions) * STATE_SECONDS * partition.engine.states_due
        return time.monotonic() - partition.checkpointed >= wait

    def _begin_checkpoint(self, partition: PartitionTask) -> bool:
        """Begin one at the right moment, for which the timer comes too seldom while much is read at once."""
        number, running = partition.number, self._between.get(partition.number)
        enough = time.monotonic() - partition.checkpointed >= self.settings.checkpoint_interval / 1_000
        if (running is not None and not running.done()) or not enough or not self._affordable(partition):
            return False
        self._between[number] = asyncio.ensure_future(self._checkpoint([partition]))
        return True

    # ---- partitions come and go

    async def assign(self, numbers: set[int]) -> None:
        """Recover these partitions; returns when they are ready, or when they were taken away meanwhile."""
        self._partitions = {}
        with contextlib.suppress(asyncio.CancelledError):
            await self._begin(self._recover(numbers))

    def _begin(self, recovery: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = self._recovery = asyncio.ensure_future(self._watched(recovery))
        return task

    async def _watched(self, recovery: Coroutine[Any, Any, None]) -> None:
        """A recovery that ends the worker where it ends too early: Faust would go on without these partitions."""
        task = asyncio.current_task()
        try:
            await recovery
        except Exception as error:  # noqa: BLE001  # whatever it is
            await self._crash(error)
        except asyncio.CancelledError as error:
            if task is None or task.cancelling():
                raise  # taken away, see `stop_intake`
            # out of a client whose own task was cancelled: it would look as if the partitions had been taken away
            await self._crash(RuntimeError("a recovery was cancelled from inside").with_traceback(error.__traceback__))

    async def _recover(self, numbers: set[int]) -> None:
        self.state = "recovering"
        began = time.monotonic()
        wait = BACKOFF_SECONDS[0]
        while True:
            try:
                partitions = await self._try_recover(numbers)
                break
            except BarwheelError as error:
                await self._crash(error)
                return
            except kafka_errors.KafkaError as error:
                if isinstance(error, PERMANENT_WRITE_ERRORS):
                    await self._crash(BrokerError(f"the broker refused a write: {error}"))
                    return
                self.state = "waiting"
                log.warning("the broker is away (%s): trying again in %.1f s", error, wait)
                await asyncio.sleep(wait * random.uniform(0.8, 1.2))  # noqa: S311  # jitter
                wait = min(wait * 2, BACKOFF_SECONDS[1])
        stop_if_given_up()
        self.metrics.recovery.add(time.monotonic() - began)
        self._partitions = partitions
        self._open = True
        self.state = "running"
        if numbers:
            log.info("ready: partitions %s of %s", ", ".join(map(str, sorted(numbers))), self.settings.ticks_topic)

    async def _try_recover(self, numbers: set[int]) -> dict[int, PartitionTask]:
        settings, topics = self.settings, self.topics
        if topics is None:
            raise BrokerError("the topics have not been checked yet")
        await check_partitions(settings, self.cluster, topics.partitions)
        producers = self._producers
        await producers.stop()  # every send of the old ones has ended before anything is read
        stop_if_given_up()
        await producers.renew(self.cluster, sorted(numbers), max_request=topics.max_message_bytes + SIDE_MARGIN)
        names = frozenset({settings.ticks_topic, settings.finals_topic, settings.changelog_topic})
        partitions: dict[int, PartitionTask] = {}
        if not numbers:
            return partitions
        stop_if_given_up()
        async with Reader(self.cluster, names) as reader:
            for done, number in enumerate(sorted(numbers)):
                self._recovered = (reader, done, len(numbers))
                found = await recover(reader, settings, number, topics.partitions)
                stop_if_given_up()
                partition = PartitionTask(
                    settings,
                    number,
                    found,
                    producers.checkpoints[number],
                    producers.finals,
                    append_time=topics.log_append_time,
                    max_record=topics.max_side_bytes,
                    metrics=self.metrics,
                )
                if partition.needs_first_checkpoint:  # no position record means that nothing was ever sent
                    await partition.checkpoint()
                partitions[number] = partition
        return partitions

    async def failed(self, error: BaseException, *, last: bool = False) -> None:
        """Something went wrong under way: with the broker, recover and go on; anything else ends the worker.

        `last`: in the checkpoint before the partitions go, which no bar depends on.
        """
        if not self._open and not last:
            return
        self._open = False
        refused = isinstance(error, PERMANENT_WRITE_ERRORS)
        if isinstance(error, (GapError, kafka_errors.KafkaError)) and not refused:
            then = "no last checkpoint, whoever is next goes on from the one before" if last else "recovering the partitions"
            log.warning("%s: %s; %s", type(error).__name__, error, then)
            if not last:
                self._begin(self._restart())
        else:
            await self._crash(BrokerError(f"the broker refused a write: {error}") if refused else error)

    async def _restart(self) -> None:
        """Recover all partitions, once the group says that they are still ours: it would end what another owner is at."""
        partitions, self._partitions = self._partitions, {}
        consumer = self.consumer
        if consumer is None:
            return
        self.state = "waiting"
        tps = {TP(self.settings.ticks_topic, number) for number in partitions}
        consumer.pause_partitions(tps)
        checkpointed = {
            TP(self.settings.ticks_topic, number): partition.checkpointed_to for number, partition in partitions.items()
        }
        while not await consumer.verify_membership(checkpointed):
            log.info("the group is about to give the partitions to others, or did: waiting for its word")
            await asyncio.sleep(CONFIRM_SECONDS)
        await self._recover(set(partitions))
        await consumer.seek_to(self.positions())
        consumer.resume_partitions(tps)

    def stop_intake(self) -> None:
        """Take no more slices; a recovery under way is given up."""
        self._open = False
        if self._recovery is not None and not self._recovery.done():
            self._recovery.cancel()

    def release(self) -> None:
        """Forget the partitions: they belong to others now."""
        self._partitions = {}

    async def stop(self) -> None:
        """The end: after the last checkpoint."""
        self.state = "stopped"
        self.release()
        try:
            async with asyncio.timeout(STOP_SECONDS):
                await self._producers.stop()
        except TimeoutError:
            log.warning("the broker has not taken what was sent to it: the next start looks what became of it")

    def readiness(self) -> dict[str, Any]:
        """The state, and how far a recovery is."""
        answer: dict[str, Any] = {"state": self.state}
        if self.state == "running" and self._partitions and self.consumer is not None:
            silence = self.consumer.silence()
            if silence > SILENT_SECONDS:
                return {"state": "waiting", "broker_silent_for": round(silence, 1)}
        if self.state in {"recovering", "waiting"} and self._recovered is not None:
            reader, done, partitions = self._recovered
            where, offset, end = reader.reading
            answer["recovery"] = {"partitions": partitions, "done": done, "reading": where, "offset": offset, "end": end}
        return answer
