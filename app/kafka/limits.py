"""The brokers' own limits, which a setting of ours may not pass. They are asked before a worker starts.

A broker says nothing about a wrong session timeout before the worker joins its group, and nothing about a transaction's before
the first checkpoint.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping

from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError

from app.errors import BrokerError, SettingsError
from app.kafka.bootstrap import admin
from app.kafka.cluster import Cluster
from app.kafka.producers import TRANSACTION_SECONDS
from app.settings import Settings
from app.settings.durations import duration_text

SHORTEST_SESSION, LONGEST_SESSION = "group.min.session.timeout.ms", "group.max.session.timeout.ms"
LONGEST_TRANSACTION = "transaction.max.timeout.ms"
REPLICA_LAG = "replica.lag.time.max.ms"
log = logging.getLogger(__name__)


async def check_limits(settings: Settings, cluster: Cluster) -> None:
    """Compare with the limits of every broker; raises `SettingsError`, or `BrokerError` where a limit of theirs is too low.

    A cluster that does not let us read them is passed over: a worker then ends when the broker refuses.
    """
    for broker, configs in (await _broker_configs(cluster, (SHORTEST_SESSION, LONGEST_SESSION, LONGEST_TRANSACTION))).items():
        check(settings, broker, configs)


async def replica_lag(cluster: Cluster) -> int | None:
    """How long a replica may lag before it leaves the in-sync set (ms), the most of all brokers; None where it is not known."""
    known = [int(configs[REPLICA_LAG]) for configs in (await _broker_configs(cluster, (REPLICA_LAG,))).values() if configs]
    return max(known, default=None)


def check(settings: Settings, broker: str, configs: Mapping[str, str]) -> None:
    """Compare with the limits of one broker, by Kafka's names for them."""
    session = settings.session_timeout
    shortest, longest = int(configs.get(SHORTEST_SESSION, session)), int(configs.get(LONGEST_SESSION, session))
    if not shortest <= session <= longest:
        bounds = f"{duration_text(shortest)} to {duration_text(longest)}"
        raise SettingsError(
            f"session_timeout={duration_text(session)}: broker {broker} takes {bounds} "
            f"({SHORTEST_SESSION}={shortest}, {LONGEST_SESSION}={longest})"
        )
    needed = int(TRANSACTION_SECONDS * 1_000)
    transaction = int(configs.get(LONGEST_TRANSACTION, needed))
    if transaction < needed:
        raise BrokerError(
            f"broker {broker}: {LONGEST_TRANSACTION}={transaction}, and a checkpoint's transaction may take {needed}: raise it"
        )


async def shortest_session(cluster: Cluster) -> int | None:
    """The shortest session timeout (ms) that all brokers take; None where it is not known."""
    known = [
        int(configs[SHORTEST_SESSION]) for configs in (await _broker_configs(cluster, (SHORTEST_SESSION,))).values() if configs
    ]
    return max(known, default=None)


async def _broker_configs(cluster: Cluster, names: Iterable[str]) -> dict[str, dict[str, str]]:
    wanted = dict.fromkeys(names, "")
    found: dict[str, dict[str, str]] = {}
    try:
        async with admin(cluster) as client:
            brokers = [str(node["node_id"]) for node in (await client.describe_cluster())["brokers"]]
            resources = [ConfigResource(ConfigResourceType.BROKER, name, wanted) for name in brokers]
            for answer in await client.describe_configs(resources):
                for code, _message, _kind, name, entries in answer.resources:
                    if code == 0:
                        found[name] = {entry[0]: entry[1] for entry in entries if entry[1] is not None}
    except (KafkaError, BrokerError, OSError) as error:
        log.info("the limits of %s are not known: %s", cluster, error)
    return found
