"""The consumer of the sources: a group of its own, whole record batches, no offsets but those that it is told."""

from __future__ import annotations

from aiokafka import AIOKafkaConsumer

from agents.task_creator import persist
from app.kafka.cluster import Cluster
from app.kafka.fetcher import AllTopics, RawTopics
from app.settings import Settings

FETCH_BYTES, FETCH_WAIT_MS = 1 << 20, 100
METADATA_MS = 30_000  # so often the group's leader looks for new partitions
REBALANCE_MS = 60_000


async def connected(settings: Settings, cluster: Cluster) -> AIOKafkaConsumer:
    """A consumer that has started; waits while the broker is away. Raises `BrokerError` if it refuses the connection."""
    started: list[AIOKafkaConsumer] = []

    async def start() -> None:
        consumer = _consumer(settings, cluster)
        try:
            await consumer.start()
        except BaseException:
            await consumer.stop()
            raise
        started.append(consumer)

    await persist(cluster, start)
    return started[0]


def _consumer(settings: Settings, cluster: Cluster) -> AIOKafkaConsumer:
    return AIOKafkaConsumer(
        **cluster.client,
        group_id=settings.repartition_group,
        group_instance_id=settings.consumer_group_instance_id or None,
        key_deserializer=RawTopics(AllTopics()),
        enable_auto_commit=False,
        auto_offset_reset="none",  # the positions decide
        isolation_level="read_committed",
        max_partition_fetch_bytes=FETCH_BYTES,
        fetch_max_wait_ms=FETCH_WAIT_MS,
        metadata_max_age_ms=METADATA_MS,
        session_timeout_ms=settings.session_timeout,
        heartbeat_interval_ms=settings.session_timeout // 10,
        rebalance_timeout_ms=REBALANCE_MS,
    )
