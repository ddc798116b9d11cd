"""Makes the layout that settings ask for."""

from __future__ import annotations

from tables.layouts.config import LayoutConfig
from tables.layouts.json_layout import JsonLayout
from tables.layouts.layout import OwnLayout, TickLayout
from tables.ticks import PER_SECOND


def make_layout(config: LayoutConfig) -> TickLayout:
    """A layout for one engine, or for one reader of ticks. Raises `ValueError` with one line where the settings do not fit."""
    if config.own:
        return OwnLayout(config.price, PER_SECOND[config.time_unit])
    return JsonLayout(config.parsed())
