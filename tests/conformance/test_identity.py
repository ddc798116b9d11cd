"""Topic ids and the cluster's id, as `app.kafka.identity` asks for them in a version that aiokafka does not define."""

from __future__ import annotations

import aiokafka
import pytest
from aiokafka.admin import NewTopic
from aiokafka.protocol.api import RequestStruct

from app.kafka.identity import AIOKAFKA_VERSION, Identities, IdentityRequest, identify
from tests.conformance.clients import admin, eventually, new_topic, unique
from tests.conformance.pocket_process import PocketProcess


async def _identities(bootstrap: str, *topics: str) -> Identities:
    async with admin(bootstrap) as client:
        return await identify(client, topics)


async def test_a_topic_keeps_its_id_and_others_have_others(broker: str) -> None:
    first, second = await new_topic(broker, 3), await new_topic(broker)
    found = await _identities(broker, first, second)
    assert found.cluster
    assert len(set(found.topics.values())) == 2
    assert found == await _identities(broker, first, second)


async def test_a_topic_that_is_made_anew_has_another_id(broker: str) -> None:
    topic = await new_topic(broker)
    before = (await _identities(broker, topic)).topics[topic]
    async with admin(broker) as client:
        await client.delete_topics([topic])

        async def created() -> bool:
            answer = await client.create_topics([NewTopic(topic, 1, 1)])
            return [code for _, code, *_ in answer.topic_errors] == [0]

        await eventually(created)

        async def another() -> bool:
            return (await identify(client, [topic])).topics.get(topic, before) != before

        await eventually(another)


async def test_to_ask_for_a_topic_does_not_create_it(broker: str) -> None:
    topic = unique()
    assert (await _identities(broker, topic)).topics == {}
    async with admin(broker) as client:
        assert topic not in await client.list_topics()


async def test_the_pocket_broker_keeps_the_ids_on_its_disk(own_pocket: PocketProcess) -> None:
    topic = await new_topic(own_pocket.bootstrap)
    before = await _identities(own_pocket.bootstrap, topic)
    assert topic in before.topics
    own_pocket.kill()
    own_pocket.start()
    after = await _identities(own_pocket.bootstrap, topic)
    assert (after.cluster, after.topics) == (before.cluster, before.topics)


async def test_an_older_broker_tells_nothing(broker: str, monkeypatch: pytest.MonkeyPatch) -> None:
    original = IdentityRequest.prepare

    def of_kafka_2_7(self: IdentityRequest, versions: dict[int, tuple[int, int]]) -> RequestStruct:
        return original(self, {**versions, 3: (0, 9)})

    monkeypatch.setattr(IdentityRequest, "prepare", of_kafka_2_7)
    assert await _identities(broker, await new_topic(broker)) == Identities()


def test_the_request_was_written_for_this_aiokafka() -> None:
    assert aiokafka.__version__ == AIOKAFKA_VERSION
