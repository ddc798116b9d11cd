"""The layout that the settings ask for: how the records of the input hold ticks."""

from __future__ import annotations

from app.settings import Settings
from tables.layouts.layout import TickLayout
from tables.layouts.make import make_layout


def tick_layout(settings: Settings) -> TickLayout:
    """A layout for one engine, or for one reader of ticks."""
    return make_layout(settings.layout)
