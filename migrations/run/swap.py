"""Replaces a windowed aggregation, or anything else that the server cannot alter.

The new half is built beside the old one under `_vN+1` names: what changed, and everything that reads from it. Its queries
start at the plan's `auto.offset.reset`. After the backfill, the new tables are compared with the old ones. Then new INSERT
queries start to write into the tables that readers know, and the old INSERT queries are paused. The old half stays until
`retire` drops it; its topics are never deleted.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import msgspec

from migrations.errors import KsqlDbError, RefusedError
from migrations.ksql.parse.statement import Kind
from migrations.plan.compare import Action, Step, compare
from migrations.plan.entry import NEW, OLD, Entry, History, Status
from migrations.plan.model import Plan, Statement
from migrations.plan.rename import affected, current_names, next_names, put_aside, with_names
from migrations.run import history
from migrations.run.backfill import TableComparison, compare_tables, record_count, wait_for_backfill
from migrations.run.executor import Executor
from migrations.run.history import Writer
from migrations.run.lock import ApplyLock
from migrations.run.runner import check_on_server, observe
from migrations.run.target import LOCK_SECONDS, SERVER_FAULT, ApplyResult, Progress, Target
from migrations.server.catalog import Catalog


@dataclass(frozen=True)
class Renaming:
    """What a swap replaces by what. `asked`: it answers pull queries, so whoever asks `old` must ask `new` instead.

    `readers` are queries outside of the plan that read from it.
    """

    old: str
    new: str
    asked: bool
    readers: tuple[str, ...]


@dataclass(frozen=True)
class SwapResult:
    """The entries of the new half, the comparison of its tables with the old ones, and what replaces what."""

    applied: list[Entry]
    comparisons: list[TableComparison]
    renamings: list[Renaming]


async def preview(target: Target, plan: Plan) -> list[Renaming]:
    """What a swap would replace. Raises `RefusedError` as the swap does."""
    entries, catalog, steps = await observe(target, plan)
    return _renamings(_group(plan, entries, await _to_swap(target, steps)), entries, catalog)


def _group(plan: Plan, entries: History, changed: Sequence[str]) -> list[tuple[Statement, Statement]]:
    """The statements that are built anew: as the plan has them, and under their next names.

    Raises `RefusedError` if one of them is new and replaces what an earlier one has made: that would stay without an end.
    """
    names = current_names(plan, entries)
    group = affected(plan, changed, entries.keys(), names)
    for statement in group:
        if statement.replaces and statement.id not in entries:
            raise RefusedError(
                f"{statement.id} is new, and replaces {statement.name}, which is to be built anew: leave it out until then"
            )
    following = names | next_names(group, names, put_aside(entries))
    return [(statement, with_names(statement, following)) for statement in group]


def _renamings(group: Sequence[tuple[Statement, Statement]], entries: History, catalog: Catalog) -> list[Renaming]:
    ours = {name for entry in entries.values() for name in (entry.query_id, entry.name)}
    found = []
    for statement, renamed in group:
        old = entries[statement.id].name if statement.id in entries else ""
        source = catalog.sources.get(old)
        readers = tuple(sorted(set(source.readers) - ours)) if source is not None else ()
        found.append(Renaming(old, renamed.name, source is not None and source.queryable, readers))
    return found


async def force_new_name(target: Target, plan: Plan, on_progress: Progress | None = None) -> SwapResult:
    """Swap what `apply` refuses because it cannot be altered. The same call finishes a swap that was interrupted.

    Raises `RefusedError` if nothing needs a swap or something else is refused, and `MigrationError` if the backfill does not
    end.
    """
    await history.ensure_topic(target.cluster, target.topic, target.replication_factor)
    async with (
        ApplyLock(target.cluster, target.topic, wait_seconds=LOCK_SECONDS, session_ms=target.session_ms) as lock,
        Writer(target.cluster, target.topic) as writer,
    ):
        entries, catalog, steps = await observe(target, plan)
        pairs_of_statements = _group(plan, entries, await _to_swap(target, steps))
        group = [statement for statement, _ in pairs_of_statements]
        renamed = [statement for _, statement in pairs_of_statements]
        # under its new name, none of them replaces anything
        new_half = [replace(one, id=f"{one.id}{NEW}{one.name}", replaces="") for one in renamed]
        result = ApplyResult(steps)
        executor = Executor(target, plan, lock.check, writer, on_progress=on_progress)

        async def execute(statements: Sequence[Statement]) -> None:
            remaining = _remaining_steps(plan, statements, entries, await target.client.catalog())
            result.applied += await executor.execute(remaining)

        sources = [statement for statement in new_half if statement.info.kind is not Kind.insert_select]
        inserts = [statement for statement in new_half if statement.info.kind is Kind.insert_select]
        await _check_topics_empty(target, new_half, catalog)
        await check_on_server(target, _remaining_steps(plan, new_half, entries, await target.client.catalog()))
        await execute(sources)
        await wait_for_backfill(target, sources)
        pairs = [(entries[old.id].name, new.name) for old, new in zip(group, renamed, strict=True) if old.id in entries]
        after = await target.client.catalog()
        comparisons = [
            await compare_tables(target, after, *pair)
            for pair in pairs
            if pair[0] in catalog.sources and catalog.sources[pair[0]].queryable
        ]
        await execute(inserts)
        for statement in group:
            entry = entries.get(statement.id)
            if entry is not None and statement.info.kind is Kind.insert_select and entry.name in catalog.queries:
                await lock.check()
                await target.client.execute(f"PAUSE {entry.name};", {})
        await lock.check()
        await _record_swap(target, writer, group, entries)
        return SwapResult(result.applied, comparisons, _renamings(pairs_of_statements, entries, catalog))


async def _to_swap(target: Target, steps: Sequence[Step]) -> list[str]:
    """Ids of changed windowed aggregations, and of other changes that the server rejects.

    Raises `RefusedError` if another step is refused or drifted, or nothing needs a swap.
    """
    ids = []
    for step in steps:
        info = step.statement.info if step.statement is not None else None
        windowed = info is not None and info.kind is Kind.create_table_as and info.windowed
        if step.action is Action.refused and windowed and step.entry is not None and not step.replaced:
            ids.append(step.id)
        elif step.action is Action.refused or step.action.drift:
            raise RefusedError(f"{step.id} ({step.name}): {step.why}")
        elif step.action is Action.alter and not await _alterable(target, step):
            if step.entry is None and step.statement is not None:
                raise RefusedError(
                    f"{step.id}: the server cannot replace {step.name} by it: change {step.statement.replaces} itself, leave "
                    "this one out, then `apply --force-new-name`"
                )
            ids.append(step.id)
    if not ids:
        raise RefusedError("nothing needs a new name: nothing of the plan has changed that cannot be altered")
    return ids


async def _alterable(target: Target, step: Step) -> bool:
    try:
        await target.client.validate([step.text], step.statement.properties if step.statement is not None else {})
    except KsqlDbError as error:
        if error.code >= SERVER_FAULT:
            raise
        return False
    return True


def _remaining_steps(plan: Plan, statements: Sequence[Statement], entries: History, catalog: Catalog) -> list[Step]:
    """The steps of the new half that an interrupted swap has not done.

    Raises `RefusedError` if the interrupted swap had other statements than the plan has now.
    """
    remaining = []
    for step in compare(Plan(plan.name, tuple(statements)), entries, catalog):
        if step.statement is None or step.action is Action.done:
            continue
        if step.action is Action.refused or step.action is Action.differs:
            raise RefusedError(
                f"{step.id}: {step.name} is left of an interrupted swap and differs from the plan ({step.why}); "
                f"set the plan's text back and finish that swap, or drop {step.name} "
                "(`app migrate retire`, if it was rolled back)"
            )
        remaining.append(step)
    return remaining


async def _check_topics_empty(target: Target, statements: Sequence[Statement], catalog: Catalog) -> None:
    """Raises `RefusedError` if a topic to be created holds records of an earlier swap: migrations never delete topics."""
    for statement in statements:
        info = statement.info
        topic = info.topic or info.name
        creates = info.kind.source and info.kind.query and catalog.text_of(info.kind, statement.name) is None
        if creates and (records := await record_count(target.cluster, topic)):
            raise RefusedError(
                f"topic {topic} holds {records} records of an earlier {statement.name}; delete it, then swap again"
            )


async def _record_swap(target: Target, writer: Writer, group: Sequence[Statement], entries: History) -> None:
    """Exchange the entries of the new half and the old half, in one transaction."""
    current = await history.read(target.cluster, target.topic, target.app_id)
    now = int(time.time() * 1_000)
    moved: list[Entry] = []
    removed: list[str] = []
    for statement in group:
        new = next(entry for entry_id, entry in current.items() if entry_id.startswith(statement.id + NEW))
        moved.append(msgspec.structs.replace(new, id=statement.id, hash=statement.hash))
        removed.append(new.id)
        old = entries.get(statement.id)
        if old is not None:
            aside = msgspec.structs.replace(old, id=f"{old.id}{OLD}{old.name}", status=Status.replaced, replaced_at=now)
            moved.append(aside)
    await writer.write_all(target.app_id, moved, removed)
