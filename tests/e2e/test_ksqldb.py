"""Migrations on a real ksqlDB: at KSQLDB_URL with the Kafka at KAFKA_URL, else that of docker-compose.yml.

KSQLDB_RESTART is a command that ends the server at KSQLDB_URL and starts it again.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from app.kafka.cluster import Cluster
from migrations.plan.model import KsqlText, build_plan
from migrations.run import runner
from migrations.run.target import Target
from migrations.server.client import KsqlClient
from tests.e2e.leftovers import drop_all
from tests.e2e.shipped import apply_through_a_restart, apply_with_revisions, run_through
from tests.support.cutting import cutting
from tests.support.ticks import Tick, heartbeat, produce
from tests.support.waiting import until_sync
from tests.support.worker import ROOT, Worker

T0 = 1_399_248_000_000


@dataclass(frozen=True)
class Servers:
    """The addresses of Kafka and ksqlDB."""

    kafka: str
    ksqldb: str


def _docker() -> bool:
    docker = shutil.which("docker")
    return docker is not None and subprocess.run([docker, "info"], capture_output=True, check=False).returncode == 0


@pytest.fixture(scope="module")
def servers() -> Iterator[Servers]:
    """A ksqlDB and its Kafka."""
    url, kafka = os.environ.get("KSQLDB_URL"), os.environ.get("KAFKA_URL")
    if url and kafka:
        yield Servers(kafka.rpartition("//")[2], url)
        return
    if not _docker():
        pytest.skip("no ksqlDB: neither KSQLDB_URL and KAFKA_URL nor a Docker engine")
    from testcontainers.compose import DockerCompose  # noqa: PLC0415  # only with an engine

    with DockerCompose(
        str(ROOT), compose_file_name="docker-compose.yml", services=["kafka", "ksqldb", "schema-registry"]
    ) as compose:
        compose.wait_for("http://127.0.0.1:8088/info")
        yield Servers("localhost:29092", "http://127.0.0.1:8088")


@pytest.fixture
def worker(servers: Servers, tmp_path: Path) -> Iterator[Worker]:
    """A worker with unique names on the server. Its session is one that every broker allows, and outlives a restart."""
    made = Worker(
        servers.kafka,
        tmp_path,
        topic_partitions="1",
        ksqldb_url=servers.ksqldb,
        migrate_on_boot="off",
        session_timeout="60s",
    )
    yield made
    made.end()
    asyncio.run(drop_all(made))


def plan_of(worker: Worker, condition: str = "") -> str:
    """A plan with a stream over the finals topic and a table that answers pull queries."""
    name = worker.settings["app_id"].replace("-", "_")
    return f"""
    CREATE STREAM {name}_s (broker STRING KEY, symbol STRING KEY, bucket_start BIGINT KEY, close DECIMAL(18,8))
      WITH (KAFKA_TOPIC='{worker.finals_topic}', KEY_FORMAT='DELIMITED', KEY_DELIMITER='|', VALUE_FORMAT='JSON');
    CREATE TABLE {name}_t WITH (KAFKA_TOPIC='{name}_t', PARTITIONS=1, KEY_FORMAT='DELIMITED', KEY_DELIMITER='|') AS
      SELECT broker, symbol, bucket_start, LATEST_BY_OFFSET(close) AS close FROM {name}_s {condition}
      GROUP BY broker, symbol, bucket_start EMIT CHANGES;
    """


def test_a_plan_is_applied_once_serves_pull_queries_and_refuses_what_cannot_be_altered(worker: Worker) -> None:
    worker.start()
    produce(worker.bootstrap, worker.ticks_topic, [Tick(T0, "1.5"), heartbeat(T0 + 66_000)])
    worker.wait_closed(2)
    (worker.directory / "p.yaml").write_text(
        json.dumps({"statements": [plan_of(worker)], "properties": {"ksql.streams.auto.offset.reset": "earliest"}})
    )
    first = worker.run("migrate", "--apply", "--plan", "p.yaml")
    assert first.returncode == 0, first.stderr
    second = worker.run("migrate", "--apply", "--plan", "p.yaml")
    assert (second.returncode, "nothing to do" in second.stdout) == (0, True), second.stderr
    assert worker.run("migrate", "status", "--plan", "p.yaml").returncode == 0

    async def rows() -> list[dict[str, object]]:
        async with KsqlClient(worker.settings["ksqldb_url"]) as client:
            name = worker.settings["app_id"].replace("-", "_")
            return await client.query(f"SELECT * FROM {name}_t WHERE broker='A' AND symbol='x' AND bucket_start={T0};")

    until_sync(lambda: len(asyncio.run(rows())) == 1, deadline=60.0, every=1.0, what="the bar can be asked for")
    (worker.directory / "p.yaml").write_text(
        json.dumps({"statements": [plan_of(worker).replace("LATEST_BY_OFFSET", "EARLIEST_BY_OFFSET")]})
    )
    changed = worker.run("migrate", "--apply", "--plan", "p.yaml")
    assert changed.returncode == 4, changed.stderr


def test_the_shipped_plan_is_applied_adopted_swapped_rolled_back_and_retired(worker: Worker) -> None:
    assert worker.run("topics").returncode == 0
    run_through(worker)


async def test_the_shipped_plan_is_applied_once_through_a_restart_of_the_server(worker: Worker) -> None:
    command = os.environ.get("KSQLDB_RESTART", "" if os.environ.get("KSQLDB_URL") else "docker compose restart ksqldb")
    if not command:
        pytest.skip("no KSQLDB_RESTART: a command that restarts the server at KSQLDB_URL")
    assert worker.run("topics").returncode == 0
    await apply_through_a_restart(worker, lambda: subprocess.run(command, shell=True, check=True, cwd=ROOT))


@pytest.mark.parametrize("bars_format", ["json", "avro", "protobuf"])
def test_pull_queries_of_the_shipped_tables_give_the_bars(worker: Worker, bars_format: str) -> None:
    if bars_format != "json":
        registry = os.environ.get("SCHEMA_REGISTRY_URL")
        if not registry:
            pytest.skip("no SCHEMA_REGISTRY_URL: that of the registry which ksqlDB uses")
        worker.settings |= {"bars_format": bars_format, "schema_registry_url": registry}
    worker.start()
    ticks = [Tick(T0 + minute * 60_000 + second * 7_000, f"1.{minute}{second}") for minute in range(8) for second in range(8)]
    produce(worker.bootstrap, worker.ticks_topic, [*ticks, heartbeat(T0 + 8 * 60_000 + 5_000)])
    worker.wait_closed(len(ticks) + 1)
    applied = worker.run("migrate", "--apply")
    assert applied.returncode == 0, applied.stderr
    shown = worker.run("bars", "A", "x", "--json")
    bars = {row["bucket_start"]: row for row in map(json.loads, shown.stdout.splitlines())}
    prefix = re.sub(r"[^A-Za-z0-9_]", "_", worker.settings["topics_prefix"])

    async def rows() -> list[dict[str, object]]:
        async with KsqlClient(worker.settings["ksqldb_url"]) as client:
            return await client.query(f"SELECT * FROM {prefix}bar_1m_all WHERE broker='A' AND symbol='x';")

    until_sync(lambda: len(asyncio.run(rows())) == len(bars), deadline=60.0, every=1.0, what="all bars can be asked for")
    for row in asyncio.run(rows()):
        bar = bars.pop(row["BUCKET_START"])
        for name in ("open", "high", "low", "close"):
            assert Decimal(str(row[name.upper()])) == Decimal(str(bar[name])), row
        assert row["TICKS"] == bar["ticks"]
    assert bars == {}


def test_current_bars_have_the_newest_revision_and_longer_bars_a_table_each(worker: Worker) -> None:
    worker.settings |= {"late_policy": "correct", "frames": "2m,1M", "correction_delay": "0s"}
    worker.start()
    apply_with_revisions(worker)
    ticks = [Tick(T0 + minute * 60_000, f"1.{minute}") for minute in range(5)]
    late = [Tick(T0 + minute * 60_000 + second, f"2.{minute}{second}") for second in (1, 2) for minute in (2, 0)]
    produce(worker.bootstrap, worker.ticks_topic, [*ticks, heartbeat(T0 + 6 * 60_000 + 5_000)])
    worker.wait_closed(len(ticks) + 1)
    for number, tick in enumerate(late, 1):  # each makes a revision of its own, and they follow bars that ksqlDB has read
        produce(worker.bootstrap, worker.ticks_topic, [tick])
        worker.wait_checkpointed(len(ticks) + 1 + number)
    until_sync(lambda: revisions(worker) == [2, 0, 2, 0, 0], deadline=30.0, what="the bars are revised")
    prefix = re.sub(r"[^A-Za-z0-9_]", "_", worker.settings["topics_prefix"])

    async def rows(table: str) -> list[dict[str, Any]]:
        async with KsqlClient(worker.settings["ksqldb_url"]) as client:
            return await client.query(f"SELECT * FROM {prefix}bar_{table} WHERE broker='A' AND symbol='x';")

    for table, frame in (("1m_current", "1m"), ("2m_current", "2m")):
        shown = worker.run("bars", "A", "x", "--json", "--frame", frame)
        bars = {row["bucket_start"]: row for row in map(json.loads, shown.stdout.splitlines())}

        def same(table: str = table, bars: dict[int, Any] = bars) -> bool:
            found = {row["BUCKET_START"]: row for row in asyncio.run(rows(table))}
            names = ("revision", "ticks", "open", "high", "low", "close")
            return found.keys() == bars.keys() and all(
                Decimal(str(found[start][name.upper()])) == Decimal(str(bars[start][name])) for start in bars for name in names
            )

        until_sync(same, deadline=60.0, every=1.0, what=f"{table} has the newest revisions")
    until_sync(lambda: len(asyncio.run(rows("2m_all"))) == 3, deadline=60.0, every=1.0, what="the final bars of 2m are there")


def revisions(worker: Worker) -> list[int]:
    """The newest revision of each bar."""
    return [json.loads(line)["revision"] for line in worker.run("bars", "A", "x", "--json").stdout.splitlines()]


async def test_no_statement_is_executed_twice_if_its_response_is_lost(worker: Worker, servers: Servers) -> None:
    assert worker.run("topics").returncode == 0
    plan = build_plan("cut", [KsqlText(plan_of(worker), "cut", "cut")], {}, {})
    left = [2]
    async with cutting(servers.ksqldb, left) as url, KsqlClient(url) as client:
        target = Target(client, Cluster(servers.kafka), f"{worker.settings['app_id']}-history", "an-app", "me")
        report = await runner.apply(target, plan)
        assert (len(report.applied), left) == (2, [0])
        again = await runner.apply(target, plan)
    assert again.applied == []
