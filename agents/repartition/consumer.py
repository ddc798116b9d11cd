"""The consumer of the sources: a group of its own, whole record batches, no offsets but those that it is told."""

from __future__ import annotations

from aiokafka import AIOKafkaConsumer

from agents.task_creator import persist
from app.kafka.cluster import Cluster
from app.kafka.fetcher import AllTopics, RawTopics
from app.kafka.limits import shortest_session
from app.settings import Settings

FETCH_BYTES = 1 << 20
FETCH_WAIT_MS = 100  # at most: the engines wait for the copies
METADATA_MS = 30_000  # so often the group's leader looks for new partitions
REBALANCE_MS = 60_000
# What a worker that died had still to copy is late if that takes longer than grace. To take over costs little here, so its
# partitions are given away sooner than those of the engines. Kafka's brokers take no less by default.
SESSION_MS = 6_000


async def connected(settings: Settings, cluster: Cluster) -> AIOKafkaConsumer:
    """A consumer that has started; waits while the broker is away. Raises `BrokerError` if it refuses the connection."""
    started: list[AIOKafkaConsumer] = []

    async def start() -> None:
        consumer = _consumer(settings, cluster, session_of(settings, await shortest_session(cluster)))
        try:
            await consumer.start()
        except BaseException:
            await consumer.stop()
            raise
        started.append(consumer)

    await persist(cluster, start)
    return started[0]


def session_of(settings: Settings, shortest: int | None = None) -> int:
    """The session timeout (ms) of the group that copies. `shortest`: that the brokers take."""
    return min(settings.session_timeout, max(SESSION_MS, shortest or 0))


def _consumer(settings: Settings, cluster: Cluster, session: int) -> AIOKafkaConsumer:
    return AIOKafkaConsumer(
        **cluster.client,
        group_id=settings.repartition_group,
        group_instance_id=settings.consumer_group_instance_id or None,
        key_deserializer=RawTopics(AllTopics()),
        enable_auto_commit=False,
        auto_offset_reset="none",  # the positions decide
        isolation_level="read_committed",
        max_partition_fetch_bytes=FETCH_BYTES,
        fetch_min_bytes=settings.fetch_min_bytes,
        fetch_max_wait_ms=min(settings.fetch_max_wait, FETCH_WAIT_MS),
        metadata_max_age_ms=METADATA_MS,
        session_timeout_ms=session,
        heartbeat_interval_ms=session // 10,
        rebalance_timeout_ms=REBALANCE_MS,
    )
