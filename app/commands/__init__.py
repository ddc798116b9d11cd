"""The commands that barwheel adds to Faust's command line. They parse and print; the work is done elsewhere in `app`."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import faust


def register(app: faust.App) -> None:
    """Add our commands to `faust -A app` and to the console scripts, and adapt Faust's own."""
    # Imported here: `faust.cli` defines its command line on import, which only a process with a Faust app needs.
    from app.commands import (  # noqa: PLC0415
        backfill,
        bars,
        broker,
        completion,
        demo,
        doctor,
        export,
        faust_cli,
        flush,
        inspect,
        migrate,
        reconcile,
        replay,
        send,
        topics,
    )

    data = (replay, bars, export, backfill)
    for module in (demo, inspect, *data, flush, migrate, reconcile, broker, topics, doctor, send, completion):
        module.register(app)
    faust_cli.adapt()
