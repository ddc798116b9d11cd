"""The Faust consumer: it delivers slices of record batches instead of messages, and checkpoints instead of acks.

Written for faust-streaming 0.15.3. A Faust message holds a slice of one partition, about 8,000 records in whole batches, or
several smaller ones: what a fetch brings at live pace is one message. Where Faust would commit the offsets of acknowledged
messages, the partition tasks make a checkpoint, which holds them.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, cast

from aiokafka.errors import CorruptRecordException, KafkaError
from faust.transport.drivers import aiokafka as driver
from faust.types import TP, ConsumerMessage

from app.driver.clients import ConsumerThread
from app.driver.messages import cut, message_of, packed, records_in, run_unless_suspended
from app.driver.task_protocol import Tasks
from app.errors import StateError
from app.kafka.clock import steady_ms
from app.kafka.continuity import Continuity, OffsetGap
from app.kafka.failures import reason_of
from app.kafka.fetcher import Heads
from app.kafka.records import Batch
from app.kafka.slices import FULL_FETCH, GapError, Slice

log = logging.getLogger(__name__)
FAUST_VERSION = "0.15.3"
SLICE_RECORDS = 8_000  # each slice costs as much as some thousand ticks
POLL_SECONDS = 1.0
ERROR_SECONDS = 0.5  # after an error, before the next fetch
MAX_CORRUPT = 3  # fetches in a row that held a batch with a wrong checksum, before the worker ends
# Without a broker, or a leader of one partition, it would take for ever, and no bar depends on it. A rebalance waits for it as
# well, and a member that joins later than after 60 s (Faust's broker_rebalance_timeout) is removed from the group.
LAST_CHECKPOINT_SECONDS = 10.0


class Consumer(driver.Consumer):
    """A Faust consumer that reads slices and commits checkpoints."""

    slice_records: ClassVar[int] = SLICE_RECORDS
    full_fetch: ClassVar[int] = FULL_FETCH
    error_pause: ClassVar[float] = ERROR_SECONDS
    last_checkpoint_seconds: ClassVar[float] = LAST_CHECKPOINT_SECONDS
    _thread: ConsumerThread

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._continuity: dict[TP, Continuity] = {}  # of the partitions whose position has been set
        self._corrupt = 0  # fetches in a row that held a batch with a wrong checksum
        self._gap_counts: dict[tuple[TP, OffsetGap], int] = {}  # how often each gap was met

    def _new_consumer_thread(self) -> ConsumerThread:
        return ConsumerThread(self, loop=self.loop, beacon=self.beacon)

    @property
    def tasks(self) -> Tasks:
        """The partition tasks, which process the slices."""
        tasks: Tasks = cast("Any", self.transport).tasks
        return tasks

    def heads(self) -> Heads:
        """The ends of the log, as the last empty fetch responses said."""
        return self._thread.heads()

    def silence(self) -> float:
        """Seconds since the broker last answered a fetch."""
        return self._thread.silence()

    def refusals(self) -> int:
        """How often a fetch response had an error for a partition."""
        return self._thread.refusals()

    # ---- reading

    async def seek_to(self, positions: Mapping[TP, int]) -> None:
        """Read these partitions from these offsets, and no others."""
        self._continuity = {}
        await self.begin_at(positions)

    async def begin_at(self, positions: Mapping[TP, int]) -> None:
        """Read these partitions from these offsets as well."""
        self._continuity |= {tp: Continuity(offset) for tp, offset in positions.items()}
        if positions:
            await self.seek_wait(positions)

    async def perform_seek(self) -> None:
        """Start reading where the recovered tasks are; the group's committed offsets are not used.

        A partition without a task is not read. Where the seek fails, the tasks recover and seek again. Faust, which calls this
        too, would end the worker.
        """
        positions, assigned = self.tasks.positions(), self.assignment()
        if without := assigned - positions.keys():
            self.pause_partitions(without)
        try:
            await self.seek_to({tp: positions[tp] for tp in assigned if tp in positions})
        except (KafkaError, OSError) as error:
            await self.tasks.handle_error(error)

    async def _drain_messages(self, fetcher: Any) -> None:
        consumer_stopped, fetcher_stopped = self._stopped.is_set, fetcher._stopped.is_set  # noqa: SLF001  # as Faust's own does
        task = asyncio.current_task()
        met: Exception | None = None  # reported inside `try`, because the report may fail as well
        while not (consumer_stopped() or fetcher_stopped()):
            try:
                if met is not None:
                    error, met = met, None
                    await self._report(error)
                await asyncio.sleep(0)
                await self._deliver_fetched()
            except asyncio.CancelledError:
                if self.transport.app.should_stop:
                    return
                if task is None or task.cancelling():
                    raise
                met = KafkaError("a task of the Kafka client was cancelled from inside")
            except Exception as error:  # noqa: BLE001  # the end of this task would look like a topic without ticks
                if self.transport.app.should_stop and isinstance(error, tuple(self.consumer_stopped_errors)):
                    return
                met = error

    async def _report(self, error: Exception) -> None:
        """Report an error: the tasks recover and seek, or end the worker. The caller reads on, as neither waits for it.

        A batch whose checksum is wrong is fetched again; the third time, end the worker.
        """
        if isinstance(error, CorruptRecordException):
            self._corrupt += 1
            if self._corrupt == MAX_CORRUPT:
                error = StateError(
                    f"{reason_of(error)}: {MAX_CORRUPT} fetches in a row brought it; restore the partition from a replica, "
                    "or set another app_id and topics_prefix and start=latest to begin after it"
                )
        await self.tasks.handle_error(error)
        await asyncio.sleep(self.error_pause)

    async def _deliver_fetched(self) -> None:
        """Wait for a fetch, and deliver its batches as slices."""
        self._thread.pace.no_bar_before = min((task.no_bar_before for task in self.tasks.running().values()), default=0)
        records, active = await self._wait_next_records(POLL_SECONDS)
        if not records or self.should_stop:
            return
        if not self.flow_active:
            await self.perform_seek()
            return
        owners, generation, fetched = self.tasks.running(), self.app.consumer_generation_id, steady_ms()
        slices: list[Slice] = []
        for tp, batches in records.items():
            if tp.partition not in owners or not (tp in (active or ()) or tp in self._buffered_partitions):
                continue
            taken = await self._without_gaps(tp, batches)
            whole = Slice(tp.partition, owners[tp.partition], taken, fetched, full=records_in(taken) > self.full_fetch)
            slices += cut(whole, self.slice_records)
        for together in packed(slices, self.slice_records):
            message = message_of(self.tasks.settings.input_topic, together, generation)
            await run_unless_suspended(self, self._hand_on(message))

    async def _hand_on(self, message: ConsumerMessage) -> None:
        if not self.flow_active or self.app.consumer_generation_id != message.generation_id:
            return  # a rebalance has begun since the fetch
        await self.callback(message)
        self._corrupt = 0

    async def _without_gaps(self, tp: TP, batches: list[Batch]) -> list[Batch]:
        """The batches that follow those delivered before, up to the first gap."""
        continuity = self._continuity.get(tp)
        if continuity is None:
            return []  # its position has not been set yet: these batches will be read again
        if batches and batches[-1].next_offset < continuity.next_offset:
            text = f"{tp.topic}[{tp.partition}]: offset {batches[-1].base_offset} came, after {continuity.next_offset - 1}"
            await self.tasks.handle_error(GapError(text))  # the recovery checks whether the topic was deleted and created again
            return []
        taken, gap = continuity.take(batches)
        if gap is not None:
            await self._handle_gap(tp, gap)
        return taken

    async def _handle_gap(self, tp: TP, gap: OffsetGap) -> None:
        """Seek back at first; then recover, which notices records deleted by retention; the third time, end the worker."""
        count = self._gap_counts[tp, gap] = self._gap_counts.get((tp, gap), 0) + 1
        where, first, last = f"{tp.topic}[{tp.partition}]", gap[0], gap[1] - 1
        if count == 1:
            await self.seek_wait({tp: first})
        elif count == 2:  # noqa: PLR2004  # see the docstring
            await self.tasks.handle_error(GapError(f"{where}: offsets {first} to {last} did not come"))
        else:
            await self.tasks.handle_error(
                StateError(
                    f"{where}: there are no offsets {first} to {last}, as in a topic that was compacted: give another "
                    "ticks_topic, or set another app_id and topics_prefix and start=latest to begin after them"
                )
            )

    # ---- checkpoints and the group

    def verify_event_path(self, now: float, tp: TP) -> None:
        """Faust's check for a stuck stream: it does nothing, because it counts acks of messages, and there are none."""

    async def _commit_tps(self, tps: Iterable[TP], start_new_transaction: bool) -> bool:  # noqa: ARG002, FBT001  # Faust's signature
        self._acked.clear()
        self._acked_index.clear()
        self._n_acked = 0
        await self.tasks.checkpoint()
        return False  # Faust must commit no offsets: the checkpoint holds them

    async def verify_membership(self, offsets: Mapping[TP, int]) -> bool:
        """Commit these offsets; the group accepts them only from a member that owns the partitions."""
        return await self._commit(offsets)

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Stop reading, make a last checkpoint, then release the partitions."""
        if revoked:
            log.info("revoked: %d partitions, released after a last checkpoint", len(revoked))
        self.stop_flow()
        self._continuity.clear()
        self.app.flow_control.suspend()
        self.app.flow_control.clear()
        self.tasks.stop_intake()
        await self._last_checkpoint("the next owner")
        self.tasks.release()
        await super().on_partitions_revoked(revoked)

    async def on_stop(self) -> None:
        """Make a last checkpoint, then leave the group."""
        self.tasks.stop_intake()
        await self._last_checkpoint("the next start")
        await self.tasks.stop()
        await super().on_stop()

    async def _last_checkpoint(self, successor: str) -> None:
        """Make a last checkpoint, within a limit. `successor` does over what a checkpoint that is given up would have covered.

        Faust's `commit` cannot be given up: while it waits for another commit, it takes a cancellation for the end of that one.
        """
        checkpoint = asyncio.ensure_future(self._commit_tps((), False))
        done, _ = await asyncio.wait([checkpoint], timeout=self.last_checkpoint_seconds)
        if done:
            checkpoint.result()
            return
        checkpoint.cancel()
        await self.tasks.abandon()
        log.warning(
            "no last checkpoint within %.0f s: the partitions are released without it; %s goes on from the one before, and "
            "publishes what is missing",
            self.last_checkpoint_seconds,
            successor,
        )
