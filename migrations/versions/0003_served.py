"""Tables for pull queries: every bar, and the newest bar of each symbol."""

from __future__ import annotations

from migrations.shipped.finals import PROPERTIES, AllBars, Newest

__all__ = ["PROPERTIES"]


def statements() -> list[object]:
    """The statements in the order of their application."""
    return [AllBars, Newest]
