"""A backfill from its beginning to its end: what `app backfill` does."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial

from aiokafka.errors import KafkaError

from agents.bar_schemas import BarSchemas
from agents.topics import SIDE_EXTRA_BYTES, TopicsReport, check_partitions, ensure, look
from app.errors import BrokerError, InputError, StateError, TopicsError
from app.kafka.bootstrap import admin
from app.kafka.cluster import Cluster
from app.kafka.producer_pool import ProducerPool
from app.kafka.producers import TransactionalProducer
from app.kafka.reader import Reader
from app.kafka.topics import partition_counts
from app.operations.backfill.compare import Compared, Comparison, Outcome
from app.operations.backfill.copies import Copies
from app.operations.backfill.publish import publish, refuse_beside_workers
from app.operations.backfill.published import bar_topics, published
from app.operations.backfill.ticks import Stretch, file_ticks, topic_ticks
from app.settings import Settings
from app.settings.longer import LatePolicy
from app.settings.types import TicksFormat
from app.tickfiles.rows import Reading
from app.tickfiles.sources import Source
from tables.engine import Engine
from tables.recomputed import Difference

Show = Callable[[str, int], None]  # what is read, and how many ticks of it so far


@dataclass(frozen=True)
class Files:
    """Recorded ticks; `reorder` in ms."""

    sources: Sequence[Source]
    reading: Reading
    reorder: int


async def backfill(
    settings: Settings, cluster: Cluster, stretch: Stretch, files: Files | None, *, apply: bool, into: str, show: Show
) -> Outcome:
    """Compute a stretch once more, and compare; with `apply` publish the differences as revisions.

    `into`: a prefix of topics for all bars that are computed; empty: they are published nowhere.
    Raises `StateError` where the app's state does not fit, a worker runs, or ticks would be missing from a revision.
    """
    if files is None and settings.ticks_format is not TicksFormat.json and not settings.ticks_schema:
        raise InputError(
            f"ticks_format={settings.ticks_format.value}: a backfill asks no registry; set ticks_schema, or name files"
        )
    writes = settings.model_copy(update={"late_policy": LatePolicy.correct}) if apply else settings
    topics = await ensure(writes, cluster) if apply else await look(settings, cluster)
    if settings.input_topic not in topics.states or settings.changelog_topic not in topics.states:
        raise TopicsError(f"{settings.input_topic} or {settings.changelog_topic} does not exist: no worker has run yet")
    job = _Job(settings, cluster, topics, stretch, files, show)
    try:
        async with Copies(settings, cluster, into) as copies:
            if not apply:
                return await _compare(job, copies, None)
            await refuse_beside_workers(settings, cluster)
            await BarSchemas(writes).check(patient=False)
            async with _fenced(settings, cluster, topics) as producers:
                return await _compare(job, copies, producers)
    except KafkaError as error:
        raise BrokerError(f"the backfill failed: {error or type(error).__name__}; what it has published is whole") from error


@asynccontextmanager
async def _fenced(
    settings: Settings, cluster: Cluster, topics: TopicsReport
) -> AsyncIterator[dict[int, TransactionalProducer]]:
    """The producers of all partitions' checkpoints."""
    pool = ProducerPool(settings)
    try:
        failed = await pool.start(
            cluster,
            range(topics.partitions),
            max_request=topics.max_message_bytes + SIDE_EXTRA_BYTES,
            batch_limits=topics.batch_limits,
        )
        for error in failed.values():
            raise error
        yield pool.checkpoints
    finally:
        await pool.abort()
        await pool.stop()


@dataclass(frozen=True)
class _Job:
    """What is computed, of what, and who is told."""

    settings: Settings
    cluster: Cluster
    topics: TopicsReport
    stretch: Stretch
    files: Files | None
    show: Show


async def _compare(job: _Job, copies: Copies, producers: dict[int, TransactionalProducer] | None) -> Outcome:
    """`producers`: publish the differences by these."""
    settings, topics, stretch, files, show = job.settings, job.topics, job.stretch, job.files, job.show
    outcome, compared = Outcome(), list[Compared]()
    async with admin(job.cluster) as client:
        present = set(await partition_counts(client))
    names = {*settings.recovered_topics, *(topic for topic in bar_topics(settings) if topic in present)}
    now = await check_partitions(settings, job.cluster, topics.partitions)
    async with Reader(job.cluster, frozenset(names)) as reader:

        async def begin(number: int) -> Comparison:
            known = await published(reader, settings, topics.partitions, number, stretch, now, names)
            return Comparison(number, known, stretch, outcome)

        if files is None:
            for number in range(topics.partitions):
                comparison, engine = await begin(number), None
                where = f"partition {number} of {topics.partitions}"
                async for engine in topic_ticks(reader, settings, topics, number, stretch, partial(show, where)):
                    await copies.send(number, comparison.take(engine))
                assert engine is not None  # noqa: S101  # it is yielded at least once
                compared.append(comparison.finish(engine))
        else:
            comparisons = {number: await begin(number) for number in range(topics.partitions)}
            engines: dict[int, Engine] = {}
            for engines in file_ticks(settings, files.sources, files.reading, files.reorder, stretch, topics.partitions):
                for number, engine in engines.items():
                    await copies.send(number, comparisons[number].take(engine))
                show("files", sum(engine.counters.read for engine in engines.values()))
            compared += [comparisons[number].finish(engine, engine.symbols) for number, engine in sorted(engines.items())]
    outcome.differences = sorted((one for part in compared for one in part.found), key=_order)
    if producers is not None:
        await _publish(settings, compared, producers, outcome, keeps_offsets=files is None)
    return outcome


async def _publish(
    settings: Settings,
    compared: Sequence[Compared],
    producers: dict[int, TransactionalProducer],
    outcome: Outcome,
    *,
    keeps_offsets: bool,
) -> None:
    """Publish what all partitions have found, unless a revision could be wrong."""
    changed = [part for part in compared if any(one.recomputed for one in part.found)]
    if changed and outcome.late:
        raise StateError(
            f"{outcome.late} ticks came later than --lateness waits for, so a revision could lack them: raise it; nothing was "
            "published"
        )
    behind = [str(part.number) for part in changed if not part.known.settled]
    if behind:
        raise StateError(
            f"partitions {', '.join(behind)}: their last checkpoints do not tell of all bars; start a worker once, "
            "stop it, and try again; nothing was published"
        )
    for part in changed:
        outcome.revised += await publish(
            settings, part.number, producers[part.number], part.known, part.found, keeps_offsets=keeps_offsets
        )


def _order(one: Difference) -> tuple[int, str, bytes]:
    frame, key, start = one.place
    return start, frame, key
