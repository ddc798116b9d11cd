"""Changes to aiokafka's consumer: it yields raw record batches, and it knows where the log ended.

Written for aiokafka 0.14.0. Importing this module installs the changes, see `install`. A consumer made with
`key_deserializer=RawTopics({...})` gets whole Cython record batches of those topics from `getmany`, instead of a Python
object for each record, `Skipped` in place of control records and aborted transactions, `OldBatch` for message formats before
2, and `LeaderEpoch` where the leader epoch changes. `Heads` holds, for each partition, the last fetch response that was empty:
it proves that the log ended there.
"""

from __future__ import annotations

import asyncio
import copy
import struct
import time
from collections.abc import Awaitable, Callable, Container, Iterator
from typing import Any, NamedTuple

import aiokafka
from aiokafka import conn as conn_module
from aiokafka.consumer import consumer as consumer_module
from aiokafka.consumer import fetcher as fetcher_module
from aiokafka.errors import CorruptRecordException, KafkaError
from aiokafka.record.legacy_records import LegacyRecordBatch

from app.kafka.caught_up import CaughtUpLeaders
from app.kafka.clock import steady_ms
from app.kafka.fetch_pace import FetchPace
from app.kafka.leader_epochs import EpochedRecords
from app.kafka.leaders import Place
from app.kafka.raw_batches import Checksum, RawBatch
from app.kafka.records import NO_EPOCH, LeaderEpoch, OldBatch, Skipped
from app.kafka.responses import ResponseProtocol

AIOKAFKA_VERSION = "0.14.0"
FETCH_AGAIN_SECONDS = 1.0  # after an error that aiokafka did not expect
REJOIN_SECONDS = 1.0  # after an error of the group
CANCEL_SECONDS = 0.2  # between two cancellations of a task that does not end
METADATA_TRIES, METADATA_SECONDS = 50, 0.2  # tries of a group's leader to learn about its topics, and the pause between them


class RawTopics:
    """Marks the topics whose batches a consumer yields raw.

    It is passed as the key deserializer, because aiokafka hands that through to the place where records are unpacked.
    """

    def __init__(self, topics: Container[str], checksum: Checksum | None = None) -> None:
        """`checksum`: computes CRC-32C; then batches can also be read as bytes, see `RawBatch`. None: aiokafka computes it."""
        self.topics = topics
        self.checksum = checksum

    def __call__(self, key: bytes | None) -> bytes | None:
        """The unchanged key of a record of another topic."""
        return key


class AllTopics:
    """Contains every topic, for a consumer whose topics are not known when it is made."""

    def __contains__(self, topic: object) -> bool:
        return True


class Head(NamedTuple):
    """An empty fetch response: the log ended at `offset` some time after `sent`, the time of the request by `steady_ms`."""

    offset: int
    sent: int


Heads = dict[Any, Head]  # by aiokafka's TopicPartition, which equals a plain (topic, partition) tuple


class RawPartitionRecords(fetcher_module.PartitionRecords):  # type: ignore[misc]  # aiokafka has no types
    """Yields the batches of raw topics, with the checks of the original: CRC, aborted transactions, control records."""

    def _unpack_records(self) -> Iterator[Any]:
        raw = self._key_deserializer
        if not isinstance(raw, RawTopics) or self._tp.topic not in raw.topics:
            yield from super()._unpack_records()
            return
        records, leader_epoch = self._records, NO_EPOCH
        while records.has_next():
            batch = records.next_batch()
            whole: Any = batch
            if raw.checksum is not None and self._check_crcs and type(batch) is not LegacyRecordBatch:
                whole = RawBatch(batch, records.last(), raw.checksum, self._tp)
            elif self._check_crcs and not batch.validate_crc():
                raise CorruptRecordException(f"Invalid CRC - {self._tp}")
            if type(batch) is LegacyRecordBatch:
                batch = whole = self._converted(batch)
            elif leader_epoch != records.leader_epoch:
                leader_epoch = records.leader_epoch
                yield LeaderEpoch(batch.base_offset, leader_epoch)
            self.next_fetch_offset = batch.next_offset
            yield Skipped(batch.base_offset, batch.next_offset) if self._is_skipped(batch) else whole

    def _converted(self, batch: Any) -> OldBatch:
        """A batch of an old format. A codec that is not there is raised as it is: the worker ends with its name."""
        try:
            return OldBatch.of(batch)
        except (ValueError, AssertionError, struct.error) as error:
            raise CorruptRecordException(f"{self._tp}: a message of an old format before offset {batch.next_offset}") from error

    def _is_skipped(self, batch: Any) -> bool:
        if type(batch) is OldBatch:
            return False
        if self._isolation_level == fetcher_module.READ_COMMITTED and batch.producer_id is not None:
            self._consume_aborted_up_to(batch.base_offset)
            if batch.is_control_batch and self._contains_abort_marker(batch):
                self._aborted_producers.discard(batch.producer_id)
            if batch.is_transactional and batch.producer_id in self._aborted_producers:
                return True
        return bool(batch.is_control_batch)


class _ObservedClient:
    """Wraps the fetcher's client. Notes when the broker last answered a fetch, and which partitions had nothing new."""

    def __init__(self, client: Any, heads: Heads) -> None:
        self._client = client
        self._heads = heads
        self.last_response = time.monotonic()
        self.refusals = 0  # of partitions in fetch responses: there is another leader, or another topic of that name, or none
        self.pace: FetchPace | None = None  # see `pace_fetches`
        self._caught_up = CaughtUpLeaders(client)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    async def send(self, node_id: int, request: Any, **options: Any) -> Any:
        is_fetch = type(request) is fetcher_module.FetchRequest
        if is_fetch and self.pace is not None:
            await self.pace.wait(node_id)
        sent = steady_ms()
        response = await self._client.send(node_id, request, **options)
        if is_fetch:
            self.last_response = time.monotonic()
            if self.pace is not None:
                self.pace.answered(node_id, _behind(request, response))
            ends: dict[Place, int] = {}
            for topic, partitions in response.topics:
                for partition, error_code, highwater, *rest in partitions:
                    records = rest[-1]
                    # Since version 4 a response also has the last stable offset. Up to it, transactions are decided. Behind
                    # it are records that have arrived and cannot be read yet, so the log has not ended there.
                    stable = rest[0] if response.API_VERSION >= 4 else highwater  # noqa: PLR2004  # see above
                    if not error_code and not records and stable == highwater:
                        ends[topic, partition] = highwater
                    if error_code:
                        self.refusals += 1
                        self._caught_up.forget((topic, partition))
            for place, end in (await self._caught_up.among(node_id, ends)).items():
                self._heads[place] = Head(end, sent)
        return response


def _behind(request: Any, response: Any) -> int:
    """How many offsets before the high watermark a fetch began, at most, of the partitions that gave records."""
    began = {(topic, number): offset for topic, parts in request.topics for number, offset, *_ in parts}
    ends = ((topic, number, end) for topic, parts in response.topics for number, _, end, *rest in parts if rest[-1])
    return max((end - began[topic, number] for topic, number, end in ends), default=0)


class HeadFetcher(fetcher_module.Fetcher):  # type: ignore[misc]  # aiokafka has no types
    """A fetcher that also remembers where the log ended, and when it asked."""

    def __init__(self, client: Any, subscriptions: Any, **options: Any) -> None:
        self.heads: Heads = {}
        super().__init__(_ObservedClient(client, self.heads), subscriptions, **options)

    @property
    def silence(self) -> float:
        """Seconds since the broker last answered a fetch."""
        return time.monotonic() - float(self._client.last_response)

    @property
    def refusals(self) -> int:
        """How often a fetch response had an error for a partition."""
        return int(self._client.refusals)

    async def _fetch_requests_routine(self) -> None:
        """Fetch until cancelled. An error that aiokafka did not expect would end the fetching for good; it has logged it."""
        while True:
            try:
                await super()._fetch_requests_routine()
            except KafkaError:
                await asyncio.sleep(FETCH_AGAIN_SECONDS)
            else:
                return

    async def close(self) -> None:
        """Stop fetching. Raises the error that had ended the fetching, if there was one.

        Replaces aiokafka's `close`, which has two bugs:

        - The fetch task swallows a cancellation that arrives while it closes the fetches of a former assignment, and then
          waits for the next assignment for ever. Here all tasks are cancelled again until they have ended.
        - A fetch that waits for its retry passes its cancellation on to the caller of `close`.
        """
        self._closed = True
        tasks = [self._fetch_task, *self._pending_tasks]
        while not all(task.done() for task in tasks):
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks, timeout=CANCEL_SECONDS)
        for waiter in list(self._fetch_waiters):
            self._notify(waiter)
        if not self._fetch_task.cancelled():
            self._fetch_task.result()


class PatientCoordinator(consumer_module.GroupCoordinator):  # type: ignore[misc]  # aiokafka has no types
    """A group member that, as leader, assigns no partitions before it has the metadata of all subscribed topics.

    It goes on after an error: aiokafka's member would stay out of the group for good.

    aiokafka's leader assigns the partitions that its metadata holds. Just after the broker was away that may be none, and
    then no member has a partition until the metadata is refreshed five minutes later.
    """

    on_error: Callable[[BaseException], Awaitable[None]] | None = None  # see `report_errors_of_the_group`

    def _push_error_to_user(self, error: Exception) -> Awaitable[Any]:
        """Report an error and try again. aiokafka waits for a call of `getmany`, which Faust does not make."""
        if self.on_error is None:
            waiting: Awaitable[Any] = super()._push_error_to_user(error)
            return waiting
        self._subscription.abort_waiters(copy.copy(error))
        return self._report(error, self.on_error)

    async def _report(self, error: Exception, report: Callable[[BaseException], Awaitable[None]]) -> None:
        await report(error)
        if any(task is not None and task.done() for task in (self._heartbeat_task, self._commit_refresh_task)):
            self.request_rejoin()  # that begins them anew
        await asyncio.wait([self._closing], timeout=REJOIN_SECONDS)

    async def _coordination_routine(self) -> None:
        """Stay in the group. An error that aiokafka did not expect would end that for good."""
        while True:
            try:
                await super()._coordination_routine()
            except KafkaError as error:
                if self.on_error is None:
                    raise
                await self._report(error, self.on_error)
                if not self._closing.done():
                    self.request_rejoin()
            else:
                return

    async def _perform_assignment(self, response: Any) -> Any:
        for _ in range(METADATA_TRIES):
            if all(self._cluster.partitions_for_topic(topic) for topic in self._subscription.topics):
                break
            await self._client.force_metadata_update()
            await asyncio.sleep(METADATA_SECONDS)
        return await super()._perform_assignment(response)


def install() -> None:
    """Replace aiokafka's classes by these. A consumer without `RawTopics` yields the same records as before."""
    fetcher_module.PartitionRecords = RawPartitionRecords
    fetcher_module.MemoryRecords = EpochedRecords
    consumer_module.Fetcher = HeadFetcher
    consumer_module.GroupCoordinator = PatientCoordinator
    conn_module.AIOKafkaProtocol = ResponseProtocol


def report_errors_of_the_group(consumer: aiokafka.AIOKafkaConsumer, report: Callable[[BaseException], Awaitable[None]]) -> None:
    """From now on `report` gets every error that keeps a started consumer out of its group."""
    consumer._coordinator.on_error = report  # noqa: SLF001  # aiokafka has no accessor


def pace_fetches(consumer: aiokafka.AIOKafkaConsumer, pace: FetchPace) -> None:
    """From now on a started consumer lets records gather between its fetches."""
    consumer._fetcher._client.pace = pace  # noqa: SLF001  # aiokafka has no accessor


def heads_of(consumer: aiokafka.AIOKafkaConsumer) -> Heads:
    """The heads that a started consumer has seen."""
    heads: Heads = consumer._fetcher.heads  # noqa: SLF001  # aiokafka has no accessor
    return heads


def silence_of(consumer: aiokafka.AIOKafkaConsumer) -> float:
    """Seconds since the broker last answered a fetch of a started consumer."""
    return float(consumer._fetcher.silence)  # noqa: SLF001  # aiokafka has no accessor


def refusals_of(consumer: aiokafka.AIOKafkaConsumer) -> int:
    """How often a started consumer got an error for a partition that it fetched."""
    return int(consumer._fetcher.refusals)  # noqa: SLF001  # aiokafka has no accessor


install()
