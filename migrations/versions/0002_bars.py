"""The finals topic: as a table by key, and as a stream."""

from __future__ import annotations

from migrations.shipped.finals import PROPERTIES, Bars, Events

__all__ = ["PROPERTIES"]


def statements() -> list[object]:
    """The statements in the order of their application."""
    return [Bars, Events]
