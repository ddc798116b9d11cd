"""Changes single configs of topics, and leaves their others as they are.

Written for aiokafka 0.14.0. Its `alter_configs` sends AlterConfigs, which takes back every config that is not named.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import for_code
from aiokafka.protocol.api import Request

from app.errors import BrokerError
from app.kafka.failures import NOT_SPOKEN
from app.pocket.incremental import SET, TOPIC_RESOURCE, IncrementalAlterConfigsRequest_v0


class AlterRequest(Request[IncrementalAlterConfigsRequest_v0]):  # type: ignore[misc]  # aiokafka has no types
    """Sets configs of one topic."""

    API_KEY: ClassVar[int] = 44

    def __init__(self, topic: str, configs: Mapping[str, str]) -> None:
        self._topic, self._configs = topic, configs

    def build(self, request_struct_class: type[IncrementalAlterConfigsRequest_v0]) -> IncrementalAlterConfigsRequest_v0:
        """The request in the one version there is."""
        changes = [(name, SET, value) for name, value in self._configs.items()]
        return request_struct_class([(TOPIC_RESOURCE, self._topic, changes)], False)


async def alter_topic(client: AIOKafkaAdminClient, topic: str, configs: Mapping[str, str]) -> None:
    """Set these configs of a topic. Raises `BrokerError` where the broker refuses, and aiokafka's errors."""
    shown = ",".join(f"{name}={value}" for name, value in configs.items())
    try:
        answer = await client._send_request(AlterRequest(topic, configs))  # noqa: SLF001  # it has only its own requests
    except NOT_SPOKEN:
        raise BrokerError(f"topic {topic}: the broker is older than Kafka 2.3, which cannot set {shown} alone") from None
    for code, message, *_ in answer.responses:
        if code:
            raise BrokerError(f"topic {topic}: {shown} cannot be set: {message or for_code(code).__name__}")
