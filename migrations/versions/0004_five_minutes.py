"""Bars of five minutes out of those of one."""

from __future__ import annotations

from migrations.shipped.app_bars import PROPERTIES, FiveMinutes

__all__ = ["PROPERTIES"]


def statements() -> list[object]:
    """In the order in which they are made."""
    return [FiveMinutes]
