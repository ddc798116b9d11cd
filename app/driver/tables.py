"""Faust tables that show what barwheel keeps itself: `faust -A app tables` lists them, `app.tables[...]` reads them.

Written for faust-streaming 0.15.3. A view has no changelog, so Faust neither recovers it nor subscribes to anything for it, and
holds no tick back for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn, cast

import faust
from faust.tables import TableManager

from tables.views import Engines, OpenWindowsView, StreamTimesView


class ViewTableManager(TableManager):
    """Faust's table manager, which also lists views."""

    def add_view(self, table: Any) -> None:
        """List a table without a changelog."""
        self[table.name] = table
        self._channels[table] = None  # type: ignore[assignment]  # keeps Faust from making one: it looks for the key only


class ReadOnlyTable(faust.Table[Any, Any]):
    """A Faust table over a mapping. Writing to it raises `TypeError`."""

    def __init__(self, app: faust.App, rows: Mapping[Any, Any], *, name: str, help: str) -> None:  # noqa: A002  # Faust's name for it
        super().__init__(app, name=name, help=help, partitions=1)
        self._rows = rows

    @property
    def data(self) -> Any:  # type: ignore[override]  # read-only on purpose
        """The rows as they are now."""
        return self._rows

    async def on_start(self) -> None:
        """There is no store to start."""

    def on_key_get(self, key: Any) -> None:
        """Count nothing: Faust's sensors are for tables with a store."""

    def on_key_set(self, key: Any, value: Any) -> NoReturn:  # noqa: ARG002  # Faust's signature
        """Refuse."""
        self._refuse()

    def on_key_del(self, key: Any) -> NoReturn:  # noqa: ARG002  # Faust's signature
        """Refuse."""
        self._refuse()

    def on_clear(self) -> NoReturn:
        """Refuse."""
        self._refuse()

    def reset_state(self) -> None:
        """Nothing is stored here."""

    def _refuse(self) -> NoReturn:
        raise TypeError(f"table {self.name} is read-only: the engine alone changes it")

    async def on_rebalance(self, *_: Any, **__: Any) -> None:
        """Nothing to do: the rows follow the partitions that this worker owns."""


def add_views(app: faust.App, engines: Engines, applied: Any) -> None:
    """List the engines' state and `applied`, the history of migrations, among the app's tables."""
    manager = cast("ViewTableManager", app.tables)
    windows_help = "Open windows of this worker, by broker|symbol|start (epoch ms)."
    manager.add_view(ReadOnlyTable(app, OpenWindowsView(engines), name="windows", help=windows_help))
    times_help = "Stream time of each scope of this worker (epoch ms)."
    manager.add_view(ReadOnlyTable(app, StreamTimesView(engines), name="stream_times", help=times_help))
    manager.add_view(applied)
