"""aiokafka clients as context managers, and helpers that the conformance tests share."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar
from uuid import uuid4

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError

from app.kafka.topics import TopicSpec
from app.kafka.topics import new_topic as with_replicas
from tests.support.waiting import until

DEADLINE = 30.0  # seconds
T = TypeVar("T")


async def eventually(condition: Callable[[], Awaitable[T]], *, every: float = 0.05) -> T:
    """Repeat a query until its result is true, and return that; raises `AssertionError` after the deadline."""
    query: Callable[[], Any] = condition
    result: T = await until(query, deadline=DEADLINE, every=every)
    return result


def unique(prefix: str = "t") -> str:
    """A name that no other test uses."""
    return f"{prefix}-{uuid4().hex[:10]}"


@asynccontextmanager
async def producer(bootstrap: str, **settings: Any) -> AsyncIterator[AIOKafkaProducer]:
    """A started producer. Its acknowledgement means that readers see the record: all replicas in sync have it."""
    client = AIOKafkaProducer(bootstrap_servers=bootstrap, **{"acks": "all", **settings})
    try:
        await client.start()
        yield client
    finally:
        await client.stop()


@asynccontextmanager
async def consumer(bootstrap: str, *topics: str, **settings: Any) -> AsyncIterator[AIOKafkaConsumer]:
    """A started consumer that begins at the earliest record."""
    settings = {"auto_offset_reset": "earliest", "enable_auto_commit": False, **settings}
    client = AIOKafkaConsumer(*topics, bootstrap_servers=bootstrap, **settings)
    try:
        await client.start()
        yield client
    finally:
        await client.stop()


@asynccontextmanager
async def admin(bootstrap: str) -> AsyncIterator[AIOKafkaAdminClient]:
    """A started admin client."""
    client = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    try:
        await client.start()
        yield client
    finally:
        await client.close()


async def new_topic(bootstrap: str, partitions: int = 1, **settings: str) -> str:
    """Create a topic with the cluster's default of replicas, and wait until it can be used.

    `__` in the name of a config stands for a dot.
    """
    name = unique()
    configs = {key.replace("__", "."): value for key, value in settings.items()}
    async with admin(bootstrap) as client:
        answer = await client.create_topics([with_replicas(TopicSpec(name, partitions, configs, ""), -1)])
        assert [error[1] for error in answer.topic_errors] == [0], answer.topic_errors
        await eventually(lambda: _has_leaders(client, name, partitions))
    return name


async def _has_leaders(client: AIOKafkaAdminClient, name: str, partitions: int) -> bool:
    (topic,) = await client.describe_topics([name])
    ready = [part for part in topic["partitions"] if part["leader"] >= 0 and not part["error_code"]]
    return len(ready) == partitions


async def read(client: AIOKafkaConsumer, count: int, *, deadline: float = DEADLINE) -> list[Any]:
    """The next `count` records, and any others of the same fetches."""
    found: list[Any] = []
    end = time.monotonic() + deadline
    while len(found) < count:
        assert time.monotonic() < end, f"{len(found)} of {count} records: {[r.value for r in found][-5:]}"
        for records in (await client.getmany(timeout_ms=200)).values():
            found += records
    return found


async def read_all(bootstrap: str, topic: str, partition: int = 0, **settings: Any) -> list[Any]:
    """Every record of a partition up to its present end."""
    place = TopicPartition(topic, partition)
    async with consumer(bootstrap, **settings) as client:
        client.assign([place])
        end = (await client.end_offsets([place]))[place]
        found: list[Any] = []
        await client.seek_to_beginning(place)
        until_time = time.monotonic() + DEADLINE
        while await client.position(place) < end:
            assert time.monotonic() < until_time, f"{topic}: at {await client.position(place)} of {end}"
            for records in (await client.getmany(timeout_ms=200)).values():
                found += records
    return found


async def settings_of(client: AIOKafkaAdminClient, topic: str) -> dict[str, str]:
    """A topic's configs by name."""
    answers = await client.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)])
    return {entry[0]: entry[1] for entry in answers[0].resources[0][4]}


async def refused(action: Any) -> type[KafkaError] | None:
    """The class of the Kafka error that the action raises; None if it raises none."""
    try:
        await action
    except KafkaError as error:
        return type(error)
    return None
