"""What reaches into aiokafka's consumer: raw record batches instead of a Python object a record, and the log's head.

Written for aiokafka 0.14.0. A consumer made with `key_deserializer=RawTopics({...})` gets, for those topics, whole Cython
record batches from `getmany` (each to be iterated once), and `Skipped` markers where control records or aborted
transactions were passed over. `Heads` remembers, by partition, the answers that held nothing.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from typing import Any, NamedTuple, Protocol

import aiokafka
from aiokafka.consumer import consumer as consumer_module
from aiokafka.consumer import fetcher as fetcher_module
from aiokafka.errors import CorruptRecordException

from tables.records import Record

AIOKAFKA_VERSION = "0.14.0"
APPEND_TIME = 1  # a batch's or a record's timestamp_type where the broker stamped it
CLOSE_SECONDS = 0.2  # between two requests to end
METADATA_TRIES, METADATA_SECONDS = 50, 0.2  # that a group's leader makes to learn of its topics, and the time between them


class Batch(Protocol):
    """What a slice is made of: records with the offsets `base_offset` up to, not including, `next_offset`."""

    @property
    def base_offset(self) -> int:
        """Offset of its first record."""

    @property
    def next_offset(self) -> int:
        """One after its last record."""

    @property
    def timestamp_type(self) -> int:
        """Whose time its records bear: their producer's (0), or the broker's, of their arrival, which is one for all (1)."""

    @property
    def max_timestamp(self) -> int:
        """The latest of them, epoch ms."""

    def __iter__(self) -> Iterator[Record]:
        """Its records, once."""


class Skipped(NamedTuple):
    """Offsets that hold no records for us: control records and aborted transactions."""

    base_offset: int
    next_offset: int
    timestamp_type: int = 0
    max_timestamp: int = -1

    def __iter__(self) -> Iterator[Record]:  # type: ignore[override]  # a batch without records, not a pair
        return iter(())


class RawTopics:
    """A key deserializer by name only: it tells the fetcher of which topics the batches are wanted as they are."""

    def __init__(self, topics: frozenset[str]) -> None:
        self.topics = topics

    def __call__(self, key: bytes | None) -> bytes | None:
        """The key of a record of another topic, as it is."""
        return key


class Head(NamedTuple):
    """An answer that held nothing: the log ended at `offset` at a moment after `sent_ms`, when the request was sent."""

    offset: int
    sent_ms: int


Heads = dict[Any, Head]  # by aiokafka TopicPartition, which equals a plain (topic, partition) tuple


class RawPartitionRecords(fetcher_module.PartitionRecords):  # type: ignore[misc]  # aiokafka has no types
    """Yields batches for raw topics, with the checks of the original: CRC, aborted transactions, control records."""

    def _unpack_records(self) -> Iterator[Any]:
        raw = self._key_deserializer
        if not isinstance(raw, RawTopics) or self._tp.topic not in raw.topics:
            yield from super()._unpack_records()
            return
        records = self._records
        while records.has_next():
            batch = records.next_batch()
            if self._check_crcs and not batch.validate_crc():
                raise CorruptRecordException(f"Invalid CRC - {self._tp}")
            self.next_fetch_offset = batch.next_offset
            yield Skipped(batch.base_offset, batch.next_offset) if self._passed_over(batch) else batch

    def _passed_over(self, batch: Any) -> bool:
        if self._isolation_level == fetcher_module.READ_COMMITTED and batch.producer_id is not None:
            self._consume_aborted_up_to(batch.base_offset)
            if batch.is_control_batch and self._contains_abort_marker(batch):
                self._aborted_producers.discard(batch.producer_id)
            if batch.is_transactional and batch.producer_id in self._aborted_producers:
                return True
        return bool(batch.is_control_batch)


class _Client:
    """The fetcher's client, looked over the shoulder: notes when each fetch was sent and which partitions had nothing."""

    def __init__(self, client: Any, heads: Heads) -> None:
        self._client = client
        self._heads = heads
        self.heard = time.monotonic()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    async def send(self, node_id: int, request: Any, **options: Any) -> Any:
        sent_ms = int(time.time() * 1_000)
        response = await self._client.send(node_id, request, **options)
        if type(request) is fetcher_module.FetchRequest:
            self.heard = time.monotonic()
            for topic, partitions in response.topics:
                for partition, error_code, highwater, *rest in partitions:
                    if not error_code and not rest[-1]:
                        end = rest[0] if response.API_VERSION >= 4 else highwater  # noqa: PLR2004  # v4 brought the LSO
                        self._heads[topic, partition] = Head(end, sent_ms)
        return response


class HeadFetcher(fetcher_module.Fetcher):  # type: ignore[misc]  # aiokafka has no types
    """A fetcher that also knows where the log ended, and when it was asked."""

    def __init__(self, client: Any, subscriptions: Any, **options: Any) -> None:
        self.heads: Heads = {}
        super().__init__(_Client(client, self.heads), subscriptions, **options)

    @property
    def silence(self) -> float:
        """Seconds since the broker answered a fetch last."""
        return time.monotonic() - float(self._client.heard)

    async def close(self) -> None:
        """Stop fetching; raises what ended the fetching before, if it was an error.

        Instead of the original's, in which two things go wrong: its routine swallows a cancellation that comes while it ends
        the fetches of a former assignment, and then waits for a next one for ever, so all are asked again until they have
        ended; and a fetch that waits to be tried again passes the cancellation on to whoever closes.
        """
        self._closed = True
        tasks = [self._fetch_task, *self._pending_tasks]
        while not all(task.done() for task in tasks):
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks, timeout=CLOSE_SECONDS)
        for waiter in list(self._fetch_waiters):
            self._notify(waiter)
        if not self._fetch_task.cancelled():
            self._fetch_task.result()


class PatientCoordinator(consumer_module.GroupCoordinator):  # type: ignore[misc]  # aiokafka has no types
    """A group member that, as its leader, gives nothing away before it knows the topics.

    The original's leader assigns what its metadata knows: after a moment without a broker that can be nothing, and then nobody
    has a partition until the metadata is five minutes old.
    """

    async def _perform_assignment(self, response: Any) -> Any:
        for _ in range(METADATA_TRIES):
            if all(self._cluster.partitions_for_topic(topic) for topic in self._subscription.topics):
                break
            await self._client.force_metadata_update()
            await asyncio.sleep(METADATA_SECONDS)
        return await super()._perform_assignment(response)


def install() -> None:
    """Put these classes in the place of aiokafka's own; consumers without `RawTopics` read as before."""
    fetcher_module.PartitionRecords = RawPartitionRecords
    consumer_module.Fetcher = HeadFetcher
    consumer_module.GroupCoordinator = PatientCoordinator


def heads_of(consumer: aiokafka.AIOKafkaConsumer) -> Heads:
    """The heads that a started consumer has seen."""
    heads: Heads = consumer._fetcher.heads  # noqa: SLF001  # what this module is for
    return heads


def silence_of(consumer: aiokafka.AIOKafkaConsumer) -> float:
    """Seconds since a started consumer's broker answered a fetch last."""
    return float(consumer._fetcher.silence)  # noqa: SLF001  # what this module is for


install()
