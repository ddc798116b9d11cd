"""The history of applied statements: the compacted topic `_meta_migrations`, one partition, one record per statement.

It is the changelog of a Faust table: keys are `<app_id>|<id>`, values are JSON. Faust's own recovery would make it part of the
worker's assignment. So it is read without a consumer group, from the beginning; that also shows what command lines write.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Self

import msgspec
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import InvalidProducerEpoch, KafkaError, ProducerFenced

from app.errors import BrokerError
from app.kafka.cluster import Cluster
from app.kafka.topics import TopicSpec, ensure_one
from migrations.errors import LockLostError, MigrationError
from migrations.plan.entry import Entry, History

TOPIC = "_meta_migrations"
POLL_MS = 200
READ_SECONDS = 60.0
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Entry).decode


async def ensure_topic(cluster: Cluster, topic: str, replication_factor: int) -> None:
    """Create the topic if it is missing.

    Raises `MigrationError` if it cannot be created, or if its configuration would lose entries.
    """
    spec = TopicSpec(topic, 1, {"cleanup.policy": "compact"}, "applied migrations")
    try:
        existing = await ensure_one(cluster, spec, replication_factor)
    except BrokerError as error:
        raise MigrationError(str(error)) from error
    policy = existing.configs.get("cleanup.policy")
    if existing.partitions != 1 or policy != "compact":
        raise MigrationError(
            f"topic {topic} has {existing.partitions} partitions and cleanup.policy={policy}, and must have 1 and compact, "
            "or what was applied is forgotten: alter it, or delete it where nothing was applied yet"
        )


async def read(cluster: Cluster, topic: str, app_id: str) -> dict[str, Entry]:
    """All current entries of an app, by id, in the order in which they were written last.

    Raises `MigrationError` if the topic cannot be read within a minute.
    """
    entries: dict[str, Entry] = {}
    try:
        async with asyncio.timeout(READ_SECONDS), _reader(cluster, topic) as (consumer, partition):
            end = (await consumer.end_offsets([partition]))[partition]
            while await consumer.position(partition) < end:
                for records in (await consumer.getmany(partition, timeout_ms=POLL_MS)).values():
                    for record in records:
                        _apply_record(entries, app_id, record.key, record.value)
    except TimeoutError:
        raise MigrationError(f"{topic}: not read to its end within {READ_SECONDS:.0f} s; is broker {cluster} away?") from None
    return entries


async def follow(cluster: Cluster, topic: str, app_id: str) -> AsyncIterator[History]:
    """The entries of an app as `read` gives them: first the current ones, then again after every change.

    Errors of the consumer end the iteration.
    """
    entries: dict[str, Entry] = {}
    async with _reader(cluster, topic) as (consumer, partition):
        end = (await consumer.end_offsets([partition]))[partition]
        yielded = False
        while True:
            batches = await consumer.getmany(partition, timeout_ms=POLL_MS)
            for records in batches.values():
                for record in records:
                    _apply_record(entries, app_id, record.key, record.value)
            if (batches or not yielded) and await consumer.position(partition) >= end:
                yielded = True
                yield dict(entries)


@asynccontextmanager
async def _reader(cluster: Cluster, topic: str) -> AsyncIterator[tuple[AIOKafkaConsumer, TopicPartition]]:
    """A consumer at the beginning of the topic's only partition."""
    consumer = AIOKafkaConsumer(**cluster.client, enable_auto_commit=False, isolation_level="read_committed")
    try:
        await consumer.start()
        partition = TopicPartition(topic, 0)
        consumer.assign([partition])
        await consumer.seek_to_beginning(partition)
        yield consumer, partition
    finally:
        await consumer.stop()


def _apply_record(entries: dict[str, Entry], app_id: str, key: bytes | None, value: bytes | None) -> None:
    owner, _, statement_id = (key or b"").decode(errors="replace").partition("|")
    if owner != app_id:
        return
    entries.pop(statement_id, None)  # a new one goes to the end
    if value is None:
        return
    try:
        entries[statement_id] = _decode(value)
    except msgspec.MsgspecError as error:
        raise MigrationError(
            f"the history of {owner} holds {statement_id} in a form that this version cannot read ({error})"
        ) from None


class Writer:
    """Writes entries by a transactional producer. Its start fences all earlier writers: their next write fails."""

    def __init__(self, cluster: Cluster, topic: str) -> None:
        self._topic = topic
        self._fenced = False
        self._producer = AIOKafkaProducer(**cluster.producer, transactional_id=f"{topic}-writer", acks="all")

    async def __aenter__(self) -> Self:
        await self._producer.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._producer.stop()

    async def write(self, entry: Entry) -> None:
        """Write one entry and wait for the acknowledgement. Raises `LockLostError` if another writer has taken over."""
        await self.write_all(entry.app_id, [entry])

    async def write_all(self, app_id: str, entries: Sequence[Entry], removed: Sequence[str] = ()) -> None:
        """Write entries and remove those with the ids `removed`, in one transaction.

        Raises `LockLostError` if another writer has taken over, `MigrationError` if the write fails.
        """
        records = [(entry.id, _encode(entry)) for entry in entries] + [(statement_id, None) for statement_id in removed]
        if not records:
            return
        ids = ", ".join([entry.id for entry in entries] or removed)
        lost = f"{self._topic}: another runner has taken over; {ids} was not recorded"
        if self._fenced:  # aiokafka's producer is unusable then
            raise LockLostError(lost)
        try:
            async with self._producer.transaction():
                sent = [
                    await self._producer.send(self._topic, value, f"{app_id}|{statement_id}".encode(), partition=0)
                    for statement_id, value in records
                ]
                self._retrieve_exceptions()
                await asyncio.gather(*sent)
        except (ProducerFenced, InvalidProducerEpoch):
            self._fenced = True
            raise LockLostError(lost) from None
        except (TimeoutError, KafkaError) as error:
            reason = str(error) or type(error).__name__
            raise MigrationError(f"{self._topic}: {ids} could not be recorded ({reason})") from error

    def _retrieve_exceptions(self) -> None:
        """Retrieve the exceptions of futures that aiokafka 0.14 drops when a transaction fails; asyncio would log them."""
        producer = self._producer
        batches = [batch for queue in producer._message_accumulator._batches.values() for batch in queue]  # noqa: SLF001  # see above
        for future in (producer._txn_manager.wait_for_transaction_end(), *(batch._drain_waiter for batch in batches)):  # noqa: SLF001
            future.add_done_callback(lambda done: done.cancelled() or done.exception())
