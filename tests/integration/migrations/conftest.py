"""Fixtures: a stand-in ksqlDB, a worker that uses it, and targets."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

import pytest

from app.kafka.cluster import Cluster
from migrations.run import backfill
from migrations.run.target import Target
from migrations.server.client import KsqlClient
from tests.integration.migrations.plans import (
    FIVE,
    Where,
)
from tests.support.ksqldb import KsqlServer, running_server
from tests.support.worker import Worker


@pytest.fixture
def server(tmp_path: Path) -> Iterator[KsqlServer]:
    """A stand-in ksqlDB."""
    with running_server(tmp_path) as made:
        yield made


@pytest.fixture
def worker(pocket: str, server: KsqlServer, tmp_path: Path) -> Iterator[Worker]:
    """A worker, not started, whose settings name that server; also for commands."""
    made = Worker(pocket, tmp_path / "worker", topic_partitions="1", ksqldb_url=server.url)
    (made.directory / "five.ksql").write_text(FIVE)
    for topic in (made.ticks_topic, made.finals_topic):
        server.topic(topic)
    yield made
    made.end()


@pytest.fixture
def where(pocket: str, server: KsqlServer) -> Where:
    """A factory of targets with the same history."""
    topic = f"{uuid4().hex[:8]}-history"

    @asynccontextmanager
    async def make() -> AsyncIterator[Target]:
        async with KsqlClient(server.url, read_seconds=5.0, try_seconds=20.0) as client:
            yield Target(client, Cluster(pocket), topic, "an-app", "me", session_ms=3_000)

    return make


@pytest.fixture
def fast_polling(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let swaps poll the backfill often."""
    monkeypatch.setattr(backfill, "POLL_SECONDS", 0.05)
