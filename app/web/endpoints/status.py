"""Endpoints about this worker and its fellows: status, partitions, accounting, wheels."""

from __future__ import annotations

import time

from agents.task import PartitionTask, now_ms
from app.settings import Settings
from app.settings.types import Switch
from app.version import __version__
from app.web import sampling
from app.web.context import WebContext
from app.web.models.bars import Away
from app.web.models.workers import (
    Accounting,
    BrokerRow,
    Counts,
    Migrations,
    PartitionCounts,
    PartitionRow,
    Partitions,
    PartitionState,
    ReadModelRow,
    Recovery,
    SettingRow,
    Status,
    Timer,
    Topics,
    Wheel,
    WorkerRow,
)
from app.web.params import AccountingAsked, Asked, PartitionsAsked
from tables.wheel import SLOTS as WHEEL_SLOTS

COUNTS = tuple(Counts.model_fields)


async def status(web: WebContext, _: Asked) -> Status:
    """What this worker is, and how it is."""
    settings, tasks, model = web.settings, web.tasks, web.model
    ready = tasks.readiness()
    extent = await model.extent()
    consumer, owners = tasks.consumer, web.owners
    workers = web.peers.workers()
    return Status(
        name="barwheel",
        version=__version__,
        app_id=settings.app_id,
        state=ready["state"],
        started_at=web.started_ms,
        uptime_ms=round((time.monotonic() - web.began) * 1_000),
        now=now_ms(),
        url=web.peers.me,
        broker=BrokerRow(
            address=str(tasks.cluster),
            pocket=settings.pocket,
            silent_for_s=round(consumer.silence(), 1) if consumer is not None and owners else None,
        ),
        settings={name: _setting(settings, name) for name in Settings.model_fields},
        workers=[WorkerRow(url=url, me=url == web.peers.me, partitions=numbers) for url, numbers in workers],
        recovery=recovery_of(web),
        read_model=ReadModelRow(
            state=model.state,
            bars=None if extent is None else extent.bars,
            symbols=None if extent is None else extent.symbols,
            limit=settings.read_model_bars,
            behind=model.behind,
            rebuilt=model.rebuilt,
            error=model.error or None,
        ),
        topics=Topics(
            ticks=settings.ticks_topic,
            finals=settings.finals_topic,
            late=settings.late_topic,
            rejected=settings.rejected_topic,
            changelog=settings.changelog_topic,
        ),
        window_size=settings.window_size,
        grace=settings.grace,
        scope=settings.scope.value,
        idle_close=settings.idle_close is Switch.on,
        streams=web.hub.clients,
    )


def _setting(settings: Settings, name: str) -> SettingRow:
    description = Settings.model_fields[name].description or ""
    return SettingRow(value=settings.text_of(name), source=settings.source_of(name), description=description)


def counts_of(partition: PartitionTask) -> Counts:
    """What became of a partition's records."""
    return Counts(**{name: getattr(partition.engine.counters, name) for name in COUNTS})


async def partitions(web: WebContext, asked: PartitionsAsked) -> Partitions:
    """Every partition of the input: who owns it, how far it is, what is open."""
    owners = web.peers.owners()
    rows = {number: _row(web, number, partition) for number, partition in web.owners.items()}
    others = web.others()
    away: list[Away] = []
    if asked.local == "false":
        answers, away = await web.peers.ask_owners(others, "/api/v1/partitions", {"local": "true"})
        for answer in answers:
            for one in map(PartitionRow.model_validate, answer["partitions"]):
                if one.partition in others and one.state is not PartitionState.no_owner:
                    rows.setdefault(one.partition, one.model_copy(update={"me": False}))
    for number in others:
        rows.setdefault(number, _missing(web, number, owners.get(number)))
    return Partitions(now=now_ms(), partitions=[rows[number] for number in sorted(rows)], away=away)


def _row(web: WebContext, number: int, partition: PartitionTask) -> PartitionRow:
    engine = partition.engine
    end = web.high_watermark(number, partition.consumed_to)
    state = web.tasks.readiness()["state"]
    return PartitionRow(
        partition=number,
        owner=web.peers.me,
        me=True,
        state=PartitionState.running if state == "running" else PartitionState.waiting,
        position=partition.consumed_to,
        high_watermark=end,
        lag=None if end is None else end - partition.consumed_to,
        checkpointed=partition.checkpointed_to,
        open_windows=engine.open_windows,
        stream_times=sampling.scope_times(engine),
        counts=counts_of(partition),
    )


def _missing(web: WebContext, number: int, url: str | None) -> PartitionRow:
    """A partition that is at work nowhere, as far as this worker can see."""
    me, recovery = url == web.peers.me, None
    state = PartitionState.no_owner if url is None else PartitionState.owner_away
    if me:
        state = PartitionState.waiting if web.tasks.state == "waiting" else PartitionState.recovering
        recovery = recovery_of(web)
    return PartitionRow(partition=number, owner=url, me=me, state=state, recovery=recovery)


def recovery_of(web: WebContext) -> Recovery | None:
    """How far this worker's recovery is; None where there is none."""
    found = web.tasks.readiness().get("recovery")
    return None if found is None else Recovery(**found)


async def accounting(web: WebContext, asked: AccountingAsked) -> Accounting:
    """What became of the records: read = binned + late + rejected + heartbeats."""
    found = local_accounting(web)
    if asked.workers == "me":
        return found
    answers, away = await web.peers.ask_owners(web.others(), "/api/v1/accounting", {"workers": "me"})
    rows = dict(found.partitions)
    for answer in answers:
        for number, row in answer["partitions"].items():
            rows.setdefault(number, PartitionCounts.model_validate(row))
    return _summed(found.state, rows).model_copy(update={"away": away})


def local_accounting(web: WebContext) -> Accounting:
    """That of the partitions at work here."""
    rows = {str(number): PartitionCounts(**partition.accounting()) for number, partition in sorted(web.tasks.owners().items())}
    return _summed(web.tasks.state, rows)


def _summed(state: str, rows: dict[str, PartitionCounts]) -> Accounting:
    total = Counts(**{name: sum(getattr(row, name) for row in rows.values()) for name in COUNTS})
    balanced = all(row.read == row.binned + row.late + row.rejected + row.heartbeats for row in rows.values())
    ordered = dict(sorted(rows.items(), key=lambda item: int(item[0])))
    return Accounting(state=state, total=total, partitions=ordered, balanced=balanced, away=[])


async def wheel(web: WebContext, _: Asked) -> Wheel:
    """The timing wheels of this worker: what silence will close, and how punctual the task is that turns them."""
    metrics = web.tasks.metrics
    return Wheel(
        tick_ms=web.settings.wheel_tick,
        slots=WHEEL_SLOTS,
        timer=Timer(
            every=web.settings.wheel_tick,
            lag_ms=round(metrics.timer_lag_last * 1_000, 3),
            worst_lag_ms=round(metrics.timer_lag_worst * 1_000, 3),
        ),
        partitions=[sampling.wheel_of(number, partition.engine) for number, partition in sorted(web.owners.items())],
    )


async def migrations(web: WebContext, _: Asked) -> Migrations:
    """KSQL migrations of this app: the plan that is shipped beside what was applied."""
    return await web.migrations()
