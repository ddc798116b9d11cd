"""Migrations for the worker and the commands: the target that the settings describe, and applying at a worker's start."""

from __future__ import annotations

import asyncio
import getpass
import logging
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from types import MappingProxyType

import orjson
from aiokafka.errors import KafkaError

from app.errors import BrokerError, SettingsError
from app.https import Identity
from app.kafka.cluster import Cluster
from app.kafka.failures import refused
from app.ksqldb.migrating import Migrating
from app.settings import Settings
from app.settings.durations import duration_text
from app.settings.ksqldb import headers_of
from app.settings.types import MigrateOnBoot
from migrations.errors import KsqlDbError, MigrationError, PlanError, RefusedError
from migrations.plan import files as plan_files
from migrations.plan.compare import Action, Step
from migrations.plan.entry import Entry
from migrations.plan.model import Plan
from migrations.run.report import entry_data, summary
from migrations.run.runner import apply
from migrations.run.target import SERVER_FAULT, Target
from migrations.server.client import KsqlClient
from migrations.server.responses import BAD_REQUEST, TOO_MANY
from migrations.shipped.decimals import bar_types, decimals

RETRY_SECONDS = 5.0
BOOT_SECONDS = 10.0  # how long one request is retried at a start, before its failure is reported
log = logging.getLogger(__name__)


def variables(settings: Settings) -> dict[str, str]:
    """The variables that a plan may use as `${NAME}`."""
    numbers = decimals(settings.ksqldb_precision, settings.ksqldb_scale)
    return {
        "topics": settings.topics_prefix,
        "ticks": settings.input_topic,
        "finals": settings.finals_topic,
        "history": settings.history_topic,
        "partitions": str(settings.topic_partitions),
        "bars_instance": re.sub(r"[^A-Za-z0-9_]", "_", settings.topics_prefix),
        "bars_window": settings.size_text,
        "bars_window_upper": settings.size_text.upper(),
        "bars_five": duration_text(5 * settings.window_size),
        "bars_size": _ksql_duration(settings.window_size),
        "bars_five_size": _ksql_duration(5 * settings.window_size),
        "bars_correct": "on" if settings.corrects else "",
        "bars_frames": settings.frames,
        **numbers,
        **bar_types(settings.bars_format.value, settings.bars_scale, numbers),
    }


def _ksql_duration(ms: int) -> str:
    """A duration as KSQL writes it: `1 MINUTE`, `90 SECONDS`."""
    units = (("DAY", 86_400_000), ("HOUR", 3_600_000), ("MINUTE", 60_000), ("SECOND", 1_000), ("MILLISECOND", 1))
    unit, length = next((unit, length) for unit, length in units if ms % length == 0)
    return f"{ms // length} {unit}{'' if ms == length else 'S'}"


def load_plan(settings: Settings, path: Path | None, defined: Mapping[str, str] = MappingProxyType({})) -> Plan:
    """The plan of a file or directory; without a path, the shipped one. `defined` are further variables. Raises `PlanError`."""
    return plan_files.load(path, {**variables(settings), **defined})


@asynccontextmanager
async def target(settings: Settings, cluster: Cluster, *, url: str = "", try_seconds: float = 120.0) -> AsyncIterator[Target]:
    """The target that the settings describe; `url` replaces `ksqldb_url`. Raises `MigrationError` without an address."""
    address = url or settings.ksqldb_url
    if not address:
        raise MigrationError("no ksqlDB: set ksqldb_url (BARWHEEL_KSQLDB_URL=http://host:8088), or give --server")
    client = KsqlClient(
        address,
        user=settings.ksqldb_user,
        password=settings.ksqldb_password.get_secret_value(),
        ca_file=settings.ksqldb_ca_file,
        read_seconds=settings.ksqldb_timeout / 1_000,
        try_seconds=settings.ksqldb_retry_for / 1_000 or try_seconds,
        identity=Identity(
            settings.ksqldb_cert_file, settings.ksqldb_key_file, headers_of(settings.ksqldb_headers.get_secret_value())
        ),
        backoff_seconds=settings.ksqldb_backoff / 1_000,
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
    with suppress(KeyError, OSError):  # a container's user may have no name
        return getpass.getuser()
    return ""


async def at_boot(settings: Settings, cluster: Cluster, migrating: Migrating) -> None:
    """Apply what is pending, and retry until it is done.

    With `migrate_on_boot=require`, raises `RefusedError`, `PlanError` or `SettingsError` if the plan cannot be applied,
    `KsqlDbError` if the server refuses it, and `BrokerError` if the broker refuses what another attempt does not mend. What is
    waited for is logged at every attempt, as the web port is not open yet. With `background`, an error is recorded in
    `migrating`, and logged once.
    """
    if settings.migrate_on_boot is MigrateOnBoot.off or not settings.ksqldb_url:
        return
    required = settings.migrate_on_boot is MigrateOnBoot.require
    migrating.state = "pending"
    while True:
        try:
            plan = await asyncio.to_thread(load_plan, settings, None)
            async with target(settings, cluster, try_seconds=BOOT_SECONDS) as where:
                result = await apply(where, plan, on_progress=_log_progress)
        except (RefusedError, PlanError, SettingsError) as error:
            _set_failed(migrating, error)
            if required:
                raise
            return
        except KsqlDbError as error:
            _set_failed(migrating, error, again=required)
            if required and _refuses(error):
                raise
            await asyncio.sleep(RETRY_SECONDS)
            continue
        except (MigrationError, BrokerError, KafkaError, OSError) as error:
            refusal = refused(error)
            _set_failed(migrating, refusal or error, again=required)
            if refusal is None:
                await asyncio.sleep(RETRY_SECONDS)
                continue
            if required:
                raise refusal from error
            return
        migrating.state, migrating.error, migrating.applied = "done", "", result.applied
        migrating.skipped = sum(step.action is Action.done for step in result.steps)
        log.info("migrations: %s", f"{len(result.applied)} applied" if result.applied else summary(result.steps))
        return


def _refuses(error: KsqlDbError) -> bool:
    """Whether the server refuses the plan or the user, so that another attempt needs another plan, setting or permission."""
    return BAD_REQUEST * 100 <= error.code < SERVER_FAULT and error.code != TOO_MANY * 100


def _set_failed(migrating: Migrating, error: Exception, *, again: bool = False) -> None:
    """Record the error, and log it unless it is the same as before; `again`: also then."""
    if again or migrating.error != str(error):
        log.warning("migrations: %s", error)
    migrating.state, migrating.error = "failed", str(error)
    migrating.failures += 1


def _log_progress(step: Step, done: Entry | None) -> None:
    if done is None:
        log.info("migrations: %s (%s): %s", step.id, step.name, step.why)
    else:
        log.info("%s", orjson.dumps(entry_data(done)).decode())
