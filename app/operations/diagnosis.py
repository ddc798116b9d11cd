"""Checks of settings, broker, topics and clock, with risk and remedy for each finding; nothing is changed."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from aiokafka.errors import KafkaError

from agents.bar_schemas import BarSchemas
from agents.repartition.consumer import session_of
from agents.schemas import TickSchemas
from agents.topics import TopicsReport, look
from app.errors import BarwheelError, BrokerError, SettingsError, TopicsError
from app.kafka.bootstrap import POCKET_HOST, cluster_for, unreachable
from app.kafka.cluster import Cluster
from app.kafka.limits import check_limits, replica_lag
from app.kafka.records import APPEND_TIME
from app.kafka.topics import replica_counts, topic_admin
from app.ksqldb import fit
from app.operations import durability, newest_ticks, placement, risks
from app.operations.inspection.sample import Seen, take
from app.operations.stored_state import source_problems, state_problems
from app.settings import PREFIX, Settings, unknown_variables
from app.settings.addresses import loopback
from app.settings.data_dir import folder_problem
from app.settings.durations import duration_text
from app.settings.types import WebAuth

PLACED_RECORDS = 1_000  # newest ticks, and bars, of each partition in which symbols are looked for that live in two
SCHEMA_SECONDS = 10.0  # to get the schemas that the newest ticks name
FIT_TICKS = 100  # newest ticks of each partition that are checked against ksqlDB's columns


@dataclass(frozen=True)
class Item:
    """One finding. `level` is `note`, which needs no action, or `wrong`, which makes the exit code 1."""

    level: str
    text: str
    advice: str = ""
    risk: str = ""  # what happens where nothing is done; empty: nothing


@dataclass
class Examination:
    """What was examined, and the findings."""

    cluster: Cluster | None = None
    report: TopicsReport | None = None
    clock: str = "not known: no broker"
    items: list[Item] = field(default_factory=list)

    def wrong(self, text: str, advice: str, risk: str) -> None:
        """Add a finding that needs action."""
        self.items.append(Item("wrong", text, advice, risk))

    def note(self, text: str, advice: str = "", risk: str = "") -> None:
        """Add a finding that needs no action."""
        self.items.append(Item("note", text, advice, risk))

    @property
    def ok(self) -> bool:
        """Whether nothing needs action."""
        return not any(item.level == "wrong" for item in self.items)


async def examine(settings: Settings) -> Examination:
    """Run all checks; a check that fails is a finding, never an exception."""
    result = Examination()
    for name in unknown_variables():
        result.wrong(f"{name} is not a setting and has no effect", "correct its spelling, or unset it", risks.MISSPELT)
    _check_settings(settings, result)
    cluster = _cluster(settings, result)
    if cluster is None:
        return result
    try:
        problem = await unreachable(cluster)
    except BrokerError as error:
        problem, _, remedy = str(error).rpartition("; ")
        result.wrong(problem, remedy, risks.NO_WORKER)
        return result
    if problem is not None:
        result.wrong(f"broker {cluster} does not answer: {problem}", f"start it, or set {PREFIX}BROKER", risks.NO_BARS)
        return result
    result.cluster = cluster
    try:
        await check_limits(settings, cluster)
    except (SettingsError, BrokerError) as error:
        result.wrong(str(error), "change the setting, or the broker's", risks.NO_WORKER)
    try:
        result.report = await look(settings, cluster)
        result.clock = await _clock(settings, result)
        await _durability(settings, cluster, result)
        await _stored_state(settings, cluster, result)
        await _ticks(settings, result)
        await _bar_schemas(settings, result)
        await _fit(settings, result)
        await _placement(settings, result)
    except (BrokerError, TopicsError, KafkaError) as error:
        result.wrong(str(error), "look at the broker's log", risks.NO_BARS)
        return result
    for finding in result.report.findings:
        if finding.topic in result.report.states:
            result.wrong(f"topic {finding.topic}: {finding.text}", finding.advice, finding.risk)
        else:
            result.note(f"topic {finding.topic}: {finding.text}", finding.advice, finding.risk)
    return result


def _cluster(settings: Settings, result: Examination) -> Cluster | None:
    """The broker to examine; None if there is none. A pocket broker is looked for, but not started."""
    if not settings.pocket:
        try:
            return cluster_for(settings)
        except SettingsError as error:
            result.wrong(str(error), "name a PEM file that this user may read", risks.NO_WORKER)
            return None
    from app.pocket import process  # noqa: PLC0415 - not needed on Kafka

    running = process.running(settings.data_dir / "pocket")
    if running is None:
        result.note("the pocket broker does not run", "`app worker` or `app broker` starts it")
        return None
    result.note(
        "the pocket broker is for trying out and for tests",
        f"for production set {PREFIX}BROKER to Apache Kafka",
        risks.POCKET,
    )
    return Cluster(f"{running.host}:{running.port}")


def _check_settings(settings: Settings, result: Examination) -> None:
    """Find a `data_dir` that cannot be used, and note values that are valid but rarely intended."""
    problem = folder_problem(settings.data_dir)
    if problem is not None:
        text = f"data_dir={settings.data_dir} cannot be used: {problem}"
        result.wrong(text, f"set {PREFIX}DATA_DIR to a folder that can be written to", risks.NO_WORKER)
    if not loopback(settings.web_host) and settings.web_auth is WebAuth.none:
        result.note(f"anyone who can reach {settings.web_host} may read (web_auth=none)", "set web_token", risks.OPEN_PORT)
    if settings.grace > settings.window_size:
        text = f"grace={settings.text_of('grace')} is longer than window_size={settings.size_text}"
        result.note(text, "a shorter grace publishes sooner", risks.LONG_GRACE)
    session = session_of(settings)
    if settings.repartition and settings.grace <= session:
        grace = settings.text_of("grace")
        text = f"repartition=on with grace={grace}: if one of several workers is killed, what it had still to copy may be late"
        advice = f"the others take over after {duration_text(session)}; with a longer grace nothing is late"
        result.note(text, advice, risks.LATE_COPIES)
    if settings.max_future < settings.grace:
        result.note(
            f"max_future={settings.text_of('max_future')} is shorter than grace={settings.text_of('grace')}",
            "raise max_future above grace",
            risks.SHORT_FUTURE,
        )


async def _clock(settings: Settings, result: Examination) -> str:
    """Compare the broker's clock with ours without writing anything.

    The LogAppendTime of the newest tick is at most the broker's present time. A timestamp ahead of our clock proves a
    difference; one behind it proves nothing, because the feed may be silent.
    """
    cluster = result.cluster
    if cluster is None or all(loopback(host) for host, _ in cluster.addresses):
        return f"the same clock: the broker is on this machine ({POCKET_HOST})"
    records = await _newest(cluster, settings.input_topic, result, 1)
    newest = max((record.timestamp for record in records if record.timestamp_type == APPEND_TIME), default=None)
    if newest is None:
        return "not known: no tick has a LogAppendTime"
    ahead = newest - time.time_ns() // 1_000_000
    if ahead <= 0:
        return f"no sign of a difference: the newest tick has a LogAppendTime {-ahead / 1000:.1f} s ago"
    if ahead > settings.idle_margin:
        text = f"the broker's clock is at least {ahead} ms ahead, idle_margin is {settings.text_of('idle_margin')}"
        result.wrong(text, f"set the clocks by NTP, or raise {PREFIX}IDLE_MARGIN above the difference", risks.CLOCKS)
    return f"the broker's clock is at least {ahead} ms ahead of this machine's"


async def _durability(settings: Settings, cluster: Cluster, result: Examination) -> None:
    """What the topics risk by their replicas; a pocket broker has been noted already."""
    if settings.pocket or result.report is None:
        return
    async with topic_admin(cluster) as client:
        replicas = await replica_counts(client)
    idle = durability.idle_risk(settings, replicas.get(settings.input_topic, 0), await replica_lag(cluster))
    for risk in [*durability.risks(result.report.states, replicas), *([] if idle is None else [idle])]:
        text, _, what = risk.text.rpartition(": ")
        result.items.append(Item("wrong" if risk.serious else "note", text, risk.advice, what))


async def _stored_state(settings: Settings, cluster: Cluster, result: Examination) -> None:
    """What the next start would say about the stored positions."""
    if result.report is None:
        return
    problems = await state_problems(settings, cluster, result.report)
    for problem in problems + await source_problems(settings, cluster, result.report):
        (result.wrong if problem.stops else result.note)(problem.text, problem.advice, risks.of_state(stops=problem.stops))


async def _ticks(settings: Settings, result: Examination) -> None:
    """Say what a worker would do with the newest ticks, about a hundred over all partitions."""
    state = result.report.states.get(settings.input_topic) if result.report else None
    if result.cluster is None or state is None:
        return
    each = -(-newest_ticks.TICKS // max(1, state.partitions))
    records = await _newest(result.cluster, settings.input_topic, result, each)
    if not await _schemas(settings, result, records):
        return
    verdict = newest_ticks.judge(settings, records)
    if not verdict.ticks:
        return
    if not verdict.reasons:
        result.note(verdict.text)
    elif verdict.rejected * 2 > verdict.ticks:
        result.wrong(
            f"{verdict.text}: {verdict.why}",
            f"see whether {PREFIX}TICKS_FIELDS and its like say what the records hold",
            risks.REJECTED,
        )
    else:
        result.note(f"{verdict.text}: {verdict.why}", "late and rejected ticks are kept in their topics", risks.LACKING)


async def _bar_schemas(settings: Settings, result: Examination) -> None:
    """See whether bars could be written with their schema; registers nothing."""
    try:
        await BarSchemas(settings).look()
    except BarwheelError as error:
        result.wrong(str(error), f"see {PREFIX}SCHEMA_REGISTRY_URL and {PREFIX}BARS_FORMAT", risks.NO_WORKER)


async def _schemas(settings: Settings, result: Examination, records: Iterable[Any]) -> bool:
    """Get the schemas that these ticks name. Returns whether there are all of them; if not, it is said why."""
    until = time.monotonic() + SCHEMA_SECONDS
    async with TickSchemas(settings) as schemas:
        try:
            await schemas.check(patient=False)
            if await schemas.ready(records, lambda: time.monotonic() < until):
                return True
        except BarwheelError as error:
            advice = f"see {PREFIX}SCHEMA_REGISTRY_URL, {PREFIX}TICKS_SCHEMA and {PREFIX}TICKS_FIELDS"
            result.wrong(str(error), advice, risks.NO_WORKER)
            return False
    text = f"Schema Registry has not given the ticks' schemas within {SCHEMA_SECONDS:.0f} s"
    result.wrong(text, "start it, or look at its log", risks.NO_BARS)
    return False


async def _fit(settings: Settings, result: Examination) -> None:
    """If there is a ksqlDB, check that it can read the newest ticks."""
    if result.cluster is None or not settings.ksqldb_url:
        return
    records = await _newest(result.cluster, settings.input_topic, result, FIT_TICKS)
    for misfit in fit.misfits(settings, ((record.key, record.value) for record in records)):
        result.items.append(Item(misfit.level, misfit.text, misfit.advice, risks.KSQLDB))


async def _placement(settings: Settings, result: Examination) -> None:
    """Look for symbols that live in two partitions: in the newest ticks, and in the newest bars."""
    cluster = result.cluster
    if cluster is None or result.report is None:
        return
    ticks = await _newest(cluster, settings.input_topic, result, PLACED_RECORDS)
    finals = await _newest(cluster, settings.finals_topic, result, PLACED_RECORDS)
    for found in (
        *placement.in_ticks(settings.input_topic, result.report.partitions, ticks),
        *placement.in_finals(settings, finals),
    ):
        result.items.append(Item(*found, risks.TWO_PARTITIONS if found.level == "wrong" else ""))


async def _newest(cluster: Cluster, topic: str, result: Examination, count: int) -> list[Seen]:
    """The newest records of each partition: about `count` at most."""
    state = result.report.states.get(topic) if result.report else None
    if state is None:
        return []
    return (await take(cluster, topic, count * max(1, state.partitions))).records
