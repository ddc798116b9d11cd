"""The one place that reaches into Faust: slices of record batches instead of messages, checkpoints instead of acks.

Written for faust-streaming 0.15.3. A Faust message here is a slice of one partition, about 2,000 records or one batch;
what Faust would commit by acknowledged messages is committed by the tasks' checkpoints.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, cast

import faust
from aiokafka.errors import KafkaConnectionError
from faust.transport.drivers import aiokafka as driver
from faust.types import TP, ConsumerMessage

from app.kafka.clock import now_ms
from app.kafka.continuity import Continuity, OffsetGap
from app.kafka.fetcher import Batch, Heads, RawTopics, heads_of, silence_of
from app.kafka.slices import GapError, Slice

if TYPE_CHECKING:
    from agents.tasks import TaskManager

log = logging.getLogger(__name__)
FAUST_VERSION = "0.15.3"
SLICE_RECORDS = 2_000
FETCH_WAIT_MS = 200  # how long the broker holds an empty answer: the idle timer is at most this much late
POLL_SECONDS = 1.0
LEAVE_SECONDS = 5.0  # for the group's leaving
LAST_SECONDS = 10.0  # for the last checkpoint: without a broker it would wait for ever, and nothing depends on it
CONNECT_SECONDS = 1.0  # between two tries to connect


class SliceSchema(faust.Schema[Any, Any]):
    """Hands a slice through as it is."""

    def loads_key(self, app: Any, message: Any, **_: Any) -> Any:  # noqa: ARG002  # Faust's signature
        """There is no key."""
        return message.key

    def loads_value(self, app: Any, message: Any, **_: Any) -> Any:  # noqa: ARG002  # Faust's signature
        """The slice."""
        return message.value


async def _patiently(start: Callable[[], Awaitable[None]]) -> None:
    """Start a client, also where the broker went away since it was last seen; Faust would end the worker."""
    while True:
        try:
            await start()
        except KafkaConnectionError as error:
            log.warning("the broker is away (%s): trying again in %.0f s", error, CONNECT_SECONDS)
            await asyncio.sleep(CONNECT_SECONDS)
        else:
            return


class Producer(driver.Producer):
    """Faust's own producer, which nothing here sends with, but which Faust starts."""

    async def on_start(self) -> None:
        """Connect."""
        await _patiently(super().on_start)

    async def on_stop(self) -> None:
        """Close, if it ever came up."""
        if self._producer is not None:
            await super().on_stop()


class ConsumerThread(driver.AIOKafkaConsumerThread):
    """Faust's consumer thread with a consumer that yields raw batches of the input topic."""

    def _create_worker_consumer(self, transport: Any) -> Any:
        consumer = super()._create_worker_consumer(transport)
        tasks: TaskManager = self.app.task_manager  # type: ignore[attr-defined]
        consumer._key_deserializer = RawTopics(frozenset({tasks.settings.ticks_topic}))  # noqa: SLF001
        consumer._fetch_max_wait_ms = FETCH_WAIT_MS  # noqa: SLF001  # Faust offers no setting for it
        consumer._isolation_level = "read_committed"  # noqa: SLF001  # an aborted transaction's ticks are none
        consumer._partition_assignment_strategy = (tasks.assignor,)  # noqa: SLF001  # round robin that tells addresses
        return consumer

    async def on_start(self) -> None:
        """Connect."""
        await _patiently(super().on_start)

    async def on_thread_stop(self) -> None:
        """Leave the group and close, unless there is no broker to say it to."""
        try:
            async with asyncio.timeout(LEAVE_SECONDS):
                await super().on_thread_stop()
        except TimeoutError:
            log.warning("the broker does not answer: left without a word, it gives the partitions on by itself")

    def heads(self) -> Heads:
        """The ends of the log as the fetcher saw them."""
        return heads_of(self._ensure_consumer())

    def silence(self) -> float:
        """Seconds since the broker answered a fetch."""
        return silence_of(self._ensure_consumer())


class Consumer(driver.Consumer):
    """A Faust consumer that reads slices and commits checkpoints."""

    slice_records: ClassVar[int] = SLICE_RECORDS
    _thread: ConsumerThread

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._continuity: dict[TP, Continuity] = {}  # of the partitions that have been sought
        self._gaps_met: dict[tuple[TP, OffsetGap], int] = {}  # how often each was met

    def _new_consumer_thread(self) -> ConsumerThread:
        return ConsumerThread(self, loop=self.loop, beacon=self.beacon)

    @property
    def tasks(self) -> TaskManager:
        """What the slices are for."""
        tasks: TaskManager = self.app.task_manager  # type: ignore[attr-defined]
        return tasks

    def heads(self) -> Heads:
        """The ends of the log, for the timer."""
        return self._thread.heads()

    def silence(self) -> float:
        """Seconds since the broker answered a fetch."""
        return self._thread.silence()

    def verify_event_path(self, now: float, tp: TP) -> None:
        """Faust's check for a stuck stream watches per-message acks, which there are none of."""

    async def _drain_messages(self, fetcher: Any) -> None:
        consumer_stopped, fetcher_stopped = self._stopped.is_set, fetcher._stopped.is_set  # noqa: SLF001
        try:
            while not (consumer_stopped() or fetcher_stopped()):
                await asyncio.sleep(0)
                await self._drain_once()
        except asyncio.CancelledError:
            if not self.transport.app.should_stop:
                raise
        except Exception as error:  # noqa: BLE001  # whatever it is, the app must hear of it
            if not (self.transport.app.should_stop and isinstance(error, tuple(self.consumer_stopped_errors))):
                await self.tasks.failed(error)

    async def _drain_once(self) -> None:
        records, active = await self._wait_next_records(POLL_SECONDS)
        if not records or self.should_stop:
            return
        if not self.flow_active:
            await self.perform_seek()
            return
        owners, generation, fetched = self.tasks.running(), self.app.consumer_generation_id, now_ms()
        for tp, batches in records.items():
            reading = tp in (active or ()) or tp in self._buffered_partitions
            if tp.partition not in owners or not reading:
                continue
            parts = list(cut(await self._in_order(tp, batches), self.slice_records))
            for number, part in enumerate(parts, 1):
                if not self._goes_on(generation):
                    return
                value = Slice(tp.partition, owners[tp.partition], part, fetched, last=number == len(parts))
                offset = part[-1].next_offset - 1
                message = ConsumerMessage(
                    *(tp.topic, tp.partition, offset, 0.0, 0, None, None, cast("Any", value), None, 0, 0),
                    tp=tp,
                    generation_id=generation,
                )
                await self.wait_first(self.callback(message), self.suspend_flow.wait())

    async def _in_order(self, tp: TP, batches: list[Batch]) -> list[Batch]:
        """The batches that follow on what was handed on before; what is missing in between is fetched again."""
        continuity = self._continuity.get(tp)
        if continuity is None:
            return []  # not sought yet: whatever this is, it will be read again
        if batches and batches[-1].next_offset < continuity.next_offset:
            text = f"{tp.topic}[{tp.partition}]: offset {batches[-1].base_offset} came, after {continuity.next_offset - 1}"
            await self.tasks.failed(GapError(text))  # recovery knows whether the topic was made anew
            return []
        taken, gap = continuity.take(batches)
        if gap is not None:
            seen = self._gaps_met[tp, gap] = self._gaps_met.get((tp, gap), 0) + 1
            if seen == 1:
                await self.seek_wait({tp: continuity.next_offset})
            elif seen == 2:  # noqa: PLR2004  # recovery knows what to do where retention was faster
                await self.tasks.failed(GapError(f"{tp.topic}[{tp.partition}]: offsets {gap[0]} to {gap[1] - 1} did not come"))
            else:
                log.warning("%s[%d]: there are no offsets %d to %d; going on", tp.topic, tp.partition, gap[0], gap[1] - 1)
                taken.append(continuity.skip(gap))
        return taken

    def _goes_on(self, generation: int) -> bool:
        return self.flow_active and self.app.consumer_generation_id == generation

    async def _commit_tps(self, tps: Iterable[TP], start_new_transaction: bool) -> bool:  # noqa: ARG002, FBT001  # Faust's signature
        self._acked.clear()
        self._acked_index.clear()
        self._n_acked = 0
        await self.tasks.checkpoint()
        return False  # the offsets are part of it

    async def verify_membership(self, offsets: Mapping[TP, int]) -> bool:
        """Whether the group takes these offsets from us: only from a member whose partitions they are."""
        return await self._commit(offsets)

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Stop reading, make everything so far durable, then let the partitions go."""
        self.stop_flow()
        self._continuity.clear()
        self.app.flow_control.suspend()
        self.app.flow_control.clear()
        self.tasks.stop_intake()
        await self.maybe_wait_for_commit_to_finish()
        await self.commit()
        self.tasks.release()
        await super().on_partitions_revoked(revoked)

    async def on_stop(self) -> None:
        """Checkpoint, commit and leave."""
        self.tasks.stop_intake()
        try:
            async with asyncio.timeout(LAST_SECONDS):
                await self.maybe_wait_for_commit_to_finish()
                await self.commit()
        except TimeoutError:
            log.warning("no last checkpoint within %.0f s: the next start goes on from the one before", LAST_SECONDS)
        await self.tasks.stop()
        await super().on_stop()

    async def perform_seek(self) -> None:
        """Go to where the recovered partitions are; the group's committed offsets decide nothing."""
        positions = self.tasks.positions()
        await self.go_to({tp: positions[tp] for tp in self.assignment() if tp in positions})

    async def go_to(self, positions: Mapping[TP, int]) -> None:
        """Go on reading there, and nowhere else."""
        self._continuity = {tp: Continuity(offset) for tp, offset in positions.items()}
        if positions:
            await self.seek_wait(positions)


def cut(batches: list[Batch], limit: int) -> Iterator[list[Batch]]:
    """Slices of whole batches, each about `limit` records or one batch."""
    part: list[Batch] = []
    size = 0
    for batch in batches:
        part.append(batch)
        size += batch.next_offset - batch.base_offset
        if size >= limit:
            yield part
            part, size = [], 0
    if part:
        yield part


class Transport(driver.Transport):
    """Faust's aiokafka transport with our consumer."""

    Consumer = Consumer
    Producer = Producer
