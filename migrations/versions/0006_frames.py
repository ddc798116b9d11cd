"""Longer bars, those of each of the `frames`."""

from __future__ import annotations

from collections.abc import Mapping

from migrations.shipped.beyond import of_frames
from migrations.shipped.finals import PROPERTIES

__all__ = ["PROPERTIES"]


def statements(variables: Mapping[str, str]) -> list[object]:
    """The statements in the order of their application."""
    return of_frames(variables)
