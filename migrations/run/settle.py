"""A server that shuts down: for up to twenty seconds it answers, while its queries disappear one by one.

That must not pass for drift, which asks for a drop or a repair. So where queries are missing, the server is asked again until
its queries stay the same for a while, all are there, or it is gone.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterable, Sequence

from migrations.ksql.parse.statement import Kind
from migrations.plan.compare import Step
from migrations.server.catalog import Catalog
from migrations.server.client import KsqlClient

POLL_SECONDS = 1.0
STABLE_SECONDS = 5.0  # without a change, while some of the queries are there
EMPTY_SECONDS = 25.0  # without a change, while none is there: a server that shuts down has ended by then
log = logging.getLogger(__name__)


def _expected(steps: Iterable[Step]) -> set[str]:
    """Ids of the queries that must run, as far as their sources are there. A source that was dropped has none."""
    known = [
        step
        for step in steps
        if step.entry is not None and step.entry.query_id and step.statement is not None and not step.replaced
    ]
    if not any(step.server_text is not None for step in known):
        return set()  # nothing of the plan is on this server
    return {
        step.entry.query_id
        for step in known
        if step.entry is not None
        and step.statement is not None
        and (step.server_text is not None or step.statement.info.kind is Kind.insert_select)
    }


async def settled(client: KsqlClient, catalog: Catalog, steps: Sequence[Step], *, connectors: bool = False) -> Catalog:
    """The catalog, once its queries do not change any more. Raises `UnreachableError` if the server ends meanwhile."""
    expected = _expected(steps)
    if expected <= catalog.queries.keys():
        return catalog
    log.warning("%s: queries are missing; asking again, in case the server is shutting down", client.url)
    changed = time.monotonic()
    while True:
        await asyncio.sleep(POLL_SECONDS)
        fresh = await client.catalog(connectors=connectors)
        if fresh.queries.keys() != catalog.queries.keys():
            changed = time.monotonic()
        catalog = fresh
        waited = time.monotonic() - changed
        left = expected & catalog.queries.keys()
        if left == expected or waited >= (STABLE_SECONDS if left else EMPTY_SECONDS):
            return catalog
