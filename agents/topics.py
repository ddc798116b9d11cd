"""The topics of one app: their specifications, creating missing topics, and checking existing ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from agents.sources import find_sources, judge_sources, positions_spec, repartition_spec, source_specs
from app.errors import TopicsError
from app.kafka.bootstrap import patient_admin
from app.kafka.cluster import Cluster
from app.kafka.identity import Identities, identify
from app.kafka.topics import (
    DEFAULT_MAX_MESSAGE_BYTES,
    Finding,
    TopicSpec,
    TopicState,
    alter_command,
    create_missing,
    misconfigured,
    partition_counts,
    topic_admin,
    wait_for_topics,
)
from app.settings import Settings
from tables.state import Identity

SIDE_EXTRA_BYTES = 65_536  # a side record is the source record plus its reason and position in headers
SMALLEST_BATCH = 16_384  # a topic with less may refuse a bar with long names, or a symbol's open windows
MISSING_RISK = "none, if this app may create topics; else no worker starts"
TIME_RISKS = {
    "LogAppendTime": "the timer runs on a worker's clock: where it is wrong, a silent market's bars come too early or late",
    "CreateTime": "bars do not have the time of their window",
}
SIDE_RETENTION_MS = 30 * 24 * 3_600_000


@dataclass(frozen=True)
class TopicsReport:
    """The result of `ensure` and `look`. Sizes are in bytes."""

    partitions: int
    log_append_time: bool
    max_message_bytes: int
    created: list[str] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    states: dict[str, TopicState] = field(default_factory=dict)
    max_side_bytes: int = DEFAULT_MAX_MESSAGE_BYTES + SIDE_EXTRA_BYTES  # the largest record that both side topics take

    @property
    def batch_limits(self) -> dict[str, int]:
        """The largest batch that each topic takes."""
        return {name: state.max_message_bytes for name, state in self.states.items()}


def input_spec(settings: Settings, largest: int = DEFAULT_MAX_MESSAGE_BYTES) -> TopicSpec:
    """The engines' input topic as we create it if it is missing. `largest`: of its sources' messages, with `repartition=on`.

    LogAppendTime: retention must not delete the replay of an old day, and idle close needs the time of arrival.
    The retention is the cluster's default: how long ticks are kept is the operator's decision.
    """
    if settings.repartition:
        return repartition_spec(settings, largest)
    configs = {"cleanup.policy": "delete", "message.timestamp.type": "LogAppendTime"}
    return TopicSpec(settings.input_topic, settings.topic_partitions, configs, "the ticks")


def specs(settings: Settings, partitions: int, max_message_bytes: int = DEFAULT_MAX_MESSAGE_BYTES) -> list[TopicSpec]:
    """The topics we write, for an input with this many partitions and messages of up to this many bytes.

    The side topics keep 30 days. That is longer than an input usually keeps its records, so the evidence outlives
    the records it is about, and it is still bounded.
    """
    compact = {"cleanup.policy": "compact", "message.timestamp.type": "CreateTime"}
    timed = compact | {"message.timestamp.type": "LogAppendTime"}  # acknowledgments give the broker's time
    side = {
        "cleanup.policy": "delete",
        "message.timestamp.type": "LogAppendTime",
        "retention.ms": str(SIDE_RETENTION_MS),
        "max.message.bytes": str(max_message_bytes + SIDE_EXTRA_BYTES),
    }
    return [
        TopicSpec(settings.finals_topic, partitions, compact, "final bars, one record per window"),
        *(TopicSpec(name, partitions, compact, why) for name, why in settings.beyond_topics.items()),
        TopicSpec(settings.late_topic, partitions, side, "late ticks, unchanged"),
        TopicSpec(settings.rejected_topic, partitions, side, "rejected records, with the reason"),
        TopicSpec(settings.changelog_topic, partitions, timed, "open windows and positions"),
        *([positions_spec(settings)] if settings.repartition else ()),
    ]


async def ensure(settings: Settings, cluster: Cluster) -> TopicsReport:
    """Create the missing topics and check the others. Several workers may do so at the same time.

    Raises `TopicsError` where a topic does not fit, and `BrokerError` where the broker fails.
    """
    async with topic_admin(cluster) as client:
        created, sources = list[str](), dict[str, TopicState]()
        if settings.repartition:
            created = await create_missing(client, source_specs(settings), settings.replication_factor)
            sources = await wait_for_topics(client, list(await find_sources(client, settings)))
        created += await create_missing(client, [input_spec(settings, _largest(sources))], settings.replication_factor)
        ticks = (await wait_for_topics(client, [settings.input_topic]))[settings.input_topic]
        wanted = specs(settings, ticks.partitions, ticks.max_message_bytes)
        created += await create_missing(client, wanted, settings.replication_factor)
        states = sources | await wait_for_topics(client, [settings.input_topic, *(spec.name for spec in wanted)])
    report = judge(settings, states, created)
    fatal = [str(finding) for finding in report.findings if finding.fatal]
    if fatal:
        raise TopicsError("; ".join(fatal))
    return report


async def look(settings: Settings, cluster: Cluster) -> TopicsReport:
    """Check the topics without creating any: a missing topic is a finding. Raises nothing but `BrokerError`."""
    async with topic_admin(cluster) as client:
        names = [settings.input_topic, *(spec.name for spec in specs(settings, 1))]
        if settings.repartition:
            names += await find_sources(client, settings)
        present = await partition_counts(client)
        states = await wait_for_topics(client, [name for name in names if name in present])
    return judge(settings, states, [])


async def check_partitions(settings: Settings, cluster: Cluster, known: int) -> Identity:
    """Check that the input still has the number of partitions that was known at the start. Returns what its name means now.

    Raises `TopicsError` where it has not, and aiokafka's errors, `KafkaConnectionError` where the broker is away.
    """
    async with patient_admin(cluster) as client:
        count = (await partition_counts(client)).get(settings.input_topic, known)  # its reader notices a missing topic
        ids = await identify(client, [settings.input_topic, settings.finals_topic])
    if count != known:
        raise TopicsError(
            f"topic {settings.input_topic}: has {count} partitions and had {known} when this worker started: symbols have "
            "moved to other partitions, and the topics of this app no longer fit; go on under another app_id and topics_prefix"
        )
    return identity_of(settings, ids)


def identity_of(settings: Settings, found: Identities) -> Identity:
    """What a position stores of the broker's answer."""
    return Identity(found.cluster, found.topics.get(settings.input_topic, ""), found.topics.get(settings.finals_topic, ""))


def judge(settings: Settings, states: dict[str, TopicState], created: list[str]) -> TopicsReport:
    """Compare the topics that exist with those that must exist; a pure function."""
    ticks = states.get(settings.input_topic)
    findings = [] if ticks is None else _judge_input(settings.input_topic, ticks)
    sources = {name: states[name] for name in settings.sources.among(states)} if settings.repartition else {}
    if settings.repartition:
        findings += judge_sources(settings, states)
    partitions = ticks.partitions if ticks else settings.topic_partitions
    largest = ticks.max_message_bytes if ticks else DEFAULT_MAX_MESSAGE_BYTES
    for spec in [input_spec(settings, _largest(sources)), *specs(settings, partitions, largest)]:
        state = states.get(spec.name)
        if state is None:
            advice = "`app topics` or the next start of a worker creates it"
            findings.append(Finding(spec.name, f"is missing ({spec.why})", advice, risk=MISSING_RISK, missing=True))
        elif spec.name != settings.input_topic:
            findings += _judge_output(spec, state, settings.input_topic)
        else:
            findings += _judge_size(spec, state)
    append_time = ticks is None or ticks.timestamp_type == "LogAppendTime"
    side = [states[name].max_message_bytes for name in (settings.late_topic, settings.rejected_topic) if name in states]
    max_side = min([largest + SIDE_EXTRA_BYTES, *side])
    return TopicsReport(partitions, append_time, largest, created, findings, states, max_side)


def _largest(sources: Mapping[str, TopicState]) -> int:
    return max((state.max_message_bytes for state in sources.values()), default=DEFAULT_MAX_MESSAGE_BYTES)


def _judge_input(name: str, state: TopicState) -> list[Finding]:
    findings = []
    if state.timestamp_type != "LogAppendTime":
        text = "has message.timestamp.type=CreateTime: producers set the arrival times, and retention deletes old ticks"
        risk = (
            "a producer's wrong clock closes windows too early or too late; a replay of an old day is deleted before it is read"
        )
        findings.append(Finding(name, text, alter_command(name, "message.timestamp.type=LogAppendTime"), risk=risk))
    if "compact" in state.cleanup_policy:
        text = f"has cleanup.policy={state.cleanup_policy}: compaction removes all but a symbol's last tick"
        risk = "bars lack the ticks that are gone: no worker starts"
        findings.append(Finding(name, text, alter_command(name, "cleanup.policy=delete"), fatal=True, risk=risk))
    return findings


def _judge_output(spec: TopicSpec, state: TopicState, source: str) -> list[Finding]:
    findings = []
    if state.partitions != spec.partitions:
        why = f", as many as {source}" if spec.partitions > 1 else ""
        text = f"has {state.partitions} partitions and must have {spec.partitions}{why}"
        advice = "delete it, or set BARWHEEL_TOPICS_PREFIX to write beside it"
        risk = "bars and states would lie in other partitions than their ticks: no worker starts"
        findings.append(Finding(spec.name, text, advice, fatal=True, risk=risk))
    policy, wanted = state.cleanup_policy, spec.configs["cleanup.policy"]
    if policy != wanted:
        fatal = wanted == "compact"
        # compaction of a side topic removes nothing: its keys are unique
        risk = "retention deletes bars and states for good: no worker starts" if fatal else "the topic grows without an end"
        text = f"has cleanup.policy={policy} and must have {wanted}"
        findings.append(misconfigured(spec.name, text, f"cleanup.policy={wanted}", risk=risk, fatal=fatal))
    timestamp_type, stamped = state.timestamp_type, spec.configs["message.timestamp.type"]
    if timestamp_type != stamped:
        text = f"has message.timestamp.type={timestamp_type} and should have {stamped}"
        risk = TIME_RISKS[stamped]
        findings.append(misconfigured(spec.name, text, f"message.timestamp.type={stamped}", risk=risk))
    if wanted == "compact" and state.max_message_bytes < DEFAULT_MAX_MESSAGE_BYTES:
        text = f"has max.message.bytes={state.max_message_bytes}: batches are made smaller, a larger record is refused"
        fatal = state.max_message_bytes < SMALLEST_BATCH  # it would not hold every bar
        risk = "a bar or a state that is larger stops its partition"
        config = f"max.message.bytes={DEFAULT_MAX_MESSAGE_BYTES}"
        findings.append(misconfigured(spec.name, text, config, risk=risk, fatal=fatal))
    return findings + _judge_size(spec, state)


def _judge_size(spec: TopicSpec, state: TopicState) -> list[Finding]:
    size = spec.configs.get("max.message.bytes")
    if size is None or state.max_message_bytes >= int(size):
        return []
    text = f"takes records of {state.max_message_bytes} bytes, {size} are needed: the values of larger ones are cut"
    return [misconfigured(spec.name, text, f"max.message.bytes={size}", risk="the evidence of a large record is incomplete")]
