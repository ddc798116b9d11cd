"""The engine of a partition: made of the settings, and restored from what recovery found."""

from __future__ import annotations

from agents.bar_schemas import check_windows
from agents.beyond import tz_version
from agents.layout import tick_layout
from agents.recovery import Recovered
from app.errors import StateError
from app.settings import Settings
from app.settings.types import IdleClose, Prices
from tables import native
from tables.after_close import BoundsMovedError
from tables.config import EngineConfig
from tables.engine import Engine
from tables.layouts.layout import is_own_layout


def engine_config(settings: Settings) -> EngineConfig:
    """The engine's part of the settings."""
    return EngineConfig(
        window_size=settings.window_size,
        grace=settings.grace,
        scope=settings.scope.value,
        idle_close=settings.idle_close is not IdleClose.off,
        max_future=settings.max_future,
        min_ts=settings.min_ts,
        time_unit=settings.time_unit.value,
        price=settings.price.value,
        wheel_tick=settings.wheel_tick,
        positive=settings.prices is Prices.positive,
        bar_scale=settings.bar_scale,
        correct=settings.corrects,
        correction_horizon=settings.correction_horizon,
        correction_delay=settings.grace if settings.correction_delay is None else settings.correction_delay,
        frames=settings.frame_names,
        day_zone=settings.day_zone,
        day_start=settings.day_start_ms,
        week_start=settings.week_start_number,
        flat=settings.flat_frames,
    )


def why_python(settings: Settings) -> str:
    """Why the engines have the core in Python; empty if they have the native one."""
    return native.why_python(engine_config(settings), settings.native.value, own_layout=is_own_layout(tick_layout(settings)))


def restored_engine(settings: Settings, found: Recovered) -> Engine:
    """An engine that goes on where the recovered partition was."""
    position = found.position
    engine = Engine(engine_config(settings), position.next_offset, tick_layout(settings), settings.native.value)
    kept = position.counters, position.arrival, position.stream_times, found.states, found.tail
    after = engine.windows.after
    if after is not None and after.corrections is not None:
        after.corrections.kept.checkpointed(position.known_horizon)
    try:
        engine.restore(*kept, position.cut, found.cuts, beyond=found.beyond)
    except BoundsMovedError as error:
        raise StateError(
            f"{settings.changelog_topic} was written with the time zone database {position.tz or '(not known)'}, and here is "
            f"{tz_version() or 'another'}: {error}; use the former one until that window has closed"
        ) from None
    if settings.frames:
        position.tz = tz_version()  # it has the same bounds
    if after is not None and after.corrections is not None:
        after.corrections.kept.checkpointed(found.ends)
    engine.progress.clock_steps = position.clock_steps
    check_windows(settings, engine.windows.every_window())
    if after is not None:
        check_windows(settings, after.every_window())
    return engine
