"""The pocket broker on a full disk: acknowledged records stay, and writes that fail are refused."""

from __future__ import annotations

import asyncio
import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import RecordsToDelete

from tests.conformance.clients import DEADLINE, admin, new_topic, producer, read_all, unique
from tests.conformance.pocket_process import PocketProcess
from tests.support.waiting import until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits the files of another process (prlimit)")
FULL = 256 * 1024  # largest size of a file in bytes; the journal stays below it


@contextmanager
def full_disk(pocket: PocketProcess, limit: int = FULL) -> Iterator[None]:
    """Limit the size of the broker's files: a write beyond it fails as on a full disk."""
    before = resource.prlimit(pocket.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pocket.pid, resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        yield
    finally:
        resource.prlimit(pocket.pid, resource.RLIMIT_FSIZE, before)


def refused(pocket: PocketProcess, topic: str) -> bool:
    """Whether the broker has logged that it takes no records."""
    return f"{topic}[0] takes no records" in pocket.log_tail()


async def test_a_record_that_a_full_disk_refuses_is_not_acknowledged_and_is_written_when_there_is_room(
    own_pocket: PocketProcess,
) -> None:
    topic = await new_topic(own_pocket.bootstrap)
    acknowledged: list[int] = []

    async def write(client: AIOKafkaProducer) -> None:
        for number in range(100_000):
            await client.send_and_wait(topic, b"%09d" % number + b"x" * 5_000)
            acknowledged.append(number)

    async with producer(own_pocket.bootstrap, enable_idempotence=True, acks="all") as client:
        with full_disk(own_pocket):
            task = asyncio.create_task(write(client))
            await until(lambda: refused(own_pocket, topic), deadline=DEADLINE)
            taken = len(acknowledged)
            assert len(await read_all(own_pocket.bootstrap, topic)) == taken
            assert taken > 10
        await until(lambda: len(acknowledged) > taken + 10, deadline=DEADLINE)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    own_pocket.kill()
    own_pocket.start()
    found = [int(record.value[:9]) for record in await read_all(own_pocket.bootstrap, topic)]
    assert found[: len(acknowledged)] == acknowledged
    assert found == list(range(len(found)))


async def test_a_transaction_that_a_full_disk_cannot_end_is_committed_when_there_is_room(own_pocket: PocketProcess) -> None:
    topic = await new_topic(own_pocket.bootstrap)
    async with producer(own_pocket.bootstrap, transactional_id=unique("tx")) as client:
        await client.begin_transaction()
        await client.send_and_wait(topic, b"x" * FULL)
        with full_disk(own_pocket):
            task = asyncio.create_task(client.commit_transaction())
            await until(lambda: "its request was not carried out" in own_pocket.log_tail(), deadline=DEADLINE)
            assert await read_all(own_pocket.bootstrap, topic, isolation_level="read_committed") == []
        await asyncio.wait_for(task, DEADLINE)
    assert len(await read_all(own_pocket.bootstrap, topic, isolation_level="read_committed")) == 1


async def test_deleting_records_on_a_full_disk_leaves_the_others_as_they_are(own_pocket: PocketProcess) -> None:
    topic = await new_topic(own_pocket.bootstrap)
    async with producer(own_pocket.bootstrap, max_batch_size=1) as client:
        for number in range(100):
            await client.send_and_wait(topic, b"%09d" % number + b"x" * 10_000)
    async with admin(own_pocket.bootstrap) as client:
        with full_disk(own_pocket):
            await client.delete_records({TopicPartition(topic, 0): RecordsToDelete(before_offset=60)})
    assert "its space is not given back" in own_pocket.log_tail()
    for _ in range(2):
        assert [int(record.value[:9]) for record in await read_all(own_pocket.bootstrap, topic)] == list(range(60, 100))
        own_pocket.kill()
        own_pocket.start()
