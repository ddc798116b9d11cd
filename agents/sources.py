"""The topics that ticks come from with `repartition=on`: which there are, what they must be like, and what the app adds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from aiokafka.admin import AIOKafkaAdminClient

from app.kafka.topics import DEFAULT_MAX_MESSAGE_BYTES, Finding, TopicSpec, TopicState, alter_command, partition_counts
from app.settings import Settings

ADDED_BYTES = 65_536  # a repartitioned record is the source's record plus where it came from, in headers
RETENTION_MS = 7 * 24 * 3_600_000
POSITIONS_SEGMENT = 16 << 20  # bytes: a start reads what compaction has left, and the newest segment is not compacted
MARKER_RETENTION_MS = 60_000  # of the markers of transactions: by default a day, which would be most of the topic


def source_specs(settings: Settings) -> list[TopicSpec]:
    """The sources that are named, as we create them if they are missing. Those that a pattern finds exist."""
    configs = {"cleanup.policy": "delete", "message.timestamp.type": "LogAppendTime"}
    return [TopicSpec(name, settings.topic_partitions, configs, "ticks, a source") for name in settings.sources.names]


def all_source_specs(settings: Settings, states: Mapping[str, TopicState]) -> list[TopicSpec]:
    """The sources, to be shown: those that are named, and those among these topics that a pattern finds. None without one."""
    if not settings.repartition:
        return []
    found = {spec.name: spec for spec in source_specs(settings)}
    for name in settings.sources.among(visible(states)):
        found.setdefault(name, TopicSpec(name, states[name].partitions, {}, "ticks, a source"))
    return list(found.values())


async def find_sources(client: AIOKafkaAdminClient, settings: Settings) -> dict[str, int]:
    """The sources that exist, with their numbers of partitions. Raises aiokafka's errors."""
    present = await partition_counts(client)
    return {name: present[name] for name in settings.sources.among(visible(present))}


def visible(topics: Iterable[str]) -> list[str]:
    """The topics that a pattern may find: not those of Kafka's own."""
    return [name for name in topics if not name.startswith("__")]


def repartition_spec(settings: Settings, largest: int = DEFAULT_MAX_MESSAGE_BYTES) -> TopicSpec:
    """The topic that the ticks are copied to. `largest`: of the sources' `max.message.bytes`.

    LogAppendTime: its retention goes by the time of the copy. Arrival times are those in the sources, in headers. A week is
    longer than a worker is likely to be away from it.
    """
    configs = {
        "cleanup.policy": "delete",
        "message.timestamp.type": "LogAppendTime",
        "retention.ms": str(RETENTION_MS),
        "max.message.bytes": str(largest + ADDED_BYTES),
    }
    return TopicSpec(settings.repartition_topic, settings.topic_partitions, configs, "the ticks of all sources, by symbol")


def positions_spec(settings: Settings) -> TopicSpec:
    """The topic of the sources' positions. One partition: each record says where one partition of a source is."""
    configs = {
        "cleanup.policy": "compact",
        "message.timestamp.type": "LogAppendTime",
        "segment.bytes": str(POSITIONS_SEGMENT),
        "delete.retention.ms": str(MARKER_RETENTION_MS),
    }
    return TopicSpec(settings.repartition_positions_topic, 1, configs, "up to where the sources have been copied")


def judge_sources(settings: Settings, states: Mapping[str, TopicState]) -> list[Finding]:
    """What is wrong with the sources among these topics, or missing."""
    found = []
    for name in settings.sources.among(states):
        if "compact" in states[name].cleanup_policy:
            risk = "bars lack the ticks that are gone: no worker starts"
            text = f"has cleanup.policy={states[name].cleanup_policy}: compaction removes all but the last tick of a key"
            found.append(Finding(name, text, alter_command(name, "cleanup.policy=delete"), fatal=True, risk=risk))
    advice = "`app topics` or the next start of a worker creates it"
    return found + [
        Finding(spec.name, f"is missing ({spec.why})", advice, risk="no tick is read", missing=True)
        for spec in source_specs(settings)
        if spec.name not in states
    ]
