"""The settings of the input's layout. The only module here that knows how ticks are read: their grammar is checked at once."""

from __future__ import annotations

from typing import Protocol

from app.settings.types import NumberUnit, Price, TicksFormat, TimeUnit
from tables.layouts.config import OWN_KEY, LayoutConfig

__all__ = ["OWN_KEY", "LayoutConfig", "layout_config"]


class LayoutSettings(Protocol):
    """The settings that make a layout."""

    price: Price
    time_unit: TimeUnit
    ticks_format: TicksFormat
    ticks_fields: str
    ticks_key: str
    ticks_zone: str
    ticks_time_unit: NumberUnit


def layout_config(settings: LayoutSettings) -> LayoutConfig:
    """The layout's part of the settings."""
    return LayoutConfig(
        price=settings.price.value,
        time_unit=settings.time_unit.value,
        format=settings.ticks_format.value,
        fields=settings.ticks_fields,
        key=settings.ticks_key,
        zone=settings.ticks_zone,
        number_unit=settings.ticks_time_unit.value,
    )
