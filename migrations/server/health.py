"""The health of a ksqlDB server: its own status, and the queries that do not run."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from migrations.server.client import KsqlClient
from migrations.server.query_states import PAUSED, RUNNING
from migrations.server.registry import Registry, check_registry


@dataclass(frozen=True)
class Health:
    """The result of `check_health`. `troubled` are the queries that do not run, by id, with their states.

    `put_aside` are those that a swap or its roll-back has paused: they are as they should be.
    """

    version: str
    cluster: str
    status: str
    healthy: bool
    streams: int
    tables: int
    queries: int
    troubled: dict[str, str]
    put_aside: list[str]
    registry: Registry | None

    @property
    def well(self) -> bool:
        """Whether everything runs. A server whose status is DEGRADED answers, but rejects statements."""
        return self.healthy and self.status == RUNNING and not self.troubled


async def check_health(client: KsqlClient, registry_url: str, paused: Collection[str] = ()) -> Health:
    """Request /info, /healthcheck, the catalog and the states of queries; also Schema Registry, if it has an address.

    `paused` are ids of queries that swaps have paused.
    """
    info = await client.info()
    healthy = await client.healthy()
    catalog = await client.catalog()
    states = await client.query_states()
    put_aside = sorted(name for name, state in states.items() if state == PAUSED and name in paused)
    kinds = [source.kind for source in catalog.sources.values()]
    return Health(
        info.version,
        info.cluster,
        info.status,
        healthy,
        kinds.count("STREAM"),
        kinds.count("TABLE"),
        len(states),
        {name: state for name, state in states.items() if state != RUNNING and name not in put_aside},
        put_aside,
        await check_registry(registry_url),
    )
