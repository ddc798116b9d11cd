"""Admin requests: topics, their configs, and the deletion of records."""

from __future__ import annotations

from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import NewPartitions, NewTopic, RecordsToDelete
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import OffsetOutOfRangeError

from app.kafka.sizes import topic_bytes
from tests.conformance.clients import admin, consumer, eventually, new_topic, producer, read, read_all, settings_of, unique

EXISTS, INVALID_TOPIC, INVALID_PARTITIONS, INVALID_REPLICATION, INVALID_CONFIG, UNKNOWN = 36, 17, 37, 38, 40, 3


async def _create(bootstrap: str, name: str, partitions: int = 1, replicas: int = 1, **configs: str) -> int:
    async with admin(bootstrap) as client:
        settings = {key.replace("__", "."): value for key, value in configs.items()}
        answer = await client.create_topics([NewTopic(name, partitions, replicas, topic_configs=settings)])
        return int(answer.topic_errors[0][1])


async def test_a_topic_has_the_partitions_it_was_created_with(broker: str) -> None:
    topic = await new_topic(broker, 4)
    async with admin(broker) as client:
        assert topic in await client.list_topics()
        (found,) = await client.describe_topics([topic])
    assert sorted(part["partition"] for part in found["partitions"]) == [0, 1, 2, 3]


async def test_a_topic_with_minus_one_replicas_has_as_many_as_the_cluster_says(broker: str) -> None:
    topic = await new_topic(broker)  # which asks for -1
    async with admin(broker) as client:
        (found,) = await client.describe_topics([topic])
    (part,) = found["partitions"]
    assert len(part["replicas"]) >= 1
    assert part["leader"] in part["replicas"]


async def test_a_topic_is_created_only_once(broker: str) -> None:
    assert await _create(broker, await new_topic(broker)) == EXISTS


async def test_a_metadata_request_does_not_create_a_topic(broker: str) -> None:
    topic = unique()
    async with admin(broker) as client:
        (found,) = await client.describe_topics([topic])
        assert found["error_code"] == UNKNOWN
        assert topic not in await client.list_topics()


@pytest.mark.parametrize(
    ("wanted", "error"),
    [
        ({"name": "a b"}, INVALID_TOPIC),
        ({"partitions": 0}, INVALID_PARTITIONS),
        ({"replicas": 9}, INVALID_REPLICATION),
        ({"cleanup__policy": "burn"}, INVALID_CONFIG),
        ({"retention__ms": "soon"}, INVALID_CONFIG),
        ({"no__such__setting": "1"}, INVALID_CONFIG),
    ],
    ids=str,
)
async def test_an_invalid_topic_is_refused(broker: str, wanted: dict[str, Any], error: int) -> None:
    wanted = {"name": unique(), **wanted}
    assert await _create(broker, wanted.pop("name"), **wanted) == error


async def test_configs_are_stored_and_described_with_the_defaults(broker: str) -> None:
    topic = await new_topic(broker, cleanup__policy="compact,delete", retention__ms="123456")
    async with admin(broker) as client:
        found = await eventually(lambda: settings_of(client, topic))
    assert (found["cleanup.policy"], found["retention.ms"]) == ("compact,delete", "123456")
    assert found["message.timestamp.type"] == "CreateTime"
    assert found["max.message.bytes"] == "1048588"


async def test_configs_of_compaction_are_stored(broker: str) -> None:
    topic = await new_topic(broker, cleanup__policy="compact", delete__retention__ms="1000", min__cleanable__dirty__ratio="0.1")
    async with admin(broker) as client:
        found = await eventually(lambda: settings_of(client, topic))
    assert (found["delete.retention.ms"], found["min.cleanable.dirty.ratio"]) == ("1000", "0.1")


async def test_changed_configs_take_effect_at_once(broker: str) -> None:
    topic = await new_topic(broker)
    async with admin(broker) as client:
        changed = ConfigResource(ConfigResourceType.TOPIC, topic, configs={"message.timestamp.type": "LogAppendTime"})
        await client.alter_configs([changed])
        await eventually(lambda: _has_append_time(client, topic))
    async with producer(broker) as client:

        async def stamped() -> bool:
            return bool((await client.send_and_wait(topic, b"x", timestamp_ms=1)).timestamp_type == 1)

        await eventually(stamped)


async def _has_append_time(client: Any, topic: str) -> bool:
    return (await settings_of(client, topic)).get("message.timestamp.type") == "LogAppendTime"


async def test_configs_of_an_unknown_topic_are_an_error(broker: str) -> None:
    async with admin(broker) as client:
        answers = await client.describe_configs([ConfigResource(ConfigResourceType.TOPIC, unique())])
    assert answers[0].resources[0][0] == UNKNOWN


async def test_partitions_can_be_added_and_written_to(broker: str) -> None:
    topic = await new_topic(broker)
    async with admin(broker) as client:
        await client.create_partitions({topic: NewPartitions(3)})
        await eventually(lambda: _partitions(client, topic, 3))
    async with producer(broker) as client:
        await client.send_and_wait(topic, b"third", partition=2)
    assert [record.value for record in await read_all(broker, topic, 2)] == [b"third"]


async def _partitions(client: Any, topic: str, count: int) -> bool:
    (found,) = await client.describe_topics([topic])
    return len([part for part in found["partitions"] if part["leader"] >= 0]) == count


async def test_a_topic_that_is_deleted_and_created_again_is_empty(broker: str) -> None:
    topic = await new_topic(broker)
    async with producer(broker) as client:
        await client.send_and_wait(topic, b"x")
    async with admin(broker) as client:
        await client.delete_topics([topic])

        async def gone() -> bool:
            return topic not in await client.list_topics()

        await eventually(gone)

        async def created() -> bool:
            return await _create(broker, topic) == 0

        await eventually(created)
        await eventually(lambda: _partitions(client, topic, 1))
    place = TopicPartition(topic, 0)
    async with consumer(broker) as client:
        client.assign([place])
        assert await client.end_offsets([place]) == {place: 0}


async def test_records_before_an_offset_are_deleted(broker: str) -> None:
    topic = await new_topic(broker)
    place = TopicPartition(topic, 0)
    async with producer(broker, linger_ms=20) as client:
        for number in range(10):
            await client.send_and_wait(topic, b"%d" % number)
    async with admin(broker) as client:
        assert await client.delete_records({place: RecordsToDelete(before_offset=5)}) == {place: 5}
    async with consumer(broker, topic) as client:
        assert (await client.beginning_offsets([place]))[place] == 5
        assert [int(record.value) for record in await read(client, 5)] == list(range(5, 10))


async def test_offsets_continue_after_all_records_are_deleted(broker: str) -> None:
    topic = await new_topic(broker)
    place = TopicPartition(topic, 0)
    async with producer(broker) as client:
        for number in range(3):
            await client.send_and_wait(topic, b"%d" % number)
        async with admin(broker) as other:
            await other.delete_records({place: RecordsToDelete(before_offset=-1)})
        assert (await client.send_and_wait(topic, b"next")).offset == 3
    assert [record.offset for record in await read_all(broker, topic)] == [3]


async def test_records_past_the_end_cannot_be_deleted(broker: str) -> None:
    topic = await new_topic(broker)
    async with admin(broker) as client:
        with pytest.raises(OffsetOutOfRangeError):
            await client.delete_records({TopicPartition(topic, 0): RecordsToDelete(before_offset=99)})


async def test_the_bytes_of_topics_on_disk_are_told(broker: str) -> None:
    topic, empty = await new_topic(broker, 2), await new_topic(broker)
    async with producer(broker) as sender:
        for number in range(20):
            await sender.send_and_wait(topic, b"x" * 100, partition=number % 2)
    async with admin(broker) as client:
        found = await topic_bytes(client, {topic: 2, empty: 1})
        assert (found.pop(empty), 20 * 100 < found.pop(topic) < 20 * 300, found) == (0, True, {})
        assert await topic_bytes(client, {topic: 3, unique(): 1}) == {}  # a partition that is not told is not 0
