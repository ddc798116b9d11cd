"""The ticks topic as a stream."""

from __future__ import annotations

from migrations.shipped.finals import PROPERTIES, Ticks

__all__ = ["PROPERTIES"]


def statements() -> list[object]:
    """The statements in the order of their application."""
    return [Ticks]
