"""Leader epochs of batches, and where they end, as `app.kafka.leader_epochs` asks: aiokafka does not define the request."""

from __future__ import annotations

import os

import aiokafka
import pytest
from aiokafka import TopicPartition
from aiokafka.admin import RecordsToDelete
from aiokafka.errors import KafkaError
from aiokafka.protocol.api import RequestStruct

from app.kafka.failures import refusal_of
from app.kafka.fetcher import RawTopics
from app.kafka.identity import identify
from app.kafka.leader_epochs import AIOKAFKA_VERSION, NOT_THERE, EpochEnd, EpochEndRequest, end_of_epoch
from app.kafka.records import LeaderEpoch
from app.pocket.batch import read_header
from tests.conformance.clients import admin, consumer, new_topic, producer
from tests.conformance.pocket_process import PocketProcess


async def _end(bootstrap: str, topic: str, leader_epoch: int) -> EpochEnd | None:
    async with admin(bootstrap) as client:
        return await end_of_epoch(client._client, topic, 0, leader_epoch)


async def _append(bootstrap: str, topic: str, count: int) -> None:
    async with producer(bootstrap) as client:
        for number in range(count):
            await client.send_and_wait(topic, b"%d" % number, partition=0)


async def _leaders(bootstrap: str, topic: str) -> list[tuple[int, int]]:
    """Where each leader epoch begins, by the batches of a fetch: (epoch, offset)."""
    tp = TopicPartition(topic, 0)
    async with consumer(bootstrap, key_deserializer=RawTopics(frozenset({topic}))) as client:
        client.assign([tp])
        end = (await client.end_offsets([tp]))[tp]
        found: list[tuple[int, int]] = []
        while await client.position(tp) < end:
            for batches in (await client.getmany(timeout_ms=200)).values():
                fresh = [(b.leader_epoch, b.base_offset) for b in batches if isinstance(b, LeaderEpoch)]
                found += [leader for leader in fresh if not found or leader[0] != found[-1][0]]
        return found


async def test_the_epoch_of_the_last_batch_ends_where_the_log_does(broker: str) -> None:
    topic = await new_topic(broker)
    await _append(broker, topic, 3)
    [(epoch, first)] = await _leaders(broker, topic)
    assert (epoch >= 0, first) == (True, 0)
    assert await _end(broker, topic, epoch) == EpochEnd(epoch, 3)
    async with admin(broker) as client:
        assert (await identify(client, [topic])).leader_epochs == {(topic, 0): epoch}


async def test_an_epoch_that_has_not_begun_is_not_there(broker: str) -> None:
    topic = await new_topic(broker)
    await _append(broker, topic, 1)
    assert await _end(broker, topic, 1_000_000) == EpochEnd(-1, NOT_THERE)


async def test_an_epoch_whose_records_were_deleted_ends_where_the_log_begins(broker: str) -> None:
    topic = await new_topic(broker)
    await _append(broker, topic, 4)
    [(epoch, _)] = await _leaders(broker, topic)
    async with admin(broker) as client:
        await client.delete_records({TopicPartition(topic, 0): RecordsToDelete(4)})
    assert await _end(broker, topic, epoch) == EpochEnd(epoch, 4)


async def test_an_unknown_partition_is_an_error_that_another_attempt_may_mend(broker: str) -> None:
    async with admin(broker) as client:
        with pytest.raises(KafkaError) as raised:
            await end_of_epoch(client._client, await new_topic(broker), 7, 0)
    assert refusal_of(raised.value) is None


async def test_an_older_broker_tells_nothing(broker: str, monkeypatch: pytest.MonkeyPatch) -> None:
    original = EpochEndRequest.prepare

    def of_kafka_2_2(self: EpochEndRequest, versions: dict[int, tuple[int, int]]) -> RequestStruct:
        return original(self, {**versions, 23: (0, 2)})

    monkeypatch.setattr(EpochEndRequest, "prepare", of_kafka_2_2)
    assert await _end(broker, await new_topic(broker), 0) is None


async def test_each_start_of_the_pocket_broker_begins_an_epoch_where_the_log_ends(own_pocket: PocketProcess) -> None:
    topic = await new_topic(own_pocket.bootstrap)
    await _append(own_pocket.bootstrap, topic, 2)
    own_pocket.kill()
    own_pocket.start()
    await _append(own_pocket.bootstrap, topic, 3)
    assert await _leaders(own_pocket.bootstrap, topic) == [(0, 0), (1, 2)]
    own_pocket.stop()
    own_pocket.start()
    assert await _end(own_pocket.bootstrap, topic, 0) == EpochEnd(0, 2)
    assert await _end(own_pocket.bootstrap, topic, 1) == EpochEnd(1, 5)
    assert await _end(own_pocket.bootstrap, topic, 2) == EpochEnd(2, 5)


@pytest.mark.parametrize("starts", [1, 2])
async def test_a_log_that_lost_its_last_batches_and_grew_again_shows_where_they_were(
    own_pocket: PocketProcess, starts: int
) -> None:
    topic = await new_topic(own_pocket.bootstrap)
    await _append(own_pocket.bootstrap, topic, 1)
    for _ in range(starts):  # the second time, all batches of the last epoch are lost
        own_pocket.stop()
        own_pocket.start()
        await _append(own_pocket.bootstrap, topic, 2)
    own_pocket.kill()
    [path] = own_pocket.directory.glob(f"{topic}-*-0.log")
    os.truncate(path, read_header(path.read_bytes()).size)
    own_pocket.start()
    await _append(own_pocket.bootstrap, topic, 9)
    assert await _end(own_pocket.bootstrap, topic, starts) == EpochEnd(0, 1)
    assert await _leaders(own_pocket.bootstrap, topic) == [(0, 0), (starts + 1, 1)]


def test_the_request_was_written_for_this_aiokafka() -> None:
    assert aiokafka.__version__ == AIOKAFKA_VERSION
