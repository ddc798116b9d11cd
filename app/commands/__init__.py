"""The commands that barwheel adds to Faust's command line."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import faust

# \b keeps click from joining the lines
WORKER_EXAMPLE = "\b\nExample:\n  app worker\n  app worker --web-port 6067      a second one on this machine"


def register(app: faust.App) -> None:
    """Add our commands to `faust -A app` and to the console script."""
    from faust.cli.faust import cli  # noqa: PLC0415 - a command line only

    from app.commands import bars, broker, demo, doctor, flush, migrate, reconcile, replay, topics  # noqa: PLC0415 - built with the app

    for module in (demo, replay, bars, flush, migrate, reconcile, broker, topics, doctor):
        module.register(app)
    cli.commands["worker"].epilog = WORKER_EXAMPLE
