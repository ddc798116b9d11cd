"""Transactions: atomic, one producer for each transactional id, and aborted after their timeout."""

from __future__ import annotations

import time
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError, ProducerFenced

from app.kafka.fetcher import heads_of, silence_of
from tests.conformance.clients import DEADLINE, consumer, eventually, new_topic, producer, read, read_all, unique
from tests.support.waiting import until

COMMITTED: dict[str, Any] = {"isolation_level": "read_committed"}


def _values(records: list[Any]) -> list[bytes]:
    return [record.value for record in records]


async def test_committed_records_are_read_from_every_partition(broker: str) -> None:
    topic = await new_topic(broker, 2)
    async with producer(broker, transactional_id=unique("tx")) as client:
        for turn in range(3):
            async with client.transaction():
                for number in range(10):
                    await client.send(topic, b"%d-%d" % (turn, number), partition=number % 2)
    for partition in range(2):
        wanted = [b"%d-%d" % (turn, number) for turn in range(3) for number in range(partition, 10, 2)]
        assert _values(await read_all(broker, topic, partition, **COMMITTED)) == wanted


async def test_a_marker_takes_an_offset(broker: str) -> None:
    topic = await new_topic(broker)
    place = TopicPartition(topic, 0)
    async with producer(broker, transactional_id=unique("tx")) as client, client.transaction():
        await client.send(topic, b"one", partition=0)
    async with consumer(broker, **COMMITTED) as client:
        await eventually(lambda: _end_is(client, place, 2))


async def _end_is(client: Any, place: TopicPartition, end: int) -> bool:
    return bool((await client.end_offsets([place]))[place] == end)


async def test_an_aborted_transaction_is_seen_by_read_uncommitted_only(broker: str) -> None:
    topic = await new_topic(broker)
    async with producer(broker, transactional_id=unique("tx")) as client:
        async with client.transaction():
            await client.send_and_wait(topic, b"c1")
        await client.begin_transaction()
        await client.send_and_wait(topic, b"a1")
        await client.send_and_wait(topic, b"a2")
        await client.abort_transaction()
        async with client.transaction():
            await client.send_and_wait(topic, b"c2")
    async with consumer(broker, topic, **COMMITTED) as client:
        assert _values(await read(client, 2)) == [b"c1", b"c2"]
    async with consumer(broker, topic) as client:
        assert _values(await read(client, 4)) == [b"c1", b"a1", b"a2", b"c2"]


async def test_an_open_transaction_holds_back_the_records_after_it(broker: str) -> None:
    topic = await new_topic(broker)
    place = TopicPartition(topic, 0)
    async with producer(broker, transactional_id=unique("tx")) as client, producer(broker) as other:
        async with client.transaction():
            await client.send_and_wait(topic, b"c1")
        await client.begin_transaction()
        await client.send_and_wait(topic, b"open")
        await other.send_and_wait(topic, b"plain")
        async with consumer(broker, **COMMITTED) as reader:
            reader.assign([place])
            await reader.seek_to_beginning(place)
            seen = await read(reader, 1)
            # c1, its marker, open, plain: a fetch response with this end holds only c1
            await until(lambda: reader.highwater(place) == 4, deadline=DEADLINE)
            assert reader.last_stable_offset(place) == 2
            assert (await reader.end_offsets([place]))[place] == 2
            assert _values(seen) == [b"c1"]
            await client.commit_transaction()
            assert _values(await read(reader, 2)) == [b"open", b"plain"]


async def test_a_log_whose_last_transaction_is_open_is_not_known_to_have_ended(broker: str) -> None:
    topic = await new_topic(broker)
    place = TopicPartition(topic, 0)
    async with (
        producer(broker, transactional_id=unique("tx")) as client,
        consumer(broker, fetch_max_wait_ms=50, **COMMITTED) as reader,
    ):
        async with client.transaction():
            await client.send_and_wait(topic, b"c1")
        reader.assign([place])
        await reader.seek_to_beginning(place)
        await read(reader, 1)
        heads = heads_of(reader)
        await until(lambda: place in heads and heads[place].offset == 2, deadline=DEADLINE)  # behind c1 and its marker
        await client.begin_transaction()
        await client.send_and_wait(topic, b"open")
        await until(lambda: reader.highwater(place) == 3, deadline=DEADLINE)
        known = heads[place]
        for _ in range(2):  # empty responses: the reader may not see what has arrived
            await _next_response(reader)
        assert heads[place] == known
        await client.abort_transaction()
        await eventually(lambda: _head_is(reader, place, 4))


async def _next_response(reader: Any) -> None:
    asked = time.monotonic()
    await until(lambda: silence_of(reader) < time.monotonic() - asked, deadline=DEADLINE)


async def _head_is(reader: Any, place: TopicPartition, offset: int) -> bool:
    assert await reader.getmany(place, timeout_ms=50) == {}  # it passes the aborted records
    return heads_of(reader)[place].offset == offset


async def test_offsets_take_effect_with_a_commit_and_not_with_an_abort(broker: str) -> None:
    topic, out, group = await new_topic(broker), await new_topic(broker), unique("g")
    place = TopicPartition(topic, 0)
    async with (
        consumer(broker, group_id=group, **COMMITTED) as reader,
        producer(broker, transactional_id=unique("tx")) as client,
    ):
        reader.assign([place])
        for value, offset, commit in ((b"r1", 4, True), (b"r2", 9, False)):
            await client.begin_transaction()
            await client.send(out, value)
            await client.send_offsets_to_transaction({place: offset}, group)
            await (client.commit_transaction() if commit else client.abort_transaction())
            # Kafka may return the former offset for some milliseconds
            await eventually(lambda: _committed_is(reader, place, 4))
        async with client.transaction():
            await client.send(out, b"r3")
    async with consumer(broker, out, **COMMITTED) as reader:
        assert _values(await read(reader, 2)) == [b"r1", b"r3"]


async def _committed_is(client: Any, place: TopicPartition, offset: int) -> bool:
    return bool(await client.committed(place) == offset)


async def test_a_second_producer_of_the_id_fences_the_first_and_aborts_its_transaction(broker: str) -> None:
    topic, name = await new_topic(broker), unique("tx")
    first = AIOKafkaProducer(bootstrap_servers=broker, transactional_id=name)
    await first.start()
    try:
        await first.begin_transaction()
        await first.send_and_wait(topic, b"first")
        async with producer(broker, transactional_id=name) as second:
            async with second.transaction():
                await second.send_and_wait(topic, b"second")
            with pytest.raises(KafkaError):
                await first.send_and_wait(topic, b"too late")
            with pytest.raises(ProducerFenced):
                await first.commit_transaction()
    finally:
        await first.stop()
    async with consumer(broker, topic, **COMMITTED) as reader:
        assert _values(await read(reader, 1)) == [b"second"]


async def test_a_transaction_that_is_never_ended_is_aborted_after_its_timeout(broker: str) -> None:
    topic = await new_topic(broker)
    client = AIOKafkaProducer(bootstrap_servers=broker, transactional_id=unique("tx"), transaction_timeout_ms=1000)
    await client.start()
    try:
        await client.begin_transaction()
        await client.send_and_wait(topic, b"forgotten")
        async with producer(broker) as other:
            await other.send_and_wait(topic, b"plain")
        async with consumer(broker, topic, **COMMITTED) as reader:
            # Kafka looks for such transactions every 10 s
            assert _values(await read(reader, 1, deadline=60)) == [b"plain"]
        with pytest.raises(KafkaError):
            await client.commit_transaction()
    finally:
        await client.stop()
