"""The layout that the settings ask for: how the records of a topic hold ticks."""

from __future__ import annotations

from agents.schemas import schema_book
from app.settings import Settings
from tables.layouts.layout import TickLayout
from tables.layouts.make import make_layout
from tables.layouts.schema_layout import SchemaLayout
from tables.repartitioned import RepartitionedLayout


def source_layout(settings: Settings) -> TickLayout:
    """A layout of `ticks_topic`, and of late and rejected records, which are as they were there."""
    book = schema_book(settings)
    return make_layout(settings.layout) if book is None else SchemaLayout(settings.layout.parsed(), book)


def tick_layout(settings: Settings) -> TickLayout:
    """A layout of the engines' input, for one engine or for one reader of it."""
    layout = source_layout(settings)
    return RepartitionedLayout(layout) if settings.repartition else layout
