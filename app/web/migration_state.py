"""The shipped plan compared with the history of applied migrations, for `/api/v1/migrations`.

Every worker follows the history topic, so the ksqlDB server is not asked. Its queries are those of the last look at it.
"""

from __future__ import annotations

import asyncio
from dataclasses import asdict

import msgspec

from app.ksqldb.boot import load_plan
from app.ksqldb.watched import Watched
from app.web.context import WebContext
from app.web.models.workers import Migrations, WatchedKsqldb
from migrations.errors import PlanError
from migrations.plan.compare import compare
from migrations.plan.entry import Entry
from migrations.run.report import entry_data, step_data, summary


async def migration_state(web: WebContext) -> Migrations:
    """The plan's statements, what was applied, and what the last look at ksqlDB has found."""
    watched = _watched(web.migrating.watched)
    entries = [msgspec.convert(entry, Entry) for entry in list(web.history.data.values())]
    try:
        plan = await asyncio.to_thread(load_plan, web.settings, None)
    except PlanError as error:
        history = [entry_data(entry) for entry in entries]
        return Migrations(state=web.migrating.state, reason=str(error), summary=None, steps=[], history=history, ksqldb=watched)
    steps = compare(plan, {entry.id: entry for entry in entries}, None)
    newest_first = sorted(entries, key=lambda entry: entry.applied_at)[::-1]
    return Migrations(
        state=web.migrating.state,
        reason=web.migrating.error or None,
        summary=summary(steps),
        steps=[step_data(step) for step in steps],
        history=[{**entry_data(entry), "text": entry.text} for entry in newest_first],
        ksqldb=watched,
    )


def _watched(watched: Watched) -> WatchedKsqldb:
    queries = [{**asdict(query), "stopped": query.stopped} for query in watched.queries]
    return WatchedKsqldb(
        up=watched.up,
        error=watched.error or None,
        queries=queries,
        sources=[asdict(source) for source in watched.sources],
        processing_log_records=watched.log_records,
        processing_log=watched.log_newest,
    )
