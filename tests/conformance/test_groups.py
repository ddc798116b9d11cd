"""Consumer groups: assignment, rebalances, static members and committed offsets."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from typing import Any

from aiokafka import TopicPartition
from aiokafka.errors import IllegalGenerationError, RebalanceInProgressError, UnknownMemberIdError
from aiokafka.structs import OffsetAndMetadata

from tests.conformance.clients import DEADLINE, admin, consumer, new_topic, producer, read, refused, unique
from tests.support.waiting import until

QUICK = {"session_timeout_ms": 6000, "heartbeat_interval_ms": 200}
MEMBER = """
import asyncio, sys
from aiokafka import AIOKafkaConsumer
async def main():
    topic, bootstrap, group = sys.argv[1:]
    client = AIOKafkaConsumer(
        topic, bootstrap_servers=bootstrap, group_id=group, session_timeout_ms=6000, heartbeat_interval_ms=200)
    await client.start()
    print("up", flush=True)
    while True:
        await client.getmany(timeout_ms=100)
asyncio.run(main())
"""


def _parts(client: Any) -> list[int]:
    return sorted(place.partition for place in client.assignment())


async def test_a_commit_survives_its_consumer_and_keeps_its_metadata(broker: str) -> None:
    topic, group = await new_topic(broker, 2), unique("g")
    place = TopicPartition(topic, 0)
    async with producer(broker) as client:
        for number in range(10):
            await client.send_and_wait(topic, b"%d" % number, partition=0)
    async with consumer(broker, topic, group_id=group) as client:
        await read(client, 10)
        await client.commit({place: OffsetAndMetadata(4, "a note")})
    async with consumer(broker, topic, group_id=group) as client:
        assert await client.committed(place) == 4
        assert await client.committed(TopicPartition(topic, 1)) is None
        assert [int(record.value) for record in await read(client, 6)] == list(range(4, 10))
    async with admin(broker) as client:
        assert (await client.list_consumer_group_offsets(group))[place] == OffsetAndMetadata(4, "a note")


async def test_a_consumer_without_membership_may_commit_to_an_empty_group(broker: str) -> None:
    topic, group = await new_topic(broker), unique("g")
    place = TopicPartition(topic, 0)
    async with consumer(broker, group_id=group) as client:
        client.assign([place])
        await client.commit({place: OffsetAndMetadata(7, "")})
        assert await client.committed(place) == 7


async def test_partitions_are_shared_and_reassigned_when_a_member_leaves(broker: str) -> None:
    topic, group = await new_topic(broker, 4), unique("g")
    async with consumer(broker, topic, group_id=group, **QUICK) as first:
        await until(lambda: _parts(first) == [0, 1, 2, 3], deadline=DEADLINE)
        async with consumer(broker, topic, group_id=group, **QUICK) as second:
            await until(
                lambda: len(_parts(first)) == 2 and sorted(_parts(first) + _parts(second)) == [0, 1, 2, 3],
                deadline=DEADLINE,
            )
        await until(lambda: _parts(first) == [0, 1, 2, 3], deadline=DEADLINE)


async def test_a_rebalance_skips_no_record(broker: str) -> None:
    topic, group = await new_topic(broker, 4), unique("g")
    seen: list[int] = []

    async def follow(client: Any) -> None:
        while True:
            for records in (await client.getmany(timeout_ms=100)).values():
                seen.extend(int(record.value) for record in records)
            # if a rebalance overtakes the commit, the next owner reads the records again
            await refused_by_rebalance(client)

    async with consumer(broker, topic, group_id=group, **QUICK) as first, producer(broker) as writer:
        tasks = [asyncio.create_task(follow(first))]
        try:
            for number in range(100):
                await writer.send_and_wait(topic, b"%d" % number, partition=number % 4)
            async with consumer(broker, topic, group_id=group, **QUICK) as second:
                tasks.append(asyncio.create_task(follow(second)))
                for number in range(100, 300):
                    await writer.send_and_wait(topic, b"%d" % number, partition=number % 4)
                await until(lambda: set(seen) == set(range(300)), deadline=DEADLINE)
                await _end(tasks.pop())
        finally:
            for task in tasks:
                await _end(task)


async def refused_by_rebalance(client: Any) -> None:
    error = await refused(client.commit())
    assert error is None or error.__name__ in {"CommitFailedError", "RebalanceInProgressError", "IllegalStateError"}


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_member_that_dies_without_leaving_loses_its_partitions(broker: str) -> None:
    topic, group = await new_topic(broker, 2), unique("g")
    async with consumer(broker, topic, group_id=group, **QUICK) as survivor:
        other = subprocess.Popen(  # noqa: ASYNC220  # the test only kills it
            [sys.executable, "-c", MEMBER, topic, broker, group], stdout=subprocess.PIPE
        )
        try:
            await until(lambda: len(_parts(survivor)) == 1, deadline=DEADLINE)
        finally:
            other.kill()
            other.communicate()
        await until(lambda: _parts(survivor) == [0, 1], deadline=DEADLINE)


async def test_a_static_member_that_returns_gets_its_partitions_back(broker: str) -> None:
    topic, group = await new_topic(broker, 2), unique("g")
    static = {"group_id": group, "group_instance_id": "one", "session_timeout_ms": 30_000}
    async with consumer(broker, topic, **static) as client:
        await until(lambda: _parts(client) == [0, 1], deadline=DEADLINE)
    async with consumer(broker, topic, **static) as client:
        # the former member has not left the group, and its session lasts longer than this test waits
        await until(lambda: _parts(client) == [0, 1], deadline=20)


async def test_a_static_member_that_returns_causes_no_rebalance(broker: str) -> None:
    topic, group = await new_topic(broker, 2), unique("g")
    static = {"group_id": group, "session_timeout_ms": 30_000}
    async with consumer(broker, topic, group_instance_id="one", **static) as one:
        async with consumer(broker, topic, group_instance_id="two", **static) as two:
            await until(lambda: sorted(_parts(one) + _parts(two)) == [0, 1], deadline=DEADLINE)
            generation, had = one._coordinator.generation, _parts(two)
        async with consumer(broker, topic, group_instance_id="two", **static) as two:
            await until(lambda: _parts(two) == had, deadline=20)
            assert two._coordinator.generation == generation == one._coordinator.generation


async def test_generations_increase_and_a_member_of_an_old_one_cannot_commit(broker: str) -> None:
    topic, group = await new_topic(broker, 2), unique("g")
    place = TopicPartition(topic, 0)
    async with consumer(broker, topic, group_id=group, **QUICK) as first:
        await until(lambda: _parts(first) == [0, 1], deadline=DEADLINE)
        before = first._coordinator.generation
        async with consumer(broker, topic, group_id=group, **QUICK):
            await until(lambda: len(_parts(first)) == 1, deadline=DEADLINE)
            assert first._coordinator.generation > before
            first._coordinator.generation = before
            error = await refused(
                first._coordinator._do_commit_offsets(
                    first._subscription.subscription.assignment, {place: OffsetAndMetadata(1, "")}
                )
            )
            assert error is not None
            assert (
                issubclass(error, IllegalGenerationError | UnknownMemberIdError | RebalanceInProgressError)
                or error.__name__ == "CommitFailedError"
            )


async def test_groups_are_listed_and_described(broker: str) -> None:
    topic, group = await new_topic(broker), unique("g")
    async with consumer(broker, topic, group_id=group) as member, admin(broker) as client:
        await until(lambda: _parts(member) == [0], deadline=DEADLINE)
        assert (group, "consumer") in [tuple(one)[:2] for one in await client.list_consumer_groups()]
        (answer,) = await client.describe_consumer_groups([group])
        row = answer.groups[0]
        assert (row[0], row[1], row[2], row[3], len(row[5])) == (0, group, "Stable", "consumer", 1)
