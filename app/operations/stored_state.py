"""Whether the stored positions still belong to the topics of now: what the next start of a worker would say."""

from __future__ import annotations

import copy
from dataclasses import dataclass

from agents.recovery import recover
from agents.repartition.positions import read_positions, resume
from agents.repartition.recovery import look
from agents.topics import TopicsReport, check_partitions
from app.errors import BarwheelError, StateError
from app.kafka.cluster import Cluster
from app.kafka.reader import Reader
from app.settings import Settings
from app.settings.types import OnGap
from tables.state import Identity

GOES_ON = "on_gap=continue is set: the next start goes on all the same"


@dataclass(frozen=True)
class Problem:
    """What is wrong with a partition's stored state. `stops`: a worker with these settings does not start."""

    text: str
    advice: str
    stops: bool


async def state_problems(settings: Settings, cluster: Cluster, topics: TopicsReport) -> list[Problem]:
    """The problems of all partitions; none before the first start. Nothing is changed. Raises aiokafka's errors."""
    names = frozenset(settings.recovered_topics)
    if not names <= topics.states.keys():
        return []
    now = await check_partitions(settings, cluster, topics.partitions)
    found = []
    async with Reader(cluster, names) as reader:
        for number in range(min(topics.states[name].partitions for name in names)):
            problem = await _problem(reader, settings, number, topics.partitions, now)
            if problem is not None:
                found.append(problem)
    return found


async def source_problems(settings: Settings, cluster: Cluster, topics: TopicsReport) -> list[Problem]:
    """The same for the partitions of the sources, with `repartition=on`."""
    if not settings.repartition or settings.repartition_positions_topic not in topics.states:
        return []
    places = [
        (topic, number) for topic in settings.sources.among(topics.states) for number in range(topics.states[topic].partitions)
    ]
    try:
        stored = await read_positions(cluster, settings, topics.partitions)
    except StateError as error:
        return [Problem(str(error), "the worker does not start before that is changed", stops=True)]
    known, failed = await look(cluster, stored, places)
    found = [Problem(str(error), "the others do not wait for it", stops=False) for _, error in sorted(failed.items())]
    for place, (log, now) in known.items():
        try:
            resume(settings.model_copy(update={"on_gap": OnGap.stop}), place, log, copy.deepcopy(stored), now)
        except StateError as error:
            stops = settings.on_gap is OnGap.stop
            found.append(Problem(str(error), "the worker does not start before that is changed" if stops else GOES_ON, stops))
    return found


async def _problem(reader: Reader, settings: Settings, number: int, partitions: int, now: Identity) -> Problem | None:
    try:
        found = await recover(reader, settings.model_copy(update={"on_gap": OnGap.stop}), number, partitions, now)
    except StateError as error:
        stops = settings.on_gap is OnGap.stop or not await _goes_on(reader, settings, number, partitions, now)
        advice = "the worker does not start before that is changed" if stops else GOES_ON
        return Problem(str(error), advice, stops)
    steps = found.position.clock_steps
    if not steps:
        return None
    text = f"partition {number}: a clock was more than a minute ahead, a broker's or a worker's, and was left behind"
    return Problem(f"{text} (times: {steps})", "set the clocks of brokers and workers by NTP", stops=False)


async def _goes_on(reader: Reader, settings: Settings, number: int, partitions: int, now: Identity) -> bool:
    try:
        await recover(reader, settings, number, partitions, now)
    except BarwheelError:
        return False
    return True
