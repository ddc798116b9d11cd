"""The revisions of bars, and the newest version of each bar; empty without `late_policy=correct`."""

from __future__ import annotations

from collections.abc import Mapping

from migrations.shipped.beyond import of_base
from migrations.shipped.finals import PROPERTIES

__all__ = ["PROPERTIES"]


def statements(variables: Mapping[str, str]) -> list[object]:
    """The statements in the order of their application."""
    return of_base(variables)
