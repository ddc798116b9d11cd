"""What the web port shows of the migrations: the shipped plan beside the history, which every worker follows."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Protocol

import msgspec

from app.ksqldb.boot import Migrating, load_plan
from app.settings import Settings
from app.web.models.workers import Migrations
from migrations.compare import compare
from migrations.errors import PlanError
from migrations.history import Entry
from migrations.report import entry_data, step_data, summary


class Table(Protocol):
    """A Faust table, as far as it is read here."""

    data: Mapping[str, object]


class Migrated:
    """Answers from what this worker knows; the server itself is not asked."""

    def __init__(self, settings: Settings, found: Migrating, applied: Table) -> None:
        """`applied`: entries by `<app_id>|<id>`."""
        self._settings = settings
        self._found = found
        self._applied = applied

    async def __call__(self) -> Migrations:
        """As it is now."""
        if not self._settings.ksqldb_url:
            reason = "ksqldb_url is empty: nothing is migrated"
            return Migrations(state="off", reason=reason, summary=None, steps=[], history=[])
        entries = [msgspec.convert(entry, Entry) for entry in list(self._applied.data.values())]
        history = {entry.id: entry for entry in entries}
        try:
            plan = await asyncio.to_thread(load_plan, self._settings, None)
        except PlanError as error:
            return Migrations(
                state=self._found.state, reason=str(error), summary=None, steps=[], history=[entry_data(e) for e in entries]
            )
        steps = compare(plan, history, None)
        ordered = sorted(entries, key=lambda entry: entry.applied_at, reverse=True)
        return Migrations(
            state=self._found.state,
            reason=self._found.error or None,
            summary=summary(steps),
            steps=[step_data(step) for step in steps],
            history=[{**entry_data(entry), "text": entry.text} for entry in ordered],
        )
