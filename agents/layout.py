"""The layout that the settings ask for: how the records of the input hold ticks."""

from __future__ import annotations

from agents.schemas import schema_book
from app.settings import Settings
from tables.layouts.layout import TickLayout
from tables.layouts.make import make_layout
from tables.layouts.schema_layout import SchemaLayout


def tick_layout(settings: Settings) -> TickLayout:
    """A layout for one engine, or for one reader of ticks."""
    book = schema_book(settings)
    return make_layout(settings.layout) if book is None else SchemaLayout(settings.layout.parsed(), book)
