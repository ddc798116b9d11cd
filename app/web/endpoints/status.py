"""`/api/v1/status` and `/api/v1/wheel`: this worker's settings, state and timing wheels."""

from __future__ import annotations

import time

from agents.engines import why_python
from app.doubled import REMEDY, Doubled
from app.kafka.clock import now_ms
from app.settings import Settings
from app.settings.types import IdleClose
from app.version import __version__
from app.web import sampling
from app.web.context import WebContext
from app.web.endpoints.partitions import recovery_progress
from app.web.models.workers import (
    BrokerRow,
    DoubledRow,
    ReadModelRow,
    Repartition,
    RepartitionSource,
    SettingRow,
    Status,
    Timer,
    Topics,
    Wheel,
    WorkerRow,
)
from app.web.params import Params
from tables.wheel import SLOTS as WHEEL_SLOTS


async def status(web: WebContext, _: Params) -> Status:
    """This worker: its version, settings and state."""
    settings, tasks, read_model = web.settings, web.tasks, web.read_model
    ready, core_note = tasks.readiness(), why_python(settings)
    extent = await read_model.extent()
    consumer = tasks.consumer
    own_url = web.peers.own_url
    return Status(
        name="barwheel",
        version=__version__,
        core="python" if core_note else "native",
        core_note=core_note,
        app_id=settings.app_id,
        state=ready["state"],
        started_at=web.started_at,
        uptime_ms=round((time.monotonic() - web.started_monotonic) * 1_000),
        now=now_ms(),
        url=own_url,
        broker=BrokerRow(
            address=str(tasks.cluster),
            pocket=settings.pocket,
            silent_for_s=round(consumer.silence(), 1) if consumer is not None and web.running_tasks else None,
        ),
        settings={name: _setting(settings, name) for name in Settings.model_fields},
        workers=[WorkerRow(url=url, me=url == own_url, partitions=numbers) for url, numbers in web.peers.members()],
        recovery=recovery_progress(web),
        read_model=ReadModelRow(
            state=read_model.progress.state,
            bars=None if extent is None else extent.bars,
            symbols=None if extent is None else extent.symbols,
            limit=settings.read_model_bars,
            behind=read_model.progress.behind,
            rebuilt=read_model.progress.rebuilt,
            error=read_model.progress.error or None,
            doubled=_doubled(read_model.progress.doubled),
        ),
        topics=Topics(
            ticks=settings.input_topic,
            finals=settings.finals_topic,
            late=settings.late_topic,
            rejected=settings.rejected_topic,
            changelog=settings.changelog_topic,
        ),
        repartition=_repartition(web),
        window_size=settings.window_size,
        grace=settings.grace,
        scope=settings.scope.value,
        idle_close=settings.idle_close is not IdleClose.off,
        streams=web.open_streams,
    )


def _repartition(web: WebContext) -> Repartition | None:
    repartitioner = web.tasks.repartitioner
    if repartitioner is None:
        return None
    progress = repartitioner.progress
    sources = [
        RepartitionSource(
            topic=topic, partition=number, next_offset=one.next_offset, high_watermark=one.end, lag=one.lag, lost=one.lost
        )
        for (topic, number), one in sorted(progress.sources.items())
    ]
    shown = progress.shown()
    return Repartition(
        state=progress.state,
        waiting=progress.waiting or None,
        lag=progress.lag,
        sources=sources,
        held_up=shown.get("held_up", {}),
    )


def _doubled(found: Doubled | None) -> DoubledRow | None:
    if found is None:
        return None
    bars, broker, symbol, start, partitions = found
    return DoubledRow(bars=bars, broker=broker, symbol=symbol, bucket_start=start, partitions=list(partitions), remedy=REMEDY)


def _setting(settings: Settings, name: str) -> SettingRow:
    description = Settings.model_fields[name].description or ""
    return SettingRow(value=settings.text_of(name), source=settings.source_of(name), description=description)


async def wheel(web: WebContext, _: Params) -> Wheel:
    """The timing wheels of this worker: which windows the idle timer will close, and how punctual it is."""
    metrics = web.tasks.metrics
    return Wheel(
        tick_ms=web.settings.wheel_tick,
        slots=WHEEL_SLOTS,
        timer=Timer(
            every=web.settings.wheel_tick,
            lag_ms=round(metrics.timer_lag_last * 1_000, 3),
            worst_lag_ms=round(metrics.timer_lag_worst * 1_000, 3),
        ),
        partitions=[await sampling.wheel_partition(number, task.engine) for number, task in sorted(web.running_tasks.items())],
    )
