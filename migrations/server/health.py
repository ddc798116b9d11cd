"""Whether the server can be worked with: what it says of itself, and which of its queries do not run."""

from __future__ import annotations

from dataclasses import dataclass

from migrations.server.client import KsqlClient
from migrations.server.registry import Registry
from migrations.server.registry import check as check_registry

RUNNING = "RUNNING"


@dataclass(frozen=True)
class Health:
    """What was found; `troubled` has queries by id with the state they are in instead of running."""

    version: str
    cluster: str
    status: str
    healthy: bool
    streams: int
    tables: int
    queries: int
    troubled: dict[str, str]
    registry: Registry | None

    @property
    def well(self) -> bool:
        """Whether nothing is wrong; a server that is DEGRADED answers and refuses statements."""
        return self.healthy and self.status == RUNNING and not self.troubled


async def examine(client: KsqlClient, registry_url: str) -> Health:
    """Ask /info, /healthcheck, the catalogue, the queries' states, and Schema Registry where there is one."""
    info = await client.info()
    healthy = await client.healthy()
    catalogue = await client.catalogue()
    states = await client.query_states()
    kinds = [source.kind for source in catalogue.sources.values()]
    return Health(
        info.version,
        info.cluster,
        info.status,
        healthy,
        kinds.count("STREAM"),
        kinds.count("TABLE"),
        len(states),
        {name: state for name, state in states.items() if state != RUNNING},
        await check_registry(registry_url),
    )
