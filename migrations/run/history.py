"""What has been applied: the topic `_meta_migrations`, one record a statement, compact, one partition.

It is the changelog of a Faust table: keys `<app_id>|<id>`, values JSON. Faust's own recovery would make it part of the worker's
assignment, so it is read without a group, from the beginning, which also shows what a command line did meanwhile.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from enum import StrEnum
from types import TracebackType
from typing import Self

import msgspec
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import InvalidProducerEpoch, KafkaError, ProducerFenced

from app.errors import BrokerError
from app.kafka.cluster import Cluster
from app.kafka.topics import TopicSpec, ensure_one
from migrations.errors import LockLostError, MigrationError

TOPIC = "_meta_migrations"
POLL_MS = 200
READ_SECONDS = 60.0


class Status(StrEnum):
    """How far a statement is."""

    sending = "sending"  # about to be sent: whoever finds this asks the server whether it was
    applied = "applied"
    replaced = "replaced"  # something with a new name is in its place; it waits for `retire`


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One statement of one app. Times are epoch ms, `duration_ms` how long the server took.

    `server_text` is what the server made of it, right after: what it says later is compared with that. Of an alteration that is
    being sent it is the text before it: while the server has that one still, nothing was altered.
    """

    id: str
    hash: str
    name: str
    text: str
    server_text: str = ""
    query_id: str = ""
    status: Status
    app_id: str
    app_version: str
    user: str
    cluster_id: str
    plan: str = ""  # of which it is; one app may apply several
    applied_at: int
    duration_ms: int = 0


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Entry).decode
History = Mapping[str, Entry]  # by id


async def ensure_topic(cluster: Cluster, topic: str, replication_factor: int) -> None:
    """Create the topic where it is missing; raises `MigrationError` where it cannot be, or would lose what is written to it."""
    spec = TopicSpec(topic, 1, {"cleanup.policy": "compact"}, "applied migrations")
    try:
        found = await ensure_one(cluster, spec, replication_factor)
    except BrokerError as error:
        raise MigrationError(str(error)) from error
    policy = found.configs.get("cleanup.policy")
    if found.partitions != 1 or policy != "compact":
        raise MigrationError(
            f"topic {topic} has {found.partitions} partitions and cleanup.policy={policy}, and must have 1 and compact, "
            "or what was applied is forgotten: alter it, or delete it where nothing was applied yet"
        )


async def read(cluster: Cluster, topic: str, app_id: str) -> dict[str, Entry]:
    """All entries of an app as they are now; of two with one id the later counts. Raises `MigrationError` after a minute."""
    found: dict[str, Entry] = {}
    try:
        async with asyncio.timeout(READ_SECONDS), _reader(cluster, topic) as (consumer, place):
            end = (await consumer.end_offsets([place]))[place]
            while await consumer.position(place) < end:
                for records in (await consumer.getmany(place, timeout_ms=POLL_MS)).values():
                    for record in records:
                        _take(found, app_id, record.key, record.value)
    except TimeoutError:
        raise MigrationError(f"{topic}: not read to its end within {READ_SECONDS:.0f} s; is broker {cluster} away?") from None
    return found


async def follow(cluster: Cluster, topic: str, app_id: str) -> AsyncIterator[History]:
    """The entries of an app, again whenever they have changed, beginning with what is there; ends with its reader's error."""
    found: dict[str, Entry] = {}
    async with _reader(cluster, topic) as (consumer, place):
        end = (await consumer.end_offsets([place]))[place]
        told = False
        while True:
            fresh = await consumer.getmany(place, timeout_ms=POLL_MS)
            for records in fresh.values():
                for record in records:
                    _take(found, app_id, record.key, record.value)
            if (fresh or not told) and await consumer.position(place) >= end:
                told = True
                yield dict(found)


@asynccontextmanager
async def _reader(cluster: Cluster, topic: str) -> AsyncIterator[tuple[AIOKafkaConsumer, TopicPartition]]:
    consumer = AIOKafkaConsumer(**cluster.client, enable_auto_commit=False, isolation_level="read_committed")
    try:
        await consumer.start()
        place = TopicPartition(topic, 0)
        consumer.assign([place])
        await consumer.seek_to_beginning(place)
        yield consumer, place
    finally:
        await consumer.stop()


def _take(found: dict[str, Entry], app_id: str, key: bytes | None, value: bytes | None) -> None:
    owner, _, name = (key or b"").decode(errors="replace").partition("|")
    if owner != app_id:
        return
    if value is None:
        found.pop(name, None)
        return
    try:
        found[name] = _decode(value)
    except msgspec.MsgspecError as error:
        raise MigrationError(f"the history of {owner} holds {name} in a form that this version cannot read ({error})") from None


class Writer:
    """Writes entries; its start fences every writer before it, whose next entry is refused: nobody writes after a successor."""

    def __init__(self, cluster: Cluster, topic: str) -> None:
        self._topic = topic
        self._fenced = False
        self._producer = AIOKafkaProducer(**cluster.client, transactional_id=f"{topic}-writer", acks="all")

    async def __aenter__(self) -> Self:
        await self._producer.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._producer.stop()

    async def write(self, entry: Entry) -> None:
        """Write one, acknowledged when this returns; raises `LockLostError` where another writer has taken over."""
        await self.write_all(entry.app_id, [entry])

    async def write_all(self, app_id: str, entries: Sequence[Entry], gone: Sequence[str] = ()) -> None:
        """Write these and forget those of the ids `gone`: all of it, or nothing."""
        about = ", ".join([entry.id for entry in entries] or gone)
        records = [(entry.id, _encode(entry)) for entry in entries] + [(name, None) for name in gone]
        lost = f"{self._topic}: another runner has taken over; {about} was left to it"
        if not records:
            return
        if self._fenced:  # aiokafka's producer is beyond use then
            raise LockLostError(lost)
        try:
            async with self._producer.transaction():
                sent = [
                    await self._producer.send(self._topic, value, f"{app_id}|{name}".encode(), partition=0)
                    for name, value in records
                ]
                self._hear_out()
                await asyncio.gather(*sent)
        except (ProducerFenced, InvalidProducerEpoch):
            self._fenced = True
            raise LockLostError(lost) from None
        except (TimeoutError, KafkaError) as error:
            said = str(error) or type(error).__name__
            raise MigrationError(f"{self._topic}: {about} could not be recorded ({said})") from error

    def _hear_out(self) -> None:
        """Look at what a refused transaction leaves behind in aiokafka 0.14, or asyncio complains that nobody did."""
        producer = self._producer
        batches = [batch for queue in producer._message_accumulator._batches.values() for batch in queue]  # noqa: SLF001  # see above
        for future in (producer._txn_manager.wait_for_transaction_end(), *(batch._drain_waiter for batch in batches)):  # noqa: SLF001
            future.add_done_callback(lambda done: done.cancelled() or done.exception())
