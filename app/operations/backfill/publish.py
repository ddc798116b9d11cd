"""Publishes the differences of a backfill as revisions, in one transaction for each partition.

The transactional id is that of the worker's checkpoints: starting the producer fences a worker that runs all the same, and a
worker that starts later fences this. So what was read as published stays the newest until the transaction is committed. The
transaction also writes the position again, with the new ends of the topics: the next worker restores what was revised.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Sequence

from aiokafka import TopicPartition
from msgspec import UnsetType

from agents.beyond import BeyondOutputs
from agents.finals import finals_headers
from agents.headers import APP_HEADER
from app.errors import StateError
from app.kafka.bootstrap import admin
from app.kafka.cluster import Cluster
from app.kafka.producers import TransactionalProducer, acknowledged
from app.operations.backfill.published import Published
from app.settings import Settings
from tables.emission import Closed
from tables.recomputed import Difference, revision_of
from tables.state import POSITION_KEY, encode_position


async def refuse_beside_workers(settings: Settings, cluster: Cluster) -> None:
    """Raise `StateError` where a worker of this app runs: it would not know what is revised here."""
    async with admin(cluster) as client:
        answers = await client.describe_consumer_groups([settings.app_id])
    members = sum(len(part) for answer in answers for group in answer.groups for part in group if isinstance(part, list))
    if members:
        raise StateError(f"app_id {settings.app_id} has {members} running workers: stop them before --apply, then start them")


async def publish(
    settings: Settings,
    number: int,
    producer: TransactionalProducer,
    known: Published,
    differences: Sequence[Difference],
    *,
    keeps_offsets: bool,
) -> int:
    """Publish revisions of one partition; returns how many. Raises aiokafka's errors; then none was published."""
    now = time.time_ns() // 1_000_000
    position = copy.copy(known.position)
    steps: list[Closed] = []
    for one in differences:
        if one.recomputed is not None:
            watermark = known.watermark(one.place[1])
            assert watermark is not None  # noqa: S101  # else the window counts as open
            steps.append(revision_of(one, now, watermark, position.next_offset, keeps_offsets=keeps_offsets))
    if not steps:
        return 0
    await producer.begin()
    ends = await BeyondOutputs(settings, number).send(producer, steps, finals_headers(settings.app_id, position.leader_epoch))
    if not isinstance(position.ends, UnsetType):
        position.ends = position.ends | {topic: end for topic, end in ends.items() if topic in position.ends}
    record = (POSITION_KEY, encode_position(position), None, [(APP_HEADER, settings.app_id.encode())])
    await acknowledged(await producer.send(settings.changelog_topic, number, [record]))
    await producer.commit(TopicPartition(settings.input_topic, number), position.resume_at)
    return len(steps)
