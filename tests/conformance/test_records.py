"""Producing and fetching: what goes in comes out, in order, once, with its times and headers."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import MessageSizeTooLargeError, OffsetOutOfRangeError

from tests.conformance.clients import consumer, new_topic, producer, read, read_all
from tests.support.waiting import until

LONG_AGO = 1_600_000_000_000


async def test_a_record_comes_back_with_its_key_value_headers_and_time(broker: str) -> None:
    topic = await new_topic(broker, retention__ms="-1")
    headers = [("a", b"1"), ("a", b"2"), ("empty", b"")]
    async with producer(broker) as client:
        sent = await client.send_and_wait(topic, b"v", key=b"k", timestamp_ms=LONG_AGO, headers=headers)
        await client.send_and_wait(topic, None, key=b"gone", timestamp_ms=LONG_AGO)
    first, tombstone = await read_all(broker, topic)
    assert (sent.offset, sent.timestamp, sent.timestamp_type) == (0, LONG_AGO, 0)
    assert (first.key, first.value, first.timestamp, first.timestamp_type) == (b"k", b"v", LONG_AGO, 0)
    assert first.headers == tuple(headers)
    assert (tombstone.key, tombstone.value) == (b"gone", None)


@pytest.mark.parametrize("codec", ["gzip", "lz4", "snappy", "zstd"])
@pytest.mark.parametrize("stamp", ["CreateTime", "LogAppendTime"])
async def test_compressed_batches_come_back_whole(broker: str, codec: str, stamp: str) -> None:
    topic = await new_topic(broker, message__timestamp__type=stamp)
    values = [b"price %d " % number * 20 for number in range(500)]
    async with producer(broker, compression_type=codec, linger_ms=50, acks="all") as client:
        await asyncio.gather(*[await client.send(topic, value) for value in values])
    found = await read_all(broker, topic)
    assert [record.value for record in found] == values
    assert {record.timestamp_type for record in found} == {int(stamp == "LogAppendTime")}


async def test_log_append_time_replaces_the_producers_time(broker: str) -> None:
    topic = await new_topic(broker, message__timestamp__type="LogAppendTime")
    before = int(time.time() * 1000) - 1
    async with producer(broker, linger_ms=50) as client:
        sent = await asyncio.gather(*[await client.send(topic, b"x", timestamp_ms=LONG_AGO + number) for number in range(3)])
    after = int(time.time() * 1000) + 1
    found = await read_all(broker, topic)
    assert all(record.timestamp_type == 1 and before <= record.timestamp <= after for record in found)
    assert [answer.timestamp for answer in sent] == [record.timestamp for record in found]
    assert {answer.timestamp_type for answer in sent} == {1}


async def test_an_idempotent_producer_keeps_order_in_every_partition(broker: str) -> None:
    topic = await new_topic(broker, 3)
    async with producer(broker, enable_idempotence=True, acks="all", linger_ms=5) as client:
        await asyncio.gather(*[await client.send(topic, b"%d" % number, partition=number % 3) for number in range(3000)])
    for partition in range(3):
        found = await read_all(broker, topic, partition)
        assert [int(record.value) for record in found] == list(range(partition, 3000, 3))
        assert [record.offset for record in found] == list(range(1000))


async def test_concurrent_producers_lose_nothing_and_leave_no_gaps(broker: str) -> None:
    topic = await new_topic(broker)

    async def one(name: int) -> None:
        async with producer(broker) as client:
            for number in range(200):
                await client.send_and_wait(topic, b"%d-%d" % (name, number))

    await asyncio.gather(*(one(name) for name in range(5)))
    found = await read_all(broker, topic)
    assert [record.offset for record in found] == list(range(1000))
    for name in range(5):
        own = [record.value for record in found if record.value.startswith(b"%d-" % name)]
        assert own == [b"%d-%d" % (name, number) for number in range(200)]


async def test_an_oversized_record_is_refused_and_the_next_is_taken(broker: str) -> None:
    topic = await new_topic(broker, max__message__bytes="2000")
    async with producer(broker) as client:
        with pytest.raises(MessageSizeTooLargeError):
            await client.send_and_wait(topic, b"x" * 3000)
        await client.send_and_wait(topic, b"small")
    assert [record.value for record in await read_all(broker, topic)] == [b"small"]


async def test_a_batch_larger_than_the_fetch_is_delivered(broker: str) -> None:
    topic = await new_topic(broker)
    values = [b"%d" % number * 5000 for number in range(4)]
    async with producer(broker) as client:
        for value in values:
            await client.send_and_wait(topic, value)
    found = await read_all(broker, topic, fetch_max_bytes=100, max_partition_fetch_bytes=100)
    assert [record.value for record in found] == values


async def test_seeking_into_a_batch_reads_on_from_that_record(broker: str) -> None:
    topic = await new_topic(broker)
    place = TopicPartition(topic, 0)
    async with producer(broker, linger_ms=50) as client:
        await asyncio.gather(*[await client.send(topic, b"%d" % number) for number in range(20)])
    async with consumer(broker) as client:
        client.assign([place])
        client.seek(place, 13)
        assert [int(record.value) for record in await read(client, 7)] == list(range(13, 20))
        await client.seek_to_end(place)
        assert await client.position(place) == 20


async def test_a_position_outside_of_the_log_is_out_of_range(broker: str) -> None:
    topic = await new_topic(broker)
    place = TopicPartition(topic, 0)
    async with consumer(broker, auto_offset_reset="none") as client:
        client.assign([place])
        client.seek(place, 5)
        with pytest.raises(OffsetOutOfRangeError):
            await read(client, 1)


@pytest.mark.parametrize("linger_ms", [0, 100], ids=["one record a batch", "one batch"])
async def test_offsets_are_found_by_time(broker: str, linger_ms: int) -> None:
    topic = await new_topic(broker, retention__ms="-1")
    place = TopicPartition(topic, 0)
    async with producer(broker, linger_ms=linger_ms) as client:
        sends = []
        for number in range(6):
            sends.append(await client.send(topic, b"%d" % number, timestamp_ms=LONG_AGO + number * 1000))
            if not linger_ms:
                await sends[-1]
        await asyncio.gather(*sends)
    async with consumer(broker) as client:
        client.assign([place])
        found = [(await client.offsets_for_times({place: LONG_AGO + ms}))[place] for ms in (-1, 0, 2500, 5000, 9999)]
        first, end = await client.beginning_offsets([place]), await client.end_offsets([place])
    at = [None if one is None else (one.offset, one.timestamp - LONG_AGO) for one in found]
    assert at == [(0, 0), (0, 0), (3, 3000), (5, 5000), None]
    assert (first[place], end[place]) == (0, 6)


async def test_offsets_by_time_use_the_append_time_of_a_topic_that_has_it(broker: str) -> None:
    topic = await new_topic(broker, message__timestamp__type="LogAppendTime")
    place = TopicPartition(topic, 0)
    async with producer(broker) as client:
        await client.send_and_wait(topic, b"x", timestamp_ms=LONG_AGO)
    async with consumer(broker) as client:
        client.assign([place])
        stamped = (await read(client, 1))[0].timestamp
        found = (await client.offsets_for_times({place: LONG_AGO + 1}))[place]
        later = (await client.offsets_for_times({place: stamped + 1}))[place]
    assert (found.offset, found.timestamp, later) == (0, stamped, None)


async def test_an_idle_fetch_waits_on_the_broker_and_new_records_end_the_wait(broker: str) -> None:
    topic = await new_topic(broker)
    async with consumer(broker, topic, fetch_max_wait_ms=2000) as reader, producer(broker) as writer:
        answered = _count_fetches(reader)
        await until(lambda: answered, what="a first fetch was answered")
        began, before = time.monotonic(), len(answered)
        await until(lambda: len(answered) >= before + 2, what="two more idle fetches")
        # bounded from below only: a slow machine makes it longer, only a busy loop makes it shorter
        assert time.monotonic() - began > 1.0
        await writer.send_and_wait(topic, b"new")
        assert [record.value for record in await read(reader, 1)] == [b"new"]


def _count_fetches(reader: Any) -> list[float]:
    """The times of all fetch responses from now on."""
    answered: list[float] = []
    send = reader._client.send

    async def counting(node: Any, request: Any, **settings: Any) -> Any:
        answer = await send(node, request, **settings)
        if type(request).__name__.startswith("Fetch"):
            answered.append(time.monotonic())
        return answer

    reader._client.send = counting
    return answered
