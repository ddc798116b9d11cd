"""Makes the tasks of an assignment: fences the former owners, then reads where each partition of a source goes on."""

from __future__ import annotations

import functools
import logging
from collections.abc import Iterable
from typing import NamedTuple

import msgspec
from aiokafka.errors import KafkaError

from agents.gaps import Log
from agents.layout import source_layout
from agents.repartition.positions import START_KEY, Stored, position_key, read_positions, resume
from agents.repartition.producers import source_producer
from agents.repartition.source_task import Ready, SourceTask
from agents.repartition_progress import RepartitionProgress
from agents.sources import find_sources
from agents.topics import SIDE_EXTRA_BYTES, TopicsReport
from app.errors import SettingsError
from app.kafka.bootstrap import patient_admin
from app.kafka.cluster import Cluster
from app.kafka.failures import reason_of
from app.kafka.identity import Identities, identify
from app.kafka.leader_epochs import EpochEnd, end_of_epoch
from app.kafka.leaders import Place
from app.kafka.partitioner import partition_of
from app.kafka.producers import BatchProducer, acknowledged
from app.kafka.reader import Reader
from app.kafka.records import NO_EPOCH
from app.kafka.transactional_producers import TransactionalProducers
from app.settings import Settings
from tables.placing import Placing
from tables.state import Identity

log = logging.getLogger(__name__)


class SourceRecovery:
    """Makes tasks. `producers` are those of the last recovery."""

    def __init__(self, settings: Settings, progress: RepartitionProgress, ready: Ready) -> None:
        self.producers: TransactionalProducers[Place] = TransactionalProducers()
        self._settings = settings
        self._progress = progress
        self._ready = ready
        self.placing: Placing | None = None

    async def recover(self, cluster: Cluster, topics: TopicsReport, places: set[Place]) -> dict[Place, SourceTask]:
        """The tasks of these partitions, without those that are held up. Raises `StateError` and aiokafka's errors."""
        settings, progress = self._settings, self._progress
        progress.sources.clear()
        progress.held_up = {}
        await self.producers.stop()  # every send has ended before anything is read
        if not places:
            return {}
        largest = topics.states[settings.repartition_topic].max_message_bytes
        limits = topics.batch_limits
        make = functools.partial(
            source_producer, settings, cluster, max_request=largest + SIDE_EXTRA_BYTES, batch_limits=limits
        )
        failed = await self.producers.start(sorted(places), make)
        stored = await read_positions(cluster, settings, topics.partitions)  # of now: the former owners write no more
        if stored.start is None:
            stored.start = await self._begin(cluster, limits)
        known, unknown = await look(cluster, stored, places - failed.keys())
        failed.update(unknown)
        tasks = {}
        for place, (ticks, now) in sorted(known.items()):
            found = resume(settings, place, ticks, stored, now)
            task = SourceTask(
                settings,
                place,
                found.position,
                self.producers.started[place],
                placing=self._placing_of(topics.partitions, largest),
                ready=self._ready,
                ask=functools.partial(_end_of_epoch, cluster, place[0]),
                progress=progress,
            )
            if found.write:
                await task.begin(topics.partitions, cut=found.cut)
            tasks[place] = task
        progress.held_up = {place: reason_of(error) for place, error in failed.items()}
        for place, error in sorted(failed.items()):
            log.warning("source %s[%d] is held up (%s): it is tried again", *place, reason_of(error))
        return tasks

    async def _begin(self, cluster: Cluster, limits: dict[str, int]) -> dict[str, int]:
        """Note, once for ever, which topics there are at the first start."""
        topic = self._settings.repartition_positions_topic
        async with patient_admin(cluster) as client:
            found = await find_sources(client, self._settings)
        producer = BatchProducer(cluster, max_request=SIDE_EXTRA_BYTES, batch_limits=limits)
        await producer.start()
        try:
            await acknowledged(await producer.send(topic, 0, [(START_KEY, msgspec.json.encode(found), None, [])]))
        finally:
            await producer.stop()
        return found

    def _placing_of(self, partitions: int, largest: int) -> Placing:
        if self.placing is None:
            settings = self._settings
            try:
                parsed = settings.layout.parsed()
            except ValueError as error:
                raise SettingsError(str(error)) from None
            self.placing = Placing(parsed, source_layout(settings), partitions, partition_of, max_size=largest)
        return self.placing


def identity_of(topic: str, ids: Identities) -> Identity:
    """What the position of a partition of this topic stores of the broker's answer."""
    return Identity(ids.cluster, ids.topics.get(topic, ""))


class Known(NamedTuple):
    """A partition of a source as it is now: its log, and the ids of cluster and topic."""

    log: Log
    now: Identity


async def look(cluster: Cluster, stored: Stored, places: Iterable[Place]) -> tuple[dict[Place, Known], dict[Place, KafkaError]]:
    """These partitions as they are now, and the errors of those that cannot be asked. Raises aiokafka's other errors."""
    wanted = sorted(places)
    topics = sorted({topic for topic, _ in wanted})
    async with patient_admin(cluster) as client:
        ids = await identify(client, topics)
    async with Reader(cluster, frozenset(topics)) as reader:
        bounds, failed = await reader.bounds_of(wanted)
        found = {
            place: Known(await _log_of(reader, place, bounds[place], stored, ids), identity_of(place[0], ids))
            for place in sorted(bounds)
        }
    return found, failed


async def _log_of(reader: Reader, place: Place, bounds: tuple[int, int], stored: Stored, ids: Identities) -> Log:
    """A partition's log, with where the leader epoch of its position ends."""
    topic, number = place
    begin, end = bounds
    found = Log(f"{topic}[{number}]", begin, end, ids.topics.get(topic, ""))
    position = stored.positions.get(position_key(topic, number))
    if position is None or position.leader_epoch == NO_EPOCH or not found.is_same(position.identity.input):
        return found
    epoch = await reader.end_of_epoch(topic, number, position.leader_epoch)
    return Log(found.name, begin, end, found.topic_id, position.leader_epoch, None if epoch is None else epoch.offset)


async def _end_of_epoch(cluster: Cluster, topic: str, partition: int, leader_epoch: int) -> EpochEnd | None:
    """Where a leader epoch of a source ends now. Raises aiokafka's errors."""
    async with patient_admin(cluster) as client:
        return await end_of_epoch(client._client, topic, partition, leader_epoch)  # noqa: SLF001  # aiokafka has no accessor


def changed(tasks: Iterable[SourceTask], ids: Identities) -> str:
    """Which source is another topic than that of its position, in words; empty: none is known to be."""
    for task in tasks:
        topic, before = task.place[0], task.position.identity
        now = identity_of(topic, ids)
        for name, was, is_now in ((f"topic {topic}", before.input, now.input), ("the cluster", before.cluster, now.cluster)):
            if was and is_now and was != is_now:
                return f"{name} is another one: its id is {is_now}, and was {was}"
    return ""
