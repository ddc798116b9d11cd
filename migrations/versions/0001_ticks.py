"""The input as a stream."""

from __future__ import annotations

from migrations.served import PROPERTIES, Ticks

__all__ = ["PROPERTIES"]


def statements() -> list[object]:
    """In the order in which they are made."""
    return [Ticks]
