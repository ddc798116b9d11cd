"""The settings that the engine's rules need."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class EngineConfig:
    """Durations and `min_ts` are in milliseconds; the settings table in README.md says what each one means."""

    window_size: int = 60_000
    grace: int = 5_000
    scope: str = "broker"  # or "symbol", "partition"
    idle_close: bool = True
    max_future: int = 60_000
    min_ts: int = 631_152_000_000
    time_unit: str = "ms"
    price: str = "bid"
    wheel_tick: int = 200
    positive: bool = True  # whether a price must be above 0
    bar_scale: int | None = None  # decimals that a price may have, where bars have a schema
    correct: bool = False  # whether late ticks revise bars (`late_policy=correct`)
    correction_horizon: int = 600_000
    correction_delay: int = 5_000
    frames: tuple[str, ...] = ()  # longer bars, as `tables.calendar.frame_of` reads them
    day_zone: str = "UTC"
    day_start: int = 0  # ms after midnight
    week_start: int = 0  # 0 is Monday
    flat: tuple[str, ...] = ()  # frames that get flat bars (`empty=flat`); `base` is the base window
