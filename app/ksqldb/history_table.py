"""The history of migrations as a Faust table, on every worker: what a command line applied meanwhile shows there too."""

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

AGAIN_SECONDS = 5.0
log = logging.getLogger(__name__)


def history_table(app: faust.App, topic: str) -> Any:
    """A table of entries by `<app_id>|<id>`, as in its changelog topic; it is filled by `keep`, not by Faust's recovery.

    So it is not among `app.tables`: Faust would give the one partition to the leader alone, hold the ticks back while it
    recovers, and wait for ever for the last offset, which is a transaction's marker and no record.
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
    made: Any = app.conf.Table  # the class that `app.Table` makes one of
    return made(
        app, name="migrations", partitions=1, key_type=str, changelog_topic=changelog, help="Migrations that were applied."
    )


async def keep(table: Any, cluster: Cluster, topic: str, app_id: str, replication_factor: int) -> None:
    """Let the table follow one app's history until it is cancelled; while the broker is away it stays as it was."""
    said = ""
    while True:
        try:
            await ensure_topic(cluster, topic, replication_factor)
            async for entries in follow(cluster, topic, app_id):
                table.data.clear()
                table.data.update({f"{app_id}|{name}": msgspec.to_builtins(entry) for name, entry in entries.items()})
                said = ""
        except (MigrationError, KafkaError, OSError, TimeoutError) as error:
            if said != str(error):
                log.warning("history of migrations: %s", error)
            said = str(error)
        await asyncio.sleep(AGAIN_SECONDS)
