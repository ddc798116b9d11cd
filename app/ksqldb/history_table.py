"""The history of migrations as a Faust table on every worker. It also shows what command lines apply."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import faust
import msgspec
from aiokafka.errors import KafkaError

from app.errors import BarwheelError
from app.kafka.cluster import Cluster
from app.kafka.failures import refused
from migrations.errors import MigrationError
from migrations.run.history import ensure_topic, follow

RETRY_SECONDS = 5.0
REFUSED_SECONDS = 60.0  # after a refusal that lasts until somebody changes a permission
log = logging.getLogger(__name__)


def history_table(app: faust.App, topic: str) -> Any:
    """A table of entries by `<app_id>|<id>`, as in its changelog topic. `keep` fills it, not Faust's recovery.

    It is not registered in `app.tables`. Faust would assign the one partition to the leader only, and hold back ticks during
    recovery. It would also wait forever for the last offset, which is a transaction marker and not a record.
    """
    changelog = app.topic(
        topic,
        key_type=str,
        key_serializer="raw",
        value_serializer="json",
        partitions=1,
        compacting=True,
        acks=False,
        internal=True,
        allow_empty=True,
    )
    table_class: Any = app.conf.Table  # the class behind `app.Table`
    return table_class(
        app, name="migrations", partitions=1, key_type=str, changelog_topic=changelog, help="Migrations that were applied."
    )


async def keep(table: Any, cluster: Cluster, topic: str, app_id: str, replication_factor: int) -> None:
    """Let the table follow one app's history until cancelled. While the broker is away, the table keeps its content."""
    logged = ""
    while True:
        rest = RETRY_SECONDS
        try:
            await ensure_topic(cluster, topic, replication_factor)
            async for entries in follow(cluster, topic, app_id):
                table.data.clear()
                table.data.update({f"{app_id}|{name}": msgspec.to_builtins(entry) for name, entry in entries.items()})
                logged = ""
        except (MigrationError, BarwheelError, KafkaError, OSError) as error:
            refusal = refused(error)
            rest = RETRY_SECONDS if refusal is None else REFUSED_SECONDS
            if logged != str(refusal or error):
                log.warning("history of migrations: %s", refusal or error)
            logged = str(refusal or error)
        await asyncio.sleep(rest)
