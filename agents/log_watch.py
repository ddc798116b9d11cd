"""Checks, while a worker runs, that the topics are still those that its positions belong to.

A topic that is deleted and created again, or another cluster behind the same address, goes on giving records, and a log that
was truncated does as well. The broker is asked every `CHECK_SECONDS`, one request for all topics, and before the next slice
wherever a fetch was refused, as it is when a topic is deleted or its leader changes.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from functools import partial

from aiokafka.errors import KafkaError

from agents.input_log import EndOfEpoch
from agents.task import PartitionTask
from agents.tick_consumer import TickConsumer
from agents.topics import identity_of
from app.kafka.bootstrap import patient_admin
from app.kafka.cluster import Cluster
from app.kafka.failures import reason_of
from app.kafka.identity import identify
from app.kafka.leader_epochs import NOT_THERE, EpochEnd, end_of_epoch
from app.kafka.slices import GapError
from app.settings import Settings
from tables.state import Identity

CHECK_SECONDS = 30.0  # so long may other records go into bars unnoticed; a check costs a connection and two requests
WATCH_MS = 1_000  # between two looks whether a check is due
NEVER = -1  # in place of the number of refusals: a check is due in any case
log = logging.getLogger(__name__)
Tasks = Mapping[int, PartitionTask]


class LogWatch:
    """Remembers what was asked last, and how many refusals of fetches that covers."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._input, self._finals = settings.input_topic, settings.finals_topic
        self._asked = time.monotonic()
        self._refusals = 0
        self._leaders: dict[tuple[str, int], tuple[PartitionTask, int]] = {}  # those that were checked: for which task, epoch

    async def check_if_doubtful(self, cluster: Cluster, tasks: Tasks, consumer: TickConsumer | None) -> None:
        """Check if a fetch was refused since the last check.

        Raises `GapError` where a topic or the cluster is another one, or a log was truncated, and aiokafka's errors.
        """
        if consumer is not None and consumer.refusals() != self._refusals:
            await self._check(cluster, dict(tasks), consumer.refusals())

    async def check_if_due(self, cluster: Cluster, tasks: Tasks, consumer: TickConsumer | None) -> None:
        """The same, and also if the last check was `CHECK_SECONDS` ago. Aiokafka's errors are not raised, but logged."""
        if time.monotonic() - self._asked >= CHECK_SECONDS:
            self._refusals = NEVER
        try:
            await self.check_if_doubtful(cluster, tasks, consumer)
        except (KafkaError, OSError) as error:
            log.info("the topics' ids are not known (%s): asking again", reason_of(error))

    async def _check(self, cluster: Cluster, tasks: Tasks, refusals: int) -> None:
        self._asked = time.monotonic()
        ends = {number: task.finals_end for number, task in tasks.items()}  # as of before the answer
        async with patient_admin(cluster) as client:
            found = await identify(client, [self._input, self._finals])
            now = identity_of(self._settings, found)
            for task in tasks.values():
                _compare(task.identity, now)
            for (topic, number), leader_epoch in found.leader_epochs.items():
                if number in tasks:
                    ask = partial(end_of_epoch, client._client, topic)  # noqa: SLF001  # aiokafka has no accessor
                    await self._check_partition(topic, tasks[number], ends[number], leader_epoch, ask)
        gone = bool(now.cluster) and any(task.identity.input and not now.input for task in tasks.values())
        if not gone:  # else the next topic of that name may come without another refusal
            self._refusals = refusals

    async def _check_partition(self, topic: str, task: PartitionTask, end: int, leader_epoch: int, ask: EndOfEpoch) -> None:
        """Check that a leader which was not checked before has what was read, or written up to `end`, as acknowledged."""
        new = self._leaders.get((topic, task.number)) != (task, leader_epoch)
        if topic == self._input:
            if new:
                await task.check_log(ask)
        else:  # only this worker appends bars, and each acknowledgement is checked: a leader that lacks some ends before them
            log_end = await ask(task.number, leader_epoch) if new else None
            if log_end is not None and NOT_THERE < log_end.offset < end:
                raise GapError(f"{topic}[{task.number}] ends at {log_end.offset}, and bars were acknowledged up to {end}")
            task.finals_are_there(leader_epoch, end)
        self._leaders[topic, task.number] = task, leader_epoch


def _compare(stored: Identity, now: Identity) -> None:
    for what in ("cluster", "input", "finals"):
        before, after = getattr(stored, what), getattr(now, what)
        if before and after and before != after:
            name = "the cluster" if what == "cluster" else f"the topic of the {what}"
            raise GapError(f"{name} is another one: its id is {after}, and was {before}")


async def end_of_input_epoch(settings: Settings, cluster: Cluster, partition: int, leader_epoch: int) -> EpochEnd | None:
    """Where a leader epoch of the input ends now. Raises aiokafka's errors."""
    async with patient_admin(cluster) as client:
        return await end_of_epoch(client._client, settings.input_topic, partition, leader_epoch)  # noqa: SLF001  # see above
