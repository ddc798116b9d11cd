"""The layout that the settings ask for: how the records of the input hold ticks."""

from __future__ import annotations

from app.settings import Settings
from tables.layouts.layout import OwnLayout, TickLayout
from tables.ticks import PER_SECOND


def tick_layout(settings: Settings) -> TickLayout:
    """A layout for one engine, or for one reader of ticks."""
    return OwnLayout(settings.price.value, PER_SECOND[settings.time_unit.value])
