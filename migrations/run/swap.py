"""Put a changed windowed aggregation in the place of the old one: built beside it, backfilled, compared, swapped.

Under `_vN+1` names: everything that reads from it, from the plan's `auto.offset.reset` on; then the new INSERT writers start
into the tables that readers know, and the old ones are paused. The old half stays until `retire`, which drops it and no topic.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition

from app.kafka.bootstrap import admin
from app.kafka.topics import partition_counts
from migrations.errors import KsqlDbError, MigrationError, RefusedError
from migrations.ksql.parse.statement import Kind
from migrations.plan.compare import Action, Step, compare
from migrations.plan.model import Plan, Statement
from migrations.plan.rename import affected, names_now, next_names, placed
from migrations.run import history
from migrations.run.history import Entry, Status, Writer
from migrations.run.lock import Lock
from migrations.run.runner import LOCK_SECONDS, SERVER_FAULT, Report, Run, Target, Told, check_on_server
from migrations.server.catalog import Catalogue, Source

BACKFILL_SECONDS = 600.0
POLL_SECONDS = 0.5
NEW, OLD = ">", "<"  # between id and name, of an entry that is not in its place yet, or no longer
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Compared:
    """What two tables hold: rows by their key; `equal` of those that both have."""

    old: str
    new: str
    old_rows: int
    new_rows: int
    equal: int
    differ: int


async def force_new_name(target: Target, plan: Plan, told: Told | None = None) -> tuple[Report, list[Compared]]:
    """Swap what `apply` refuses as it cannot be altered; the same command goes on where a run was cut off.

    Raises `RefusedError` where nothing is to be swapped, or something else is in the way, `MigrationError` where the new half
    does not catch up.
    """
    await history.ensure_topic(target.cluster, target.topic, target.replication_factor)
    async with (
        Lock(target.cluster, target.topic, wait_seconds=LOCK_SECONDS, session_ms=target.session_ms) as lock,
        Writer(target.cluster, target.topic) as writer,
    ):
        entries = await history.read(target.cluster, target.topic, target.app_id)
        catalogue = await target.client.catalogue()
        steps = compare(plan, entries, catalogue)
        group = affected(plan, await _changed(target, plan, steps))
        now = names_now(plan, entries)
        new = [placed(statement, now | next_names(group, now)) for statement in group]
        fresh = [replace(one, id=f"{one.id}{NEW}{one.name}") for one in new]
        run = Run(target, plan, lock.check, writer)
        report = Report(steps)

        async def send(statements: Sequence[Statement]) -> None:
            for step in _left(plan, statements, entries, await target.client.catalogue()):
                if told is not None:
                    told(step, None)
                report.applied.append(entry := await run.one(step))
                if told is not None:
                    told(step, entry)

        sources = [one for one in fresh if one.about.kind is not Kind.insert_select]
        writers = [one for one in fresh if one.about.kind is Kind.insert_select]
        await _check_topics(target, fresh, catalogue)
        await check_on_server(target, plan, _left(plan, fresh, entries, await target.client.catalogue()))
        await send(sources)
        await _caught_up(target, plan, sources)
        pairs = [(entries[plain.id].name, one.name) for plain, one in zip(group, new, strict=True) if plain.id in entries]
        made = await target.client.catalogue()
        compared = [await _compared(target, made, *pair) for pair in pairs if _table(catalogue, pair[0])]
        await send(writers)
        for statement in group:
            entry = entries.get(statement.id)
            if entry is not None and statement.about.kind is Kind.insert_select and entry.name in catalogue.queries:
                await lock.check()
                await target.client.execute(f"PAUSE {entry.name};", {})
        await lock.check()
        await _record(target, writer, group, entries)
        return report, compared


async def _changed(target: Target, plan: Plan, steps: Sequence[Step]) -> list[str]:
    """Ids of what is to be swapped: windowed aggregations, and what the server does not alter.

    Raises `RefusedError` for what stands in the way.
    """
    found = []
    for step in steps:
        about = step.statement.about if step.statement is not None else None
        windowed = about is not None and about.kind is Kind.create_table_as and about.windowed
        if step.action is Action.refused and windowed and step.entry is not None:
            found.append(step.id)
        elif step.action is Action.refused or step.action.drift:
            raise RefusedError(f"{step.id} ({step.name}): {step.why}")
        elif step.action is Action.alter and not await _alterable(target, plan, step):
            found.append(step.id)
    if not found:
        raise RefusedError("nothing needs a new name: nothing of the plan has changed that cannot be altered")
    return found


async def _alterable(target: Target, plan: Plan, step: Step) -> bool:
    try:
        await target.client.validate([step.text], plan.properties)
    except KsqlDbError as error:
        if error.code >= SERVER_FAULT:
            raise
        return False
    return True


def _left(plan: Plan, fresh: Sequence[Statement], entries: history.History, catalogue: Catalogue) -> list[Step]:
    """What of the new half is still to be made: of a run that was cut off, what it has made is done.

    Raises `RefusedError` where that run was about another text: what it left is not what is wanted now.
    """
    found = []
    for step in compare(Plan(plan.name, tuple(fresh)), entries, catalogue):
        if step.statement is None or step.action is Action.done:
            continue
        if step.action is Action.refused or step.action is Action.differs:
            raise RefusedError(
                f"{step.id}: {step.name} is left of a swap that was cut off, and is not what the plan says now ({step.why}); "
                f"set the plan's text back and finish that one, or drop {step.name} "
                "(`app migrate retire`, where it was rolled back)"
            )
        found.append(step)
    return found


async def _check_topics(target: Target, fresh: Sequence[Statement], catalogue: Catalogue) -> None:
    """Raise `RefusedError` where a topic that is to be made holds records of an earlier swap: nothing here deletes topics."""
    for one in fresh:
        topic = one.about.topic or one.about.name
        makes = one.about.kind.source and one.about.kind.query and catalogue.text_of(one) is None
        if makes and (number := await _records(target, topic)):
            raise RefusedError(f"topic {topic} holds {number} records of an earlier {one.name}; delete it, then swap again")


def _table(catalogue: Catalogue, name: str) -> bool:
    source = catalogue.sources.get(name)
    return source is not None and source.kind == "TABLE" and bool(source.queries)


async def _caught_up(target: Target, plan: Plan, statements: Sequence[Statement]) -> None:
    """Wait until the queries of these have read all there is."""
    until = time.monotonic() + BACKFILL_SECONDS
    from_start = "earliest" in (plan.properties.get(name) for name in ("ksql.streams.auto.offset.reset", "auto.offset.reset"))
    sources = (await target.client.catalogue()).sources
    inputs = {
        one.name: {sources[name].topic for name in one.about.sources if name in sources}
        for one in statements
        if one.about.kind.query
    }
    while True:
        lags = await target.client.lags()
        lag = {name: sum(lags.get(name, {}).values()) for name in inputs}
        for name, topics in inputs.items() if from_start else ():
            # of a query that has committed nothing yet the server knows no lag, not even in what is full of records
            lag[name] += sum([await _records(target, topic) for topic in topics - lags.get(name, {}).keys()])
        if not any(lag.values()):
            return
        behind = ", ".join(f"{name}: {left}" for name, left in lag.items() if left)
        if time.monotonic() > until:
            raise MigrationError(
                f"still behind after {BACKFILL_SECONDS:.0f} s, in records ({behind}); run it again to go on waiting"
            )
        log.info("backfill, records to read: %s", behind)
        await asyncio.sleep(POLL_SECONDS)


async def _records(target: Target, topic: str) -> int:
    """How many a topic holds; 0 where there is none of that name."""
    async with admin(target.cluster) as client:
        count = (await partition_counts(client)).get(topic, 0)
    if not count:
        return 0
    async with AIOKafkaConsumer(**target.cluster.client, enable_auto_commit=False) as consumer:
        places = [TopicPartition(topic, number) for number in range(count)]
        begin, end = await consumer.beginning_offsets(places), await consumer.end_offsets(places)
        return sum(end[place] - begin[place] for place in places)


async def _compared(target: Target, catalogue: Catalogue, old: str, new: str) -> Compared:
    """Rows of both, by their keys."""
    before, after = [
        by_key(await target.client.query(f"SELECT * FROM `{name}`;"), catalogue.sources[name])  # noqa: S608  # names
        for name in (old, new)
    ]
    both = before.keys() & after.keys()
    equal = sum(before[key] == after[key] for key in both)
    return Compared(old, new, len(before), len(after), equal, len(both) - equal)


def by_key(rows: Sequence[dict[str, object]], source: Source) -> dict[tuple[object, ...], dict[str, object]]:
    """Rows of a table by its key columns, and by the window where it has windows."""
    names = (*source.keys, *(("WINDOWSTART", "WINDOWEND") if source.windowed else ()))
    return {tuple(row[name] for name in names): row for row in rows}


async def _record(target: Target, writer: Writer, group: Sequence[Statement], entries: history.History) -> None:
    """The new half takes the place of the old one in the history, all of it or nothing."""
    now = await history.read(target.cluster, target.topic, target.app_id)
    moved: list[Entry] = []
    gone: list[str] = []
    for statement in group:
        fresh = next(entry for name, entry in now.items() if name.startswith(statement.id + NEW))
        moved.append(msgspec.structs.replace(fresh, id=statement.id, hash=statement.hash))
        gone.append(fresh.id)
        old = entries.get(statement.id)
        if old is not None:
            moved.append(msgspec.structs.replace(old, id=f"{old.id}{OLD}{old.name}", status=Status.replaced))
    await writer.write_all(target.app_id, moved, gone)
