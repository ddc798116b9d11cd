"""What pull queries ask: every bar, and the newest one of each symbol."""

from __future__ import annotations

from migrations.shipped.app_bars import PROPERTIES, AllBars, Newest

__all__ = ["PROPERTIES"]


def statements() -> list[object]:
    """In the order in which they are made."""
    return [AllBars, Newest]
