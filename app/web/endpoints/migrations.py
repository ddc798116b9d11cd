"""`/api/v1/migrations`: the shipped plan compared with the history of applied migrations."""

from __future__ import annotations

from app.web.context import WebContext
from app.web.models.workers import Migrations, WatchedKsqldb
from app.web.params import Params


async def migrations(web: WebContext, _: Params) -> Migrations:
    """KSQL migrations of this app: the shipped plan, and what was applied."""
    if not web.settings.ksqldb_url:
        reason = "ksqldb_url is empty: nothing is migrated"
        return Migrations(state="off", reason=reason, summary=None, steps=[], history=[], ksqldb=WatchedKsqldb())
    from app.web.migration_state import migration_state  # noqa: PLC0415  # a worker without a ksqlDB imports nothing of it

    return await migration_state(web)
