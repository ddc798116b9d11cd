"""What `app migrate` says about the server, the history and the lock; and new files of a plan."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from rich.table import Table

from app.commands import base
from app.errors import InputError
from app.kafka.cluster import Cluster
from app.settings import Settings
from migrations.plan.entry import Status
from migrations.plan.files import next_file
from migrations.run.history import Writer, ensure_topic
from migrations.run.history import read as read_history
from migrations.run.report import entry_data, short_hash
from migrations.run.target import Target
from migrations.server.health import check_health

TEMPLATE = """\
-- CREATE STREAM, TABLE, TYPE and CONNECTOR, INSERT INTO .. SELECT or VALUES, ASSERT, each with its semicolon.
-- DROP and TERMINATE only in a file that has a line of its own: -- destructive: yes
-- Before what they are for: SET 'auto.offset.reset'='earliest'; and DEFINE name='value'; where they are needed.
"""


async def run_health(where: Target, registry: str, *, as_json: bool) -> int:
    """Show the state of the server and of its queries. Exit code 1 unless all is well."""
    await ensure_topic(where.cluster, where.topic, where.replication_factor)
    entries = (await read_history(where.cluster, where.topic, where.app_id)).values()
    paused = {entry.name for entry in entries if entry.status is Status.replaced}
    health = await check_health(where.client, registry, paused)
    if as_json:
        base.out_json({**asdict(health), "well": health.well})
        return 0 if health.well else 1
    state = "healthy" if health.healthy else "NOT healthy"
    base.out(f"ksqlDB {health.version} at {where.client.url}: {health.status}, {state}")
    base.out(f"{health.streams} streams, {health.tables} tables, {health.queries} queries")
    for name, query_state in health.troubled.items():
        base.out(f"query {name} is {query_state}: `EXPLAIN {name};` says more, `RESUME {name};` resumes a paused one")
    if health.put_aside:
        base.out(f"paused by a swap: {', '.join(health.put_aside)}; `app migrate retire` drops them, `rollback` resumes them")
    if health.registry is not None:
        by_id = "can" if health.registry.by_id else "can NOT"
        base.out(f"Schema Registry: {health.registry.subjects} subjects; schemas {by_id} be asked for by id")
    return 0 if health.well else 1


async def run_unlock(cluster: Cluster, settings: Settings, *, as_json: bool) -> int:
    """Fence the current runner: its next record is refused, and it ends."""
    await ensure_topic(cluster, settings.history_topic, settings.replication_factor)
    async with Writer(cluster, settings.history_topic):
        pass
    if as_json:
        base.out_json({"unlocked": settings.history_topic})
    else:
        base.out("a runner at work is stopped before its next statement; a dead one loses the lock by session_timeout")
    return 0


async def run_history(cluster: Cluster, settings: Settings, *, as_json: bool) -> int:
    """Show what was applied, the oldest first: by whom, when, and in which version."""
    await ensure_topic(cluster, settings.history_topic, settings.replication_factor)
    entries = await read_history(cluster, settings.history_topic, settings.app_id)
    ordered = sorted(entries.values(), key=lambda entry: entry.applied_at)
    if as_json:
        more = [
            {"plan": one.plan, "app_version": one.app_version, "cluster": one.cluster_id, "text": one.text} for one in ordered
        ]
        base.out_json({"history": [entry_data(entry) | rest for entry, rest in zip(ordered, more, strict=True)]})
        return 0
    table = Table(box=None, pad_edge=False)
    for name in ("applied (UTC)", "id", "name", "status", "ms", "user", "version", "hash"):
        table.add_column(name, overflow="fold")
    for one in ordered:
        cells = (one.id, one.name, str(one.status), str(one.duration_ms), one.user, one.app_version, short_hash(one.hash))
        table.add_row(base.utc(one.applied_at), *cells)
    base.console().print(table)
    base.say(f"{len(ordered)} statements in {settings.history_topic}")
    return 0


def run_create(path: str, name: str, *, as_json: bool) -> int:
    """Create the next file of a plan's directory. Raises `InputError` or `PlanError` for a missing or wrong argument."""
    if not path or not name:
        raise InputError("migrate create NAME --plan DIRECTORY: both are needed")
    created = next_file(Path(path), name)
    created.write_text(TEMPLATE, encoding="utf-8")
    if as_json:
        base.out_json({"created": str(created)})
    else:
        base.out(str(created))
    return 0
