"""Takes away what a test left on the server: its queries would burden the next test, and another run."""

from __future__ import annotations

import asyncio
import re

from migrations.errors import KsqlDbError
from migrations.plan.order import ordered
from migrations.run.target import SERVER_FAULT
from migrations.server.client import KsqlClient
from tests.support.worker import Worker

TRIES = 6
PAUSE_SECONDS = 0.5


async def drop_all(worker: Worker) -> None:
    """Drop all streams and tables with the worker's prefix or with the name of its app. Their topics stay."""
    names = tuple(re.sub(r"[^A-Z0-9_]", "_", worker.settings[one].upper()) for one in ("topics_prefix", "app_id"))
    async with KsqlClient(worker.settings["ksqldb_url"]) as client:
        catalog = await client.catalog()
        sources = [source for source in catalog.sources.values() if source.name.startswith(names)]
        queries = {query for source in sources for query in (*source.queries, *source.readers)}
        for query in queries:
            if catalog.queries[query].upper().startswith("INSERT"):  # the others end with their streams and tables
                await _execute(client, f"TERMINATE {query};")
        for source in ordered(sources, lambda one, other: not set(one.readers).isdisjoint(other.queries)):
            await _execute(client, f"DROP {source.kind} `{source.name}`;")


async def _execute(client: KsqlClient, text: str) -> None:
    """Execute a statement; again, if the server failed to write it, as it may after a PAUSE or a restart: it did not run."""
    for left in range(TRIES - 1, -1, -1):
        try:
            await client.execute(text, {})
        except KsqlDbError as error:
            if not left or error.code < SERVER_FAULT:
                raise
            await asyncio.sleep(PAUSE_SECONDS)
        else:
            return
