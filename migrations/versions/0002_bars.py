"""The application's bars: as a table by their key, and one by one."""

from __future__ import annotations

from migrations.shipped.app_bars import PROPERTIES, Bars, Events

__all__ = ["PROPERTIES"]


def statements() -> list[object]:
    """In the order in which they are made."""
    return [Bars, Events]
