"""The same through librdkafka, which uses other versions of the requests, in another order."""

from __future__ import annotations

import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import OFFSET_BEGINNING, TIMESTAMP_LOG_APPEND_TIME, Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    NewTopic,
    ResourceType,
)

from tests.conformance.clients import DEADLINE, unique
from tests.support.waiting import until_sync

INVALID_CONFIG = 40  # Kafka's code
DELETE_GROUP = """
import sys
from confluent_kafka.admin import AdminClient
client = AdminClient({"bootstrap.servers": sys.argv[1]})
client.delete_consumer_groups([sys.argv[2]])[sys.argv[2]].result(30)
"""


def _topic(broker: str, partitions: int = 1, **settings: str) -> str:
    name = unique()
    config = {key.replace("__", "."): value for key, value in settings.items()}
    client = AdminClient({"bootstrap.servers": broker})
    client.create_topics([NewTopic(name, partitions, 1, config=config)])[name].result(DEADLINE)
    return name


@contextmanager
def _consumer(broker: str, **settings: Any) -> Iterator[Consumer]:
    client = Consumer(
        {
            "bootstrap.servers": broker,
            "group.id": unique("g"),
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            **settings,
        }
    )
    try:
        yield client
    finally:
        client.close()


def _read(client: Consumer, count: int) -> list[Any]:
    found: list[Any] = []
    end = time.monotonic() + DEADLINE
    while len(found) < count:
        assert time.monotonic() < end, f"{len(found)} of {count} records"
        message = client.poll(0.2)
        if message is not None:
            assert message.error() is None, message.error()
            found.append(message)
    return found


def _send(client: Producer, topic: str, values: list[bytes], **fields: Any) -> None:
    problems: list[Any] = []

    def delivered(error: Any, _message: Any) -> None:
        if error is not None:
            problems.append(error)

    for value in values:
        client.produce(topic, value, on_delivery=delivered, **fields)
        client.poll(0)
    assert client.flush(DEADLINE) == 0
    assert not problems, problems


@pytest.mark.parametrize("codec", ["none", "gzip", "lz4", "snappy", "zstd"])
def test_an_idempotent_producer_keeps_order(broker: str, codec: str) -> None:
    topic = _topic(broker)
    values = [b"%d" % number for number in range(2000)]
    settings = {"bootstrap.servers": broker, "enable.idempotence": True, "compression.type": codec, "linger.ms": 5}
    _send(Producer(settings), topic, values)
    with _consumer(broker) as client:
        client.subscribe([topic])
        assert [message.value() for message in _read(client, len(values))] == values


def test_a_group_continues_from_its_committed_offsets(broker: str) -> None:
    topic, group = _topic(broker), unique("g")
    _send(Producer({"bootstrap.servers": broker}), topic, [b"%d" % number for number in range(10)])
    with _consumer(broker, **{"group.id": group}) as client:
        client.subscribe([topic])
        _read(client, 4)
        (done,) = client.commit(offsets=[TopicPartition(topic, 0, 4, "a note")], asynchronous=False)
        assert done.error is None
    with _consumer(broker, **{"group.id": group}) as client:
        client.subscribe([topic])
        assert [message.value() for message in _read(client, 6)] == [b"%d" % number for number in range(4, 10)]
        (found,) = client.committed([TopicPartition(topic, 0)], DEADLINE)
        assert (found.offset, found.metadata) == (4, "a note")


def test_two_members_share_the_partitions(broker: str) -> None:
    topic, group = _topic(broker, 4), unique("g")
    settings = {"group.id": group, "session.timeout.ms": 6000, "heartbeat.interval.ms": 200}
    with _consumer(broker, **settings) as first, _consumer(broker, **settings) as second:
        first.subscribe([topic])
        second.subscribe([topic])

        def shared() -> bool:
            for client in (first, second):
                client.poll(0.1)
            return sorted(len(client.assignment()) for client in (first, second)) == [2, 2]

        until_sync(shared, deadline=DEADLINE)


def test_a_static_member_that_returns_gets_its_partitions_back(broker: str) -> None:
    topic = _topic(broker, 2)
    settings = {"group.id": unique("g"), "group.instance.id": "one", "session.timeout.ms": 30_000}
    for _ in range(2):
        with _consumer(broker, **settings) as client:
            client.subscribe([topic])

            def assigned(client: Consumer = client) -> bool:
                client.poll(0.1)
                return len(client.assignment()) == 2

            until_sync(assigned, deadline=20)


def test_the_timestamp_type_of_log_append_time_is_reported(broker: str) -> None:
    topic = _topic(broker, message__timestamp__type="LogAppendTime")
    before = int(time.time() * 1000) - 1
    _send(Producer({"bootstrap.servers": broker, "compression.type": "zstd"}), topic, [b"a", b"b"], timestamp=1_000_000)
    with _consumer(broker) as client:
        client.assign([TopicPartition(topic, 0, OFFSET_BEGINNING)])
        stamps = [message.timestamp() for message in _read(client, 2)]
    assert all(kind == TIMESTAMP_LOG_APPEND_TIME and stamp >= before for kind, stamp in stamps)


def test_a_transaction_is_seen_when_it_is_committed_and_not_when_aborted(broker: str) -> None:
    topic, group = _topic(broker), unique("g")
    client = Producer({"bootstrap.servers": broker, "transactional.id": unique("tx")})
    client.init_transactions(DEADLINE)
    with _consumer(broker, **{"group.id": group, "isolation.level": "read_committed"}) as reader:
        reader.assign([TopicPartition(topic, 0, OFFSET_BEGINNING)])
        for value, commit in ((b"c1", True), (b"a1", False), (b"c2", True)):
            client.begin_transaction()
            client.produce(topic, value)
            client.send_offsets_to_transaction(
                [TopicPartition(topic, 0, 5 if commit else 9)], reader.consumer_group_metadata(), DEADLINE
            )
            if commit:
                client.commit_transaction(DEADLINE)
            else:
                client.abort_transaction(DEADLINE)
        assert [message.value() for message in _read(reader, 2)] == [b"c1", b"c2"]
        assert reader.committed([TopicPartition(topic, 0)], DEADLINE)[0].offset == 5


def test_a_second_transactional_producer_fences_the_first(broker: str) -> None:
    topic, name = _topic(broker), unique("tx")
    settings = {"bootstrap.servers": broker, "transactional.id": name}
    first, second = Producer(settings), Producer(settings)
    first.init_transactions(DEADLINE)
    first.begin_transaction()
    first.produce(topic, b"first")
    first.flush(DEADLINE)
    second.init_transactions(DEADLINE)
    with pytest.raises(KafkaException) as caught:
        first.commit_transaction(DEADLINE)
    assert caught.value.args[0].fatal()


def test_an_admin_client_creates_describes_and_deletes_topics(broker: str) -> None:
    topic = _topic(broker, retention__ms="123456")
    client = AdminClient({"bootstrap.servers": broker})
    resource = ConfigResource(ConfigResource.Type.TOPIC, topic)

    def shown() -> Any:
        return client.describe_configs([resource])[resource].result(DEADLINE).get("retention.ms")

    assert until_sync(shown, deadline=DEADLINE).value == "123456"
    client.create_partitions([NewPartitions(topic, 2)])[topic].result(DEADLINE)
    _send(Producer({"bootstrap.servers": broker}), topic, [b"1", b"2"], partition=0)
    place = TopicPartition(topic, 0, 1)
    deleted = client.delete_records([place])
    assert next(iter(deleted.values())).result(DEADLINE).low_watermark == 1
    client.delete_topics([topic])[topic].result(DEADLINE)
    until_sync(lambda: topic not in client.list_topics(timeout=DEADLINE).topics, deadline=DEADLINE)


def test_groups_are_listed_and_described(broker: str) -> None:
    topic, group = _topic(broker), unique("g")
    client = AdminClient({"bootstrap.servers": broker})
    with _consumer(broker, **{"group.id": group}) as member:
        member.subscribe([topic])

        def assigned() -> bool:
            member.poll(0.1)
            return len(member.assignment()) == 1

        until_sync(assigned, deadline=DEADLINE)
        assert group in {one.group_id for one in client.list_consumer_groups().result(DEADLINE).valid}
        found = client.describe_consumer_groups([group])[group].result(DEADLINE)
        assert [place.topic for one in found.members for place in one.assignment.topic_partitions] == [topic]


def test_a_group_can_be_deleted(broker: str) -> None:
    topic, group = _topic(broker), unique("g")
    with _consumer(broker, **{"group.id": group}) as member:
        member.commit(offsets=[TopicPartition(topic, 0, 1)], asynchronous=False)
    # in a process of its own: librdkafka aborts its process where an answer lacks the group
    done = subprocess.run(
        [sys.executable, "-c", DELETE_GROUP, broker, group], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    client = AdminClient({"bootstrap.servers": broker})
    assert group not in {one.group_id for one in client.list_consumer_groups().result(DEADLINE).valid}


def test_one_config_is_changed_and_the_others_stay(broker: str) -> None:
    topic = _topic(broker, retention__ms="123456", cleanup__policy="delete")
    admin = AdminClient({"bootstrap.servers": broker})

    def change(name: str, value: str | None, kind: AlterConfigOpType) -> None:
        entry = ConfigEntry(name, value, incremental_operation=kind)
        resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[entry])
        admin.incremental_alter_configs([resource])[resource].result(DEADLINE)

    def configs() -> dict[str, str | None]:
        resource = ConfigResource(ResourceType.TOPIC, topic)
        found = admin.describe_configs([resource])[resource].result(DEADLINE)
        return {name: found[name].value for name in ("retention.ms", "cleanup.policy")}

    change("cleanup.policy", "compact", AlterConfigOpType.SET)
    until_sync(lambda: configs() == {"retention.ms": "123456", "cleanup.policy": "compact"}, what="one is changed")
    change("cleanup.policy", "delete", AlterConfigOpType.APPEND)
    until_sync(lambda: configs()["cleanup.policy"] == "compact,delete", what="a value is added")
    change("retention.ms", None, AlterConfigOpType.DELETE)
    until_sync(lambda: configs()["retention.ms"] != "123456", what="the default is back")
    for name, value in (("cleanup.policy", "burn"), ("no.such.config", "1")):
        with pytest.raises(KafkaException) as refused:
            change(name, value, AlterConfigOpType.SET)
        assert refused.value.args[0].code() == INVALID_CONFIG


def test_compression_reaches_the_brokers_log(pocket: str, pocket_directory: Path) -> None:
    topic = _topic(pocket)
    _send(Producer({"bootstrap.servers": pocket, "compression.type": "zstd", "linger.ms": 50}), topic, [b"x" * 500] * 50)
    (path,) = [path for path in pocket_directory.rglob("*.log") if topic in str(path)]
    (attributes,) = struct.unpack_from(">h", path.read_bytes(), 21)
    assert attributes & 7 == 4, "librdkafka sent plain batches: it wants Produce v0 to be on offer"
