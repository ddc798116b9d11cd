"""The history of migrations as a Faust table on every worker. It also shows what command lines apply."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import faust
import msgspec
from aiokafka.errors import KafkaError

from app.kafka.cluster import Cluster
from migrations.errors import MigrationError
from migrations.run.history import ensure_topic, follow

RETRY_SECONDS = 5.0
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
        try:
            await ensure_topic(cluster, topic, replication_factor)
            async for entries in follow(cluster, topic, app_id):
                table.data.clear()
                table.data.update({f"{app_id}|{name}": msgspec.to_builtins(entry) for name, entry in entries.items()})
                logged = ""
        except (MigrationError, KafkaError, OSError, TimeoutError) as error:
            if logged != str(error):
                log.warning("history of migrations: %s", error)
            logged = str(error)
        await asyncio.sleep(RETRY_SECONDS)
