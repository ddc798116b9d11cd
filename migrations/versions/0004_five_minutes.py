"""Five-minute bars from one-minute bars."""

from __future__ import annotations

from migrations.shipped.finals import PROPERTIES, FiveMinutes

__all__ = ["PROPERTIES"]


def statements() -> list[object]:
    """The statements in the order of their application."""
    return [FiveMinutes]
