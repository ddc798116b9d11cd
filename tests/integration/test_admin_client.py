"""Requests that any broker can answer, while brokers that the cluster has named are away."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import NodeNotReadyError
from aiokafka.structs import BrokerMetadata

from app.kafka.alter import alter_topic
from app.kafka.bootstrap import admin
from app.kafka.cluster import Cluster
from app.kafka.identity import identify
from app.kafka.topics import TopicSpec, create_missing, partition_counts
from tests.support.ports import free_ports

TOPIC = "asked-of-any-broker"
SPEC = TopicSpec(TOPIC, 1, {}, "of this test")
AWAY = 8  # brokers; the one that is there is chosen first by chance once in nine times

Ask = Callable[[AIOKafkaAdminClient], Awaitable[object]]


async def alter(client: AIOKafkaAdminClient) -> None:
    await create_missing(client, [SPEC], 1)
    await alter_topic(client, TOPIC, {"retention.ms": "-1"})


@pytest.mark.parametrize(
    "ask", [partition_counts, lambda client: identify(client, [TOPIC]), alter], ids=["list", "identify", "alter"]
)
async def test_brokers_that_are_away_do_not_matter_where_any_can_answer(pocket: str, ask: Ask) -> None:
    async with admin(Cluster(pocket)) as client:
        await create_missing(client, [SPEC], 1)
        known = client._client.cluster._brokers
        known |= {number: BrokerMetadata(number, "127.0.0.1", port, None) for number, port in enumerate(free_ports(AWAY), 900)}
        for _ in range(5):
            await ask(client)


async def test_a_request_fails_where_every_broker_is_away(pocket: str) -> None:
    async with admin(Cluster(pocket)) as client:
        client._client.cluster._brokers = {900: BrokerMetadata(900, "127.0.0.1", free_ports(1)[0], None)}
        with pytest.raises(NodeNotReadyError, match="900"):
            await partition_counts(client)
