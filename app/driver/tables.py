"""Faust tables that show what barwheel keeps itself: `faust -A app tables` lists them, `app.tables[...]` reads them.

Written for faust-streaming 0.15.3. A view has no changelog, so Faust neither recovers it nor subscribes to anything for it, and
holds no tick back for it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NoReturn, cast

import faust
from faust.tables import TableManager

from tables.views import Engines, OpenWindowsView, StreamTimesView


class ViewTableManager(TableManager):
    """Faust's table manager, which also lists views."""

    def __bool__(self) -> bool:
        """Whether Faust has a table to recover. Otherwise it resumes fetching only after our own recovery of the tasks."""
        return bool(self._changelogs)

    def add_view(self, table: Any) -> None:
        """List a table without a changelog."""
        self[table.name] = table
        self._channels[table] = None  # type: ignore[assignment]  # keeps Faust from making one: it looks for the key only


class ReadOnlyTable(faust.Table[Any, Any]):
    """A Faust table that reads a mapping. Writing to it raises `TypeError`.

    Only reading is redirected. Faust's own work on the table, at a start or a rebalance, meets its usual store, which is empty.
    """

    def __init__(self, app: faust.App, rows: Mapping[Any, Any], *, name: str, help: str) -> None:  # noqa: A002  # Faust's name for it
        super().__init__(app, name=name, help=help, partitions=1)
        self._rows = rows

    async def on_start(self) -> None:
        """Start no store, and declare no changelog."""

    def __getitem__(self, key: Any) -> Any:
        return self._rows[key]

    def __iter__(self) -> Iterator[Any]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)

    def __contains__(self, key: object) -> bool:
        return key in self._rows

    def keys(self) -> Any:
        """The keys of the rows."""
        return self._rows.keys()

    def values(self) -> Any:
        """The rows."""
        return self._rows.values()

    def items(self) -> Any:
        """Keys and rows."""
        return self._rows.items()

    def get(self, key: Any, default: Any = None) -> Any:
        """A row, or the default."""
        return self._rows.get(key, default)

    def on_key_set(self, key: Any, value: Any) -> NoReturn:  # noqa: ARG002  # Faust's signature
        """Refuse."""
        self._refuse()

    def on_key_del(self, key: Any) -> NoReturn:  # noqa: ARG002  # Faust's signature
        """Refuse."""
        self._refuse()

    def on_clear(self) -> NoReturn:
        """Refuse."""
        self._refuse()

    def _refuse(self) -> NoReturn:
        raise TypeError(f"table {self.name} is read-only: the engine alone changes it")


def add_views(app: faust.App, engines: Engines, applied: Any) -> None:
    """List the engines' state and `applied`, the history of migrations, among the app's tables."""
    manager = cast("ViewTableManager", app.tables)
    windows_help = "Open windows of this worker, by broker|symbol|start (epoch ms)."
    manager.add_view(ReadOnlyTable(app, OpenWindowsView(engines), name="windows", help=windows_help))
    times_help = "Stream time of each scope of this worker (epoch ms)."
    manager.add_view(ReadOnlyTable(app, StreamTimesView(engines), name="stream_times", help=times_help))
    manager.add_view(ReadOnlyTable(app, applied, name="migrations", help="Migrations that were applied."))
