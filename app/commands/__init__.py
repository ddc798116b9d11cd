"""The commands that barwheel adds to Faust's command line. They parse and print; the work is done elsewhere in `app`."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import faust


def register(app: faust.App) -> None:
    """Add our commands to `faust -A app` and to the console scripts, and adapt Faust's own."""
    # Imported here: `faust.cli` defines its command line on import, which only a process with a Faust app needs.
    from app.commands.faust_cli import adapt  # noqa: PLC0415

    adapt(app)
