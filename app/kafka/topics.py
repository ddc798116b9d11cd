"""Topics through Kafka's admin API: create the missing ones, wait for their metadata, and read their configuration."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import (
    InvalidReplicationFactorError,
    KafkaError,
    ReplicaNotAvailableError,
    TopicAlreadyExistsError,
    for_code,
)

from app.errors import BrokerError
from app.kafka.bootstrap import admin
from app.kafka.cluster import Cluster
from app.kafka.failures import refusal_of

DEFAULT_MAX_MESSAGE_BYTES = 1_048_588  # Kafka's default of max.message.bytes
METADATA_WAIT = 30.0  # seconds until the metadata must show a topic that was created
LEADER_WAIT = 2.0  # seconds for the leaders of a new topic; a partition that has none later does not hold the others
_HAS_LEADER = (0, ReplicaNotAvailableError.errno)  # reads and writes need the leader only, so a missing follower is fine
UNCLEAN, MIN_IN_SYNC = "unclean.leader.election.enable", "min.insync.replicas"
_DESCRIBED_CONFIGS = ("cleanup.policy", "message.timestamp.type", "max.message.bytes", "retention.ms", UNCLEAN, MIN_IN_SYNC)


@dataclass(frozen=True)
class TopicSpec:
    """A topic as it must be; `why` says what it holds, for people."""

    name: str
    partitions: int
    configs: dict[str, str]
    why: str


@dataclass(frozen=True)
class TopicState:
    """A topic as the broker describes it."""

    partitions: int
    configs: dict[str, str]

    @property
    def cleanup_policy(self) -> str:
        """`delete`, `compact` or both, comma-separated; Kafka's default where the broker does not say."""
        return self.configs.get("cleanup.policy", "delete")

    @property
    def timestamp_type(self) -> str:
        """`CreateTime` or `LogAppendTime`; Kafka's default where the broker does not say."""
        return self.configs.get("message.timestamp.type", "CreateTime")

    @property
    def max_message_bytes(self) -> int:
        """The largest record batch the topic takes; Kafka's default where the broker does not say."""
        return int(self.configs.get("max.message.bytes", DEFAULT_MAX_MESSAGE_BYTES))


@dataclass(frozen=True)
class Finding:
    """A topic that is not as it should be, and the remedy. A fatal finding keeps the worker from starting."""

    topic: str
    text: str
    advice: str
    fatal: bool = False
    risk: str = ""  # what happens where nothing is done
    config: str = ""  # `name=value` that mends it, of a topic of ours
    missing: bool = False

    def __str__(self) -> str:
        """One line."""
        return f"topic {self.topic}: {self.text}; {self.advice}"


def misconfigured(name: str, text: str, config: str, *, risk: str, fatal: bool = False) -> Finding:
    """A topic of ours with a wrong configuration; `config` mends it."""
    return Finding(name, text, alter_command(name, config), fatal, risk, config)


def alter_command(name: str, config: str) -> str:
    """The remedy for a wrong configuration of a topic, as `Finding.advice`."""
    return f"kafka-configs.sh --alter --entity-type topics --entity-name {name} --add-config {config}"


@asynccontextmanager
async def topic_admin(cluster: Cluster) -> AsyncIterator[AIOKafkaAdminClient]:
    """Connect an admin client. Errors of the connection and of the block are raised as `BrokerError`."""
    async with admin(cluster) as client:
        try:
            yield client
        except (KafkaError, OSError, TimeoutError) as error:
            raise BrokerError(f"broker {cluster}: topics: {str(error) or type(error).__name__}") from error


async def ensure_one(cluster: Cluster, spec: TopicSpec, replicas: int) -> TopicState:
    """Create a topic if it is missing, and describe it. The caller judges its state. Raises `BrokerError`."""
    async with topic_admin(cluster) as client:
        await create_missing(client, [spec], replicas)
        return (await wait_for_topics(client, [spec.name]))[spec.name]


async def create_missing(client: AIOKafkaAdminClient, wanted: Iterable[TopicSpec], replicas: int) -> list[str]:
    """Create the topics that do not exist; returns the names that this call created.

    Raises `BrokerError` where the broker refuses a topic, and aiokafka's errors.
    """
    present = await partition_counts(client)
    missing = [spec for spec in wanted if spec.name not in present]
    if not missing:
        return []
    answer = await client.create_topics([new_topic(spec, replicas) for spec in missing])
    created = []
    for name, code, *message in answer.topic_errors:
        if code == 0:
            created.append(name)
        elif code != TopicAlreadyExistsError.errno:  # another worker was faster
            detail = message[0] if message and message[0] else for_code(code).__name__
            if code == InvalidReplicationFactorError.errno:
                detail += f" (replication_factor={replicas}); set replication_factor to at most the number of brokers"
            raise BrokerError(f"topic {name} cannot be created: {detail}") from for_code(code)(detail)
    return created


def new_topic(spec: TopicSpec, replicas: int) -> NewTopic:
    """The topic as it is created. -1 replicas: the cluster's default, which brokers know since Kafka 2.4."""
    topic = NewTopic(spec.name, spec.partitions, 1, topic_configs=spec.configs)
    topic.replication_factor = replicas  # aiokafka's constructor refuses -1
    return topic


async def partition_counts(client: AIOKafkaAdminClient) -> dict[str, int]:
    """Number of partitions of every topic."""
    return {name: count for name, (count, _) in (await _described(client)).items()}


async def _described(client: AIOKafkaAdminClient) -> dict[str, tuple[int, bool]]:
    """Number of partitions of every topic, and whether all of them have a leader.

    Asks for all topics, because a metadata request that names a missing topic may create it.
    """
    return {
        topic["topic"]: (len(topic["partitions"]), all(p["error_code"] in _HAS_LEADER for p in topic["partitions"]))
        for topic in await client.describe_topics()
        if topic["error_code"] == 0
    }


async def replica_counts(client: AIOKafkaAdminClient) -> dict[str, int]:
    """How many replicas the partitions of every topic have, at least."""
    return {
        topic["topic"]: min((len(p["replicas"]) for p in topic["partitions"]), default=0)
        for topic in await client.describe_topics()
    }


async def wait_for_topics(client: AIOKafkaAdminClient, names: list[str]) -> dict[str, TopicState]:
    """Wait until the broker shows metadata and configuration of all topics; a new topic has neither for a moment.

    Raises `BrokerError` after `METADATA_WAIT` seconds, and aiokafka's errors.
    """
    began, pause = time.monotonic(), 0.05
    while True:
        shown = await _described(client)
        configs = await _topic_configs(client, [name for name in names if name in shown])
        missing = [name for name in names if not configs.get(name)]
        waited = time.monotonic() - began
        if not missing and (waited > LEADER_WAIT or all(shown[name][1] for name in names)):
            return {name: TopicState(shown[name][0], configs[name]) for name in names}
        if missing and waited > METADATA_WAIT:
            raise BrokerError(f"topic {', '.join(missing)}: the broker does not show it {METADATA_WAIT:.0f} s after creation")
        await asyncio.sleep(pause)
        pause = min(1.0, pause * 2)


async def _topic_configs(client: AIOKafkaAdminClient, names: list[str]) -> dict[str, dict[str, str]]:
    if not names:
        return {}
    keys = dict.fromkeys(_DESCRIBED_CONFIGS, "")
    configs = {}
    for answer in await client.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name, keys) for name in names]):
        for code, message, _kind, name, entries in answer.resources:
            error = for_code(code)(f"{name}: {message or 'its configuration cannot be described'}")
            if code != 0 and refusal_of(error) is not None:
                raise error  # the others: a new topic that this broker does not know yet
            if code == 0:
                configs[name] = {entry[0]: entry[1] for entry in entries}
    return configs
