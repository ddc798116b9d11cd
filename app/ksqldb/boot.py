"""Migrations as the worker and the commands use them: settings in, a target out; and what happens at a worker's start."""

from __future__ import annotations

import asyncio
import getpass
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import orjson
from aiokafka.errors import KafkaError

from app.errors import SettingsError
from app.kafka.cluster import Cluster
from app.settings import Settings
from app.settings.types import MigrateOnBoot
from migrations.errors import MigrationError, PlanError, RefusedError
from migrations.plan import files as plan_files
from migrations.plan.compare import Action, Step
from migrations.plan.entry import Entry
from migrations.plan.model import Plan
from migrations.run.report import entry_data, summary
from migrations.run.runner import apply
from migrations.run.target import Target
from migrations.server.client import KsqlClient
from migrations.shipped.decimals import decimals

AGAIN_SECONDS = 5.0
BOOT_SECONDS = 10.0  # how long one request is tried again at boot, before that is said
log = logging.getLogger(__name__)


@dataclass
class Migrating:
    """How far a worker's migrations are; for its web port."""

    state: str = "off"  # then pending, done, failed
    error: str = ""
    applied: list[Entry] = field(default_factory=list)
    skipped: int = 0


def variables(settings: Settings) -> dict[str, str]:
    """What a plan may call for by `${NAME}`."""
    return {
        "topics": settings.topics_prefix,
        "ticks": settings.ticks_topic,
        "finals": settings.finals_topic,
        "partitions": str(settings.topic_partitions),
        **decimals(settings.ksqldb_precision, settings.ksqldb_scale),
    }


def load_plan(settings: Settings, path: Path | None) -> Plan:
    """The plan of a file or directory, or the one that is shipped; raises `PlanError`."""
    return plan_files.load(path, variables(settings))


@asynccontextmanager
async def target(settings: Settings, cluster: Cluster, *, url: str = "", try_seconds: float = 120.0) -> AsyncIterator[Target]:
    """A server to be migrated and where its history is; `url` stands above the setting."""
    address = url or settings.ksqldb_url
    if not address:
        raise MigrationError("no ksqlDB: set ksqldb_url (BARWHEEL_KSQLDB_URL=http://host:8088), or give --server")
    client = KsqlClient(
        address,
        user=settings.ksqldb_user,
        password=settings.ksqldb_password.get_secret_value(),
        ca_file=settings.ksqldb_ca_file,
        try_seconds=try_seconds,
    )
    async with client:
        yield Target(
            client,
            cluster,
            settings.history_topic,
            settings.app_id,
            _user(),
            settings.replication_factor,
            settings.session_timeout,
        )


def _user() -> str:
    with suppress(KeyError, OSError):  # a container's user need not have a name
        return getpass.getuser()
    return ""


async def at_boot(settings: Settings, cluster: Cluster, found: Migrating) -> None:
    """Apply what is pending. With `require` it returns when all is applied, and raises `RefusedError` where that cannot be."""
    if settings.migrate_on_boot is MigrateOnBoot.off or not settings.ksqldb_url:
        return
    required = settings.migrate_on_boot is MigrateOnBoot.require
    found.state = "pending"
    while True:
        try:
            plan = await asyncio.to_thread(load_plan, settings, None)
            async with target(settings, cluster, try_seconds=BOOT_SECONDS) as where:
                report = await apply(where, plan, on_progress=_tell)
        except (RefusedError, PlanError, SettingsError) as error:
            _failed(found, error)
            if required:
                raise
            return
        except (MigrationError, KafkaError, OSError) as error:
            _failed(found, error)
            await asyncio.sleep(AGAIN_SECONDS)
            continue
        found.state, found.error, found.applied = "done", "", report.applied
        found.skipped = sum(step.action is Action.done for step in report.steps)
        log.info("migrations: %s", summary(report.steps) if not report.applied else f"{len(report.applied)} applied")
        return


def _failed(found: Migrating, error: Exception) -> None:
    if found.error != str(error):
        log.warning("migrations: %s", error)
    found.state, found.error = "failed", str(error)


def _tell(step: Step, done: Entry | None) -> None:
    if done is None:
        log.info("migrations: %s (%s): %s", step.id, step.name, step.why)
    else:
        log.info("%s", orjson.dumps(entry_data(done)).decode())
