"""Takes away what a test left on the server: its queries would burden the next test, and another run."""

from __future__ import annotations

import re

from migrations.plan.order import ordered
from migrations.server.client import KsqlClient
from tests.support.worker import Worker


async def drop_all(worker: Worker) -> None:
    """Drop all streams and tables with the worker's prefix or with the name of its app. Their topics stay."""
    names = tuple(re.sub(r"[^A-Z0-9_]", "_", worker.settings[one].upper()) for one in ("topics_prefix", "app_id"))
    async with KsqlClient(worker.settings["ksqldb_url"]) as client:
        catalog = await client.catalog()
        sources = [source for source in catalog.sources.values() if source.name.startswith(names)]
        queries = {query for source in sources for query in (*source.queries, *source.readers)}
        for query in queries:
            if catalog.queries[query].upper().startswith("INSERT"):  # the others end with their streams and tables
                await client.execute(f"TERMINATE {query};", {})
        for source in ordered(sources, lambda one, other: not set(one.readers).isdisjoint(other.queries)):
            await client.execute(f"DROP {source.kind} `{source.name}`;", {})
