"""How many bytes topics have on the brokers' disks.

Written for aiokafka 0.14.0, whose admin client does not ask for it. How much of a topic waits for compaction, its dirty ratio,
no request of Kafka tells.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.protocol.api import Request

from app.kafka.failures import NOT_SPOKEN
from app.pocket.log_dirs import KEY, DescribeLogDirsRequest_v1


class SizesRequest(Request[DescribeLogDirsRequest_v1]):  # type: ignore[misc]  # aiokafka has no types
    """The question to one broker."""

    API_KEY: ClassVar[int] = KEY

    def __init__(self, topics: Mapping[str, int]) -> None:
        self._topics = [(name, list(range(count))) for name, count in topics.items()]

    def build(self, request_struct_class: type[DescribeLogDirsRequest_v1]) -> DescribeLogDirsRequest_v1:
        """The request in the one version there is."""
        return request_struct_class(self._topics)


async def topic_bytes(client: AIOKafkaAdminClient, topics: Mapping[str, int]) -> dict[str, int]:
    """The bytes of each topic, of one replica of each partition: the largest one. `topics` are numbers of partitions by name.

    A topic is absent if a partition of it is not told: the broker is too old, or the user may not DESCRIBE the cluster.
    Raises aiokafka's errors.
    """
    kafka = client._client  # noqa: SLF001  # the admin client sends only its own requests
    sizes: dict[tuple[str, int], int] = {}
    for broker in kafka.cluster.brokers():
        try:
            answer = await kafka.send(broker.nodeId, SizesRequest(topics))
        except NOT_SPOKEN:
            return {}
        for _, _, told in answer.results:
            for name, partitions in told:
                for number, size, _, is_future in partitions:
                    if not is_future:
                        sizes[name, number] = max(size, sizes.get((name, number), 0))
    whole = {name: count for name, count in topics.items() if count and all((name, number) in sizes for number in range(count))}
    return {name: sum(sizes[name, number] for number in range(count)) for name, count in whole.items()}
