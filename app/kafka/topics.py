"""The topics of one app: what they must look like, creating what is missing, judging what exists."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaConnectionError, KafkaError, ReplicaNotAvailableError, TopicAlreadyExistsError, for_code

from app.errors import BrokerError, TopicsError
from app.kafka.bootstrap import admin
from app.kafka.cluster import Cluster
from app.settings import Settings

DEFAULT_MAX_MESSAGE = 1_048_588  # Kafka's default of max.message.bytes
SIDE_EXTRA = 65_536  # a side record is the source record plus its reason and position in headers
SIDE_RETENTION_MS = 30 * 24 * 3_600_000
WAIT = 30.0  # seconds until the metadata must show a topic we created
_LED = (0, ReplicaNotAvailableError.errno)  # a missing follower does not keep anyone from reading or writing
_CHECKED = ("cleanup.policy", "message.timestamp.type", "max.message.bytes", "retention.ms")


@dataclass(frozen=True)
class TopicSpec:
    """One topic as it must be; `why` is for the reader of `app topics`."""

    name: str
    partitions: int
    configs: dict[str, str]
    why: str


@dataclass(frozen=True)
class TopicState:
    """One topic as the broker shows it."""

    partitions: int
    configs: dict[str, str]


@dataclass(frozen=True)
class Finding:
    """Something that is not as it should be, and what to do about it; a fatal one keeps the worker from starting."""

    topic: str
    text: str
    advice: str
    fatal: bool = False

    def __str__(self) -> str:
        """One line."""
        return f"topic {self.topic}: {self.text}; {self.advice}"


@dataclass(frozen=True)
class TopicsReport:
    """What `ensure` and `look` found. Sizes in bytes."""

    partitions: int
    log_append_time: bool
    max_message_bytes: int
    created: list[str] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    states: dict[str, TopicState] = field(default_factory=dict)
    max_side_bytes: int = DEFAULT_MAX_MESSAGE + SIDE_EXTRA  # what both side topics take


def input_spec(settings: Settings) -> TopicSpec:
    """The input topic as we create it where it is missing.

    LogAppendTime: a replayed day of years ago must not fall to the retention, and arrival is what idle close goes by.
    Its retention is the cluster's own: how long ticks are kept is not ours to say.
    """
    configs = {"cleanup.policy": "delete", "message.timestamp.type": "LogAppendTime"}
    return TopicSpec(settings.ticks_topic, settings.topic_partitions, configs, "the ticks")


def specs(settings: Settings, partitions: int, max_message_bytes: int = DEFAULT_MAX_MESSAGE) -> list[TopicSpec]:
    """The topics we write, for an input of so many partitions and messages of up to so many bytes.

    The side topics keep 30 days: longer than an input usually lives, so that the evidence outlives the records it is
    about, and still bounded.
    """
    compact = {"cleanup.policy": "compact", "message.timestamp.type": "CreateTime"}
    side = {
        "cleanup.policy": "delete",
        "message.timestamp.type": "LogAppendTime",
        "retention.ms": str(SIDE_RETENTION_MS),
        "max.message.bytes": str(max_message_bytes + SIDE_EXTRA),
    }
    return [
        TopicSpec(settings.finals_topic, partitions, compact, "final bars, one record a window"),
        TopicSpec(settings.late_topic, partitions, side, "late ticks, as they came"),
        TopicSpec(settings.rejected_topic, partitions, side, "records that are no ticks, with the reason"),
        TopicSpec(settings.changelog_topic, partitions, compact, "open windows and positions"),
    ]


async def ensure(settings: Settings, cluster: Cluster) -> TopicsReport:
    """Create what is missing and check the rest; several workers may do so at once.

    Raises `TopicsError` where a topic does not fit, `BrokerError` where the broker fails.
    """
    async with admin(cluster) as client:
        try:
            created = await _create(client, settings.replication_factor, [input_spec(settings)])
            ticks = (await _wait(client, [settings.ticks_topic]))[settings.ticks_topic]
            wanted = specs(settings, ticks.partitions, _max_message(ticks))
            created += await _create(client, settings.replication_factor, wanted)
            states = await _wait(client, [settings.ticks_topic, *(w.name for w in wanted)])
        except (KafkaError, OSError, TimeoutError) as error:
            raise BrokerError(f"broker {cluster}: topics: {str(error) or type(error).__name__}") from error
    report = judge(settings, states, created)
    fatal = [str(f) for f in report.findings if f.fatal]
    if fatal:
        raise TopicsError("; ".join(fatal))
    return report


async def ensure_one(cluster: Cluster, spec: TopicSpec, replicas: int) -> TopicState:
    """Create a topic where it is missing; as it is then, for the caller to judge. Raises `BrokerError`."""
    async with admin(cluster) as client:
        try:
            await _create(client, replicas, [spec])
            return (await _wait(client, [spec.name]))[spec.name]
        except (KafkaError, OSError, TimeoutError) as error:
            raise BrokerError(f"broker {cluster}: topics: {str(error) or type(error).__name__}") from error


async def look(settings: Settings, cluster: Cluster) -> TopicsReport:
    """Check only: create nothing, raise nothing but `BrokerError`; what is missing is a finding."""
    async with admin(cluster) as client:
        try:
            names = [settings.ticks_topic, *(s.name for s in specs(settings, 1))]
            present = await partition_counts(client)
            states = await _wait(client, [n for n in names if n in present])
        except (KafkaError, OSError, TimeoutError) as error:
            raise BrokerError(f"broker {cluster}: topics: {str(error) or type(error).__name__}") from error
    return judge(settings, states, [])


def judge(settings: Settings, states: dict[str, TopicState], created: list[str]) -> TopicsReport:
    """Compare what is there with what must be there; pure."""
    ticks = states.get(settings.ticks_topic)
    findings = [] if ticks is None else _judge_input(settings.ticks_topic, ticks)
    partitions = ticks.partitions if ticks else settings.topic_partitions
    largest = _max_message(ticks) if ticks else DEFAULT_MAX_MESSAGE
    for spec in [input_spec(settings), *specs(settings, partitions, largest)]:
        state = states.get(spec.name)
        if state is None:
            advice = "`app topics` or the next start of a worker creates it"
            findings.append(Finding(spec.name, f"is missing ({spec.why})", advice))
        elif spec.name != settings.ticks_topic:
            findings += _judge_output(spec, state, settings.ticks_topic)
    append_time = ticks is None or ticks.configs.get("message.timestamp.type") == "LogAppendTime"
    side = [states[name] for name in (settings.late_topic, settings.rejected_topic) if name in states]
    takes = min([largest + SIDE_EXTRA, *map(_max_message, side)])
    return TopicsReport(partitions, append_time, largest, created, findings, states, takes)


def _judge_input(name: str, state: TopicState) -> list[Finding]:
    found = []
    if state.configs.get("message.timestamp.type", "CreateTime") != "LogAppendTime":
        text = "has message.timestamp.type=CreateTime: arrival times are the producers' word and old ticks fall to retention"
        found.append(Finding(name, text, _alter(name, "message.timestamp.type=LogAppendTime")))
    if "compact" in state.configs.get("cleanup.policy", "delete"):
        text = f"has cleanup.policy={state.configs['cleanup.policy']}: compaction removes all but a symbol's last tick"
        found.append(Finding(name, text, _alter(name, "cleanup.policy=delete")))
    return found


def _judge_output(spec: TopicSpec, state: TopicState, source: str) -> list[Finding]:
    found = []
    if state.partitions != spec.partitions:
        text = f"has {state.partitions} partitions and must have {spec.partitions}, as many as {source}"
        advice = "delete it, or set BARWHEEL_TOPICS_PREFIX to write beside it"
        found.append(Finding(spec.name, text, advice, fatal=True))
    policy, wanted = state.configs.get("cleanup.policy", "delete"), spec.configs["cleanup.policy"]
    if policy != wanted:
        # retention would take bars and states away for good; compaction of a side topic removes nothing, keys are unique
        fatal = wanted == "compact"
        text = f"has cleanup.policy={policy} and must have {wanted}"
        found.append(Finding(spec.name, text, _alter(spec.name, f"cleanup.policy={wanted}"), fatal=fatal))
    kind, wanted = (
        state.configs.get("message.timestamp.type", "CreateTime"),
        spec.configs["message.timestamp.type"],
    )
    if kind != wanted:
        text = f"has message.timestamp.type={kind} and should have {wanted}"
        found.append(Finding(spec.name, text, _alter(spec.name, f"message.timestamp.type={wanted}")))
    size = spec.configs.get("max.message.bytes")
    if size is not None and _max_message(state) < int(size):
        text = f"takes records of {_max_message(state)} bytes, {size} are needed: the values of larger ones are cut"
        found.append(Finding(spec.name, text, _alter(spec.name, f"max.message.bytes={size}")))
    return found


def _alter(name: str, config: str) -> str:
    return f"kafka-configs.sh --alter --entity-type topics --entity-name {name} --add-config {config}"


def _max_message(state: TopicState) -> int:
    return int(state.configs.get("max.message.bytes", DEFAULT_MAX_MESSAGE))


async def _create(client: AIOKafkaAdminClient, replicas: int, wanted: list[TopicSpec]) -> list[str]:
    """Create those that are not there; gives the names that this call created."""
    present = await partition_counts(client)
    missing = [s for s in wanted if s.name not in present]
    if not missing:
        return []
    new = [NewTopic(s.name, s.partitions, replicas, topic_configs=s.configs) for s in missing]
    answer = await client.create_topics(new)
    created = []
    for name, code, *message in answer.topic_errors:
        if code == 0:
            created.append(name)
        elif code != TopicAlreadyExistsError.errno:  # another worker was faster, which is as good
            detail = message[0] if message and message[0] else for_code(code).__name__
            raise BrokerError(f"topic {name} cannot be created: {detail}")
    return created


async def partition_counts(client: AIOKafkaAdminClient) -> dict[str, int]:
    """Every topic whose partitions all have a leader; asks for all, as asking by name may create a topic."""
    found = {}
    for topic in await client.describe_topics():
        if topic["error_code"] == 0 and all(p["error_code"] in _LED for p in topic["partitions"]):
            found[topic["topic"]] = len(topic["partitions"])
    return found


async def check_partitions(settings: Settings, cluster: Cluster, known: int) -> None:
    """Raise `TopicsError` where the input has not as many partitions as when the worker started; aiokafka's errors."""
    try:
        async with admin(cluster) as client:
            found = (await partition_counts(client)).get(settings.ticks_topic, known)  # a missing one is noticed by its reader
    except BrokerError as error:  # which would end a worker that can wait
        raise KafkaConnectionError(str(error)) from error
    if found != known:
        raise TopicsError(
            f"topic {settings.ticks_topic}: has {found} partitions and had {known} when this worker started: symbols have "
            "moved to other partitions, and the topics of this app no longer fit; go on under another app_id and topics_prefix"
        )


async def _wait(client: AIOKafkaAdminClient, names: list[str]) -> dict[str, TopicState]:
    """Wait until metadata and configuration of all names are there: a new topic shows neither for a moment."""
    until, pause = time.monotonic() + WAIT, 0.05
    while True:
        counts = await partition_counts(client)
        configs = await _configs(client, [n for n in names if n in counts])
        missing = [n for n in names if not configs.get(n)]
        if not missing:
            return {n: TopicState(counts[n], configs[n]) for n in names}
        if time.monotonic() > until:
            raise BrokerError(f"topic {', '.join(missing)}: the broker does not show it {WAIT:.0f} s after creation")
        await asyncio.sleep(pause)
        pause = min(1.0, pause * 2)


async def _configs(client: AIOKafkaAdminClient, names: list[str]) -> dict[str, dict[str, str]]:
    if not names:
        return {}
    keys = dict.fromkeys(_CHECKED, "")
    found = {}
    for answer in await client.describe_configs([ConfigResource(ConfigResourceType.TOPIC, n, keys) for n in names]):
        for code, _message, _kind, name, entries in answer.resources:
            if code == 0:
                found[name] = {entry[0]: entry[1] for entry in entries}
    return found
