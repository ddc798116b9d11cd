"""The Faust table of applied migrations: it follows the history, without Faust's recovery."""

from __future__ import annotations

import asyncio
import contextlib
from uuid import uuid4

import faust
import msgspec
import pytest

from app.kafka.cluster import Cluster
from app.ksqldb.history_table import history_table, keep
from migrations.run.history import Writer, ensure_topic
from tests.integration.test_migration_lock import entry
from tests.support.waiting import until


@pytest.fixture
async def app() -> faust.App:
    """A Faust app."""
    return faust.App(f"app-{uuid4().hex[:8]}", broker="kafka://127.0.0.1:1", store="memory://", autodiscover=False)


async def test_the_table_on_every_worker_follows_the_history(app: faust.App, broker: str) -> None:
    topic, cluster = f"{uuid4().hex[:8]}-_meta_migrations", Cluster(broker)
    table = history_table(app, topic)
    assert not app.tables
    assert table.changelog_topic.get_topic_name() == topic
    await ensure_topic(cluster, topic, 1)
    keeping = asyncio.create_task(keep(table, cluster, topic, "app", 1))
    async with Writer(cluster, topic) as writer:
        await writer.write(entry(1))
        await writer.write(entry(2, app_id="other"))
        await until(lambda: len(table) == 1, what="the table has the entry")
        assert dict(table) == {"app|0001_ticks/1": msgspec.to_builtins(entry(1))}
        await writer.write(entry(1, duration_ms=7))
        await writer.write(entry(3))
        await until(lambda: len(table) == 2, what="the table has both")
    assert (table["app|0001_ticks/1"]["duration_ms"], table["app|0001_ticks/3"]["status"]) == (7, "applied")
    keeping.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await keeping
