"""The pocket broker alone: retention by the records' timestamps, and compaction, with housekeeping all the time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiokafka import TopicPartition

from app.pocket.server import Broker
from tests.conformance.clients import consumer, eventually, new_topic, producer, read_all, unique

LONG_AGO = 1_399_248_000_000
COMMITTED: dict[str, Any] = {"isolation_level": "read_committed"}


@pytest.fixture
async def quick(tmp_path: Path) -> AsyncIterator[str]:
    """`host:port` of a broker in this process that runs retention and compaction all the time."""
    broker = await Broker(tmp_path, housekeeping=0.1).start()
    try:
        yield f"{broker.host}:{broker.port}"
    finally:
        await broker.stop()


async def _start(bootstrap: str, topic: str) -> int:
    place = TopicPartition(topic, 0)
    async with consumer(bootstrap) as client:
        return int((await client.beginning_offsets([place]))[place])


async def test_compaction_does_not_move_the_beginning_of_a_log(tmp_path: Path) -> None:
    broker = await Broker(tmp_path, housekeeping=0.1).start()
    bootstrap = f"{broker.host}:{broker.port}"
    topic = await new_topic(bootstrap, cleanup__policy="compact")
    async with producer(bootstrap) as client:
        for number in range(5):
            await client.send_and_wait(topic, b"%d" % number, b"key")

    async def one_is_left() -> bool:
        return len(await read_all(bootstrap, topic)) == 1

    await eventually(one_is_left)
    assert await _start(bootstrap, topic) == 0
    await broker.stop()
    again = await Broker(tmp_path, housekeeping=0.1).start()
    try:
        assert await _start(f"{again.host}:{again.port}", topic) == 0
    finally:
        await again.stop()


async def test_records_with_an_old_timestamp_of_their_producer_are_deleted(quick: str) -> None:
    topic = await new_topic(quick, segment__bytes="1000")
    async with producer(quick) as client:
        for _ in range(3):
            await client.send_and_wait(topic, b"old", timestamp_ms=LONG_AGO)

        async def begins_at_3() -> bool:
            return await _start(quick, topic) == 3

        await eventually(begins_at_3)
        # the offsets continue, and a record of today stays
        assert (await client.send_and_wait(topic, b"new")).offset == 3
    assert [record.value for record in await read_all(quick, topic)] == [b"new"]


@pytest.mark.parametrize(
    "settings",
    [{"message__timestamp__type": "LogAppendTime"}, {"retention__ms": "-1"}, {"cleanup__policy": "compact"}],
    ids=lambda settings: next(iter(settings)),
)
async def test_records_with_an_old_timestamp_stay_if_retention_does_not_use_it(quick: str, settings: dict[str, Any]) -> None:
    kept, canary = await new_topic(quick, **settings), await new_topic(quick)
    async with producer(quick) as client:
        for topic in (kept, canary):
            await client.send_and_wait(topic, b"old", key=b"k", timestamp_ms=LONG_AGO)

    async def canary_is_gone() -> bool:
        return await _start(quick, canary) == 1

    await eventually(canary_is_gone)
    assert [record.value for record in await read_all(quick, kept)] == [b"old"]


async def _compacted(bootstrap: str, topic: str, wanted: dict[bytes, bytes | None]) -> list[Any]:
    """The records once no superseded batch is left. The last record of every key is checked all the time."""

    async def small() -> list[Any]:
        records = await read_all(bootstrap, topic, **COMMITTED)
        assert {record.key: record.value for record in records} == wanted
        return records if len(records) <= len(wanted) + 1 else []

    return await eventually(small, every=0.1)


async def test_compaction_keeps_the_newest_of_every_key_at_its_offset(quick: str) -> None:
    topic = await new_topic(quick, cleanup__policy="compact", segment__bytes="1000", min__cleanable__dirty__ratio="0.01")
    async with producer(quick) as client:
        for number in range(60):
            await client.send_and_wait(topic, b"%d" % number, key=b"k%d" % (number % 3))
    records = await _compacted(quick, topic, {b"k0": b"57", b"k1": b"58", b"k2": b"59"})
    assert all(record.offset == int(record.value) for record in records)
    place = TopicPartition(topic, 0)
    async with consumer(quick) as client:
        assert (await client.end_offsets([place]))[place] == 60


async def test_records_younger_than_the_compaction_lag_stay(quick: str) -> None:
    """Also those that are as old, but lie behind a young one."""
    config: dict[str, Any] = {"cleanup__policy": "compact", "min__compaction__lag__ms": str(10 * 86_400_000)}
    topic, canary = await new_topic(quick, **config), await new_topic(quick, cleanup__policy="compact")
    now = int(time.time() * 1_000)
    times = [LONG_AGO, LONG_AGO, LONG_AGO, now, now, LONG_AGO, LONG_AGO]
    async with producer(quick) as client:
        for one in (topic, canary):
            for number, at in enumerate(times):
                await client.send_and_wait(one, b"%d" % number, key=b"key", timestamp_ms=at)
    await _compacted(quick, canary, {b"key": b"6"})

    async def the_first_two_are_gone() -> bool:
        return [record.offset for record in await read_all(quick, topic)] == [2, 3, 4, 5, 6]

    await eventually(the_first_two_are_gone, every=0.1)


async def test_a_tombstone_supersedes_the_records_before_it(quick: str) -> None:
    topic = await new_topic(quick, cleanup__policy="compact", segment__bytes="1000", min__cleanable__dirty__ratio="0.01")
    async with producer(quick) as client:
        for number in range(30):
            await client.send_and_wait(topic, b"%d" % number, key=b"a")
        await client.send_and_wait(topic, None, key=b"a")
        await client.send_and_wait(topic, b"last", key=b"b")
    await _compacted(quick, topic, {b"a": None, b"b": b"last"})


@pytest.mark.parametrize("codec", [None, "gzip", "zstd"])
async def test_a_batch_with_one_live_record_stays_readable(quick: str, codec: str | None) -> None:
    topic = await new_topic(quick, cleanup__policy="compact", segment__bytes="1000", min__cleanable__dirty__ratio="0.01")
    async with producer(quick, linger_ms=50, compression_type=codec) as client:
        await asyncio.gather(*[await client.send(topic, b"first", key=b"k%d" % number) for number in range(20)])
        for number in range(1, 20):
            await client.send_and_wait(topic, b"second", key=b"k%d" % number)
    wanted = {b"k%d" % number: b"second" if number else b"first" for number in range(20)}
    records = await read_all(quick, topic)
    assert {record.key: record.value for record in records} == wanted


async def test_an_aborted_record_does_not_supersede_a_committed_one(quick: str) -> None:
    topic = await new_topic(quick, cleanup__policy="compact", segment__bytes="1000", min__cleanable__dirty__ratio="0.01")
    async with producer(quick, transactional_id=unique("tx")) as client:
        for number in range(10):
            async with client.transaction():
                await client.send_and_wait(topic, b"%d" % number, key=b"a")
        await client.begin_transaction()
        await client.send_and_wait(topic, b"aborted", key=b"a")
        await client.abort_transaction()
        async with client.transaction():
            await client.send_and_wait(topic, b"last", key=b"b")

    async def newest() -> bool:
        records = await read_all(quick, topic, **COMMITTED)
        assert {record.key: record.value for record in records} == {b"a": b"9", b"b": b"last"}
        return len(records) <= 3

    await eventually(newest, every=0.1)


async def test_housekeeping_leaves_recent_records_alone(quick: str) -> None:
    topic = await new_topic(quick)
    now = int(time.time() * 1000)
    async with producer(quick) as client:
        for number in range(5):
            await client.send_and_wait(topic, b"%d" % number, timestamp_ms=now - 1000)
        canary = await new_topic(quick)
        await client.send_and_wait(canary, b"old", timestamp_ms=LONG_AGO)

    async def canary_is_gone() -> bool:
        return await _start(quick, canary) == 1

    await eventually(canary_is_gone)
    assert len(await read_all(quick, topic)) == 5
