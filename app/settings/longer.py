"""The settings of late ticks and of longer bars. With `layout`, the only modules here that know how bars are made."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, Field
from pydantic_settings import BaseSettings

from app.settings.durations import Duration, OptionalDuration, duration_text
from tables.calendar import BASE, WEEKDAYS, check_frames, frame_of, misfit

_TIME = re.compile(r"([01]\d|2[0-3]):([0-5]\d)")


class LatePolicy(StrEnum):
    """What to do with a late tick."""

    drop = "drop"
    correct = "correct"


class Empty(StrEnum):
    """What to do with a window without a tick."""

    none = "none"
    flat = "flat"


def _frames(text: str) -> str:
    """The frames in their order, shortest first."""
    frames = [frame_of(part.strip()) for part in text.split(",")] if text.strip() else []
    return ",".join(frame.name for frame in sorted(frames))


def _empty_frames(text: str) -> str:
    return ",".join(part.strip() for part in text.split(",")) if text.strip() else ""


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError("is not a time zone of the IANA database, such as America/New_York") from None
    return name


def _time_of_day(text: str) -> str:
    if not _TIME.fullmatch(text):
        raise ValueError("is not a time of day, such as 17:00")
    return text


def _weekday(text: str) -> str:
    if text.lower() not in WEEKDAYS:
        raise ValueError("is not a day of the week, such as monday")
    return text.lower()


class LongerBars(BaseSettings):
    """What becomes of windows after they have closed: a part of `Settings`."""

    late_policy: LatePolicy = Field(
        LatePolicy.drop,
        description="What to do with a late tick: `drop` sends it to `ticks_late`, `correct` revises the bar.",
    )
    correction_horizon: Duration = Field(
        600_000, description="With `correct`: how long after its close a window can be revised, in stream time."
    )
    correction_delay: OptionalDuration = Field(
        None, description="How long late ticks are gathered into one revision; empty: as long as `grace`."
    )
    frames: Annotated[str, AfterValidator(_frames)] = Field(
        "", description="Longer bars, `5m,15m,1h,4h,1d,1w,1M`: topics of their own, made of the base bars."
    )
    empty: Empty = Field(
        Empty.none,
        description="Windows without a tick: `none` have no bar, `flat` repeat the last close of the day, with 0 ticks.",
    )
    empty_frames: Annotated[str, AfterValidator(_empty_frames)] = Field(
        "", description="With `flat`: which bars, `5m,1h`; `base` for the base bars; empty: all `frames` below a day."
    )
    day_zone: Annotated[str, AfterValidator(_zone)] = Field(
        "UTC", description="Time zone (IANA name) on whose clock the days of longer bars begin."
    )
    day_start: Annotated[str, AfterValidator(_time_of_day)] = Field(
        "00:00", description="Time of day at which they begin there; for FX `17:00` in `America/New_York`."
    )
    week_start: Annotated[str, AfterValidator(_weekday)] = Field(
        "monday", description="Day of the week with which weeks begin; for FX `sunday`."
    )

    @property
    def frame_names(self) -> tuple[str, ...]:
        """The frames, shortest first."""
        return tuple(self.frames.split(",")) if self.frames else ()

    @property
    def flat_frames(self) -> tuple[str, ...]:
        """The frames with flat bars; `base` is the base window."""
        if self.empty is Empty.none:
            return ()
        if self.empty_frames:
            return tuple(self.empty_frames.split(","))
        return tuple(name for name in self.frame_names if not frame_of(name).rank)

    @property
    def day_start_ms(self) -> int:
        """How long after midnight a day begins."""
        hours, minutes = self.day_start.split(":")
        return (int(hours) * 60 + int(minutes)) * 60_000

    @property
    def week_start_number(self) -> int:
        """0 is Monday."""
        return WEEKDAYS.index(self.week_start)


def check_calendar(settings: LongerBars, window_size: int, min_ts: int) -> None:
    """Base windows fill every longer window and every day. Raises `ValueError` with the first date on which they do not."""
    _check_empty(settings)
    if not (settings.frames or settings.flat_frames):
        return
    size = duration_text(window_size)
    try:
        check_frames([frame_of(name) for name in settings.frame_names], window_size)
    except ValueError as error:
        raise ValueError(f"frames={settings.frames}: {error} (window_size={size})") from None
    date = misfit(settings.day_zone, settings.day_start_ms, window_size, max(0, min_ts))
    if date is not None:
        raise ValueError(
            f"day_zone={settings.day_zone}, day_start={settings.day_start}: on {date} the day begins inside a window of "
            f"window_size={size}; choose a window_size that divides the offsets of the zone"
        )


def _check_empty(settings: LongerBars) -> None:
    """Flat bars are asked for in frames that can have any."""
    asked = f"empty_frames={settings.empty_frames}"
    if settings.empty is Empty.none:
        if settings.empty_frames:
            raise ValueError(f"{asked} is for empty=flat")
        return
    for name in settings.flat_frames:
        if name != BASE and name not in settings.frame_names:
            raise ValueError(f"{asked}: {name} is none of frames={settings.frames}; base is the base window")
        if name != BASE and frame_of(name).rank:
            raise ValueError(f"{asked}: {name} has a tick on every day of trading, so it is never flat: leave it out")
    if not settings.flat_frames:
        raise ValueError("empty=flat: there are no frames below a day; set frames, or empty_frames=base")
    if len(set(settings.flat_frames)) < len(settings.flat_frames):
        raise ValueError(f"{asked}: a frame comes twice")
