"""Imports the state of ksql-migrations, ksqlDB's own tool: what it applied goes into the history. Nothing is sent.

That tool has a row for each file, with the checksum of its bytes. So of an applied file, every statement was executed. What it
created is still compared with the server: values of variables are no part of the file, and somebody may have changed it since.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from migrations.errors import KsqlDbError, MigrationError, PlanError
from migrations.ksql.parse.statement import Kind
from migrations.plan.compare import Step, compare
from migrations.plan.drops import dropped_later
from migrations.plan.entry import Entry
from migrations.plan.ksql_migrations import MIGRATED, Version, versions
from migrations.plan.model import Plan, Statement, made_query_id
from migrations.plan.replaced import replaced_later, without_queries
from migrations.run import history
from migrations.run.adopt import check_same, entry_of
from migrations.run.history import Writer
from migrations.run.lock import ApplyLock
from migrations.run.runner import observe
from migrations.run.target import LOCK_SECONDS, Target
from migrations.server.catalog import Catalog

_MADE_BY_SERVER = re.compile(r"INSERTQUERY_[0-9]+")  # the id of an INSERT's query that has no QUERY_ID


@dataclass(frozen=True)
class Imported:
    """The entries that were written, and the files that were not applied, or not to their end."""

    entries: list[Entry]
    left: list[Version]


async def import_state(target: Target, plan: Plan, directory: Path, table: str) -> Imported:
    """Record what that tool applied of the plan's files, by its table of that name; what the history knows stays as it is.

    Raises `RefusedError`, before anything is recorded, if a file was changed after it was applied, or the server has something
    else than it creates.
    """
    found = versions(directory, await _rows(target, table))
    applied = {version.group: version for version in found if version.state == MIGRATED}
    await history.ensure_topic(target.cluster, target.topic, target.replication_factor)
    async with (
        ApplyLock(target.cluster, target.topic, wait_seconds=LOCK_SECONDS, session_ms=target.session_ms) as lock,
        Writer(target.cluster, target.topic) as writer,
    ):
        before, catalog, steps = await observe(target, plan)
        cluster_id = (await target.client.info()).cluster
        drops = {
            step.id: entry_of(target, plan, step, step.statement, catalog, cluster_id)
            for step in steps
            if step.statement is not None and step.statement.info.kind.destructive and _group(step.id) in applied
        }
        steps = compare(plan, {**drops, **before}, catalog)  # what was made again after a DROP is what the server has
        gone = {creator for creator, drop in dropped_later(plan).items() if _group(drop.id) in applied}
        gone |= replaced_later(plan, {one.id for one in plan.statements if _group(one.id) in applied}).keys()
        ended = _ended(steps, applied)
        entries = []
        for step in steps:
            version = applied.get(_group(step.id))
            if step.statement is None or step.id in before or version is None:
                continue
            entry = await _entry(target, plan, step, step.statement, catalog, cluster_id, gone=step.id in gone)
            entry = msgspec.structs.replace(entry, name=ended.get(step.id, entry.name))
            entries.append(msgspec.structs.replace(entry, applied_at=version.completed or entry.applied_at))
        await lock.check()
        replaced = without_queries(plan, before, [entry.id for entry in entries])
        await writer.write_all(target.app_id, [*replaced, *entries])
    return Imported(entries, [version for version in found if version.state != MIGRATED])


def _ended(steps: Sequence[Step], applied: Collection[str]) -> dict[str, str]:
    """Ids of queries, by those of the INSERTs that started them: a later file has ended them, by an id that the server made.

    Nothing tells which of several INSERTs had which id. Each one that the server lacks gets one of a TERMINATE after it.
    """
    found: dict[str, str] = {}
    lacking: list[str] = []
    for step in steps:
        info = step.statement.info if step.statement is not None and _group(step.id) in applied else None
        if info is None:
            continue
        if info.kind is Kind.insert_select and info.query_id.startswith(made_query_id(_group(step.id), info.name)):
            lacking += [step.id] if step.server_text is None else []
        elif info.kind is Kind.terminate and lacking and _MADE_BY_SERVER.fullmatch(info.name):
            found[lacking.pop(0)] = info.name
    return found


async def _entry(
    target: Target, plan: Plan, step: Step, statement: Statement, catalog: Catalog, cluster_id: str, *, gone: bool
) -> Entry:
    """The entry of a statement that was executed. Of one that is gone from the server, it has no text of the server."""
    there = not gone and step.server_text is not None
    if there:
        await check_same(target, step, statement)
    entry = entry_of(target, plan, step, statement, catalog, cluster_id)
    return entry if there else msgspec.structs.replace(entry, name=statement.name, server_text="", query_id="")


def _group(statement_id: str) -> str:
    return statement_id.rpartition("/")[0]


async def _rows(target: Target, table: str) -> list[dict[str, Any]]:
    if not re.fullmatch(r"[A-Za-z0-9_]+", table):
        raise PlanError(f"import-ksql-migrations {table}: no name of a table")
    try:
        return await target.client.query(f"SELECT * FROM {table};")  # noqa: S608  # a name
    except KsqlDbError as error:
        if "does not exist" not in error.text:
            raise
        raise MigrationError(
            f"{target.client.url} has no table {table}: if that tool's table has another name (ksql.migrations.table.name), "
            "`import-ksql-migrations NAME` takes it"
        ) from error
