"""The input as a stream."""

from __future__ import annotations

from migrations.shipped.app_bars import PROPERTIES, Ticks

__all__ = ["PROPERTIES"]


def statements() -> list[object]:
    """In the order in which they are made."""
    return [Ticks]
