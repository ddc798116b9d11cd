"""The backfill of a swap: waits until new queries have read their input, and compares new tables with old ones."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass

from aiokafka import AIOKafkaConsumer, TopicPartition

from app.kafka.bootstrap import admin
from app.kafka.cluster import Cluster
from app.kafka.topics import partition_counts
from migrations.errors import MigrationError
from migrations.plan.model import Statement
from migrations.run.target import Target
from migrations.server.catalog import Catalog, SourceDescription

BACKFILL_SECONDS = 600.0
POLL_SECONDS = 0.5
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TableComparison:
    """The rows of an old and a new table. Of the keys in both, `equal` have equal rows and `differ` have not."""

    old: str
    new: str
    old_rows: int
    new_rows: int
    equal: int
    differ: int


async def wait_for_backfill(target: Target, statements: Sequence[Statement]) -> None:
    """Wait until the queries of these statements have read all their input.

    Raises `MigrationError` after `BACKFILL_SECONDS`.
    """
    until = time.monotonic() + BACKFILL_SECONDS
    from_start = {statement.name for statement in statements if _reads_from_start(statement)}
    sources = (await target.client.catalog()).sources
    inputs = {
        statement.name: {sources[name].topic for name in statement.info.sources if name in sources}
        for statement in statements
        if statement.info.kind.query
    }
    while True:
        lags = await target.client.lags()
        lag = {name: sum(lags.get(name, {}).values()) for name in inputs}
        # the server reports no lag for a topic of which a new query has committed no offset
        for name, topics in inputs.items():
            if name in from_start:
                unread = topics - lags.get(name, {}).keys()
                lag[name] += sum([await record_count(target.cluster, topic) for topic in unread])
        if not any(lag.values()):
            return
        behind = ", ".join(f"{name}: {records}" for name, records in lag.items() if records)
        if time.monotonic() > until:
            raise MigrationError(
                f"still behind after {BACKFILL_SECONDS:.0f} s, in records ({behind}); run it again to go on waiting"
            )
        log.info("backfill, records to read: %s", behind)
        await asyncio.sleep(POLL_SECONDS)


def _reads_from_start(statement: Statement) -> bool:
    names = ("ksql.streams.auto.offset.reset", "auto.offset.reset")
    return "earliest" in (statement.properties.get(name) for name in names)


async def record_count(cluster: Cluster, topic: str) -> int:
    """The number of offsets between a topic's beginning and end; 0 if the topic does not exist."""
    async with admin(cluster) as client:
        count = (await partition_counts(client)).get(topic, 0)
    if not count:
        return 0
    async with AIOKafkaConsumer(**cluster.client, enable_auto_commit=False) as consumer:
        partitions = [TopicPartition(topic, number) for number in range(count)]
        begin, end = await consumer.beginning_offsets(partitions), await consumer.end_offsets(partitions)
        return sum(end[partition] - begin[partition] for partition in partitions)


async def compare_tables(target: Target, catalog: Catalog, old: str, new: str) -> TableComparison:
    """Compare the rows of two tables by their keys; both tables must support pull queries."""
    before, after = [
        rows_by_key(await target.client.query(f"SELECT * FROM `{name}`;"), catalog.sources[name])  # noqa: S608  # names
        for name in (old, new)
    ]
    common = before.keys() & after.keys()
    equal = sum(before[key] == after[key] for key in common)
    return TableComparison(old, new, len(before), len(after), equal, len(common) - equal)


def rows_by_key(rows: Sequence[dict[str, object]], source: SourceDescription) -> dict[tuple[object, ...], dict[str, object]]:
    """Rows of a table by the values of its key columns, and of its window if it is windowed."""
    names = (*source.keys, *(("WINDOWSTART", "WINDOWEND") if source.windowed else ()))
    return {tuple(row[name] for name in names): row for row in rows}
