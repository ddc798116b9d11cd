"""`app broker`: run the pocket broker in the foreground, or show or stop the one that runs."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from faust.cli.base import option

from app.commands import base
from app.errors import InputError
from app.kafka.bootstrap import POCKET_HOST
from app.pocket import process
from app.settings import Settings

if TYPE_CHECKING:
    import faust


def register(app: faust.App) -> None:
    """Add the command."""

    @app.command(
        option("--stop", is_flag=True, default=False, show_default=False, help="Stop the one that runs."),
        option(
            "--status",
            is_flag=True,
            default=False,
            show_default=False,
            help="Show whether one runs, and its address.",
        ),
        base.json_option,
        base=base.BarwheelCommand,
    )
    async def broker(self: base.BarwheelCommand, *, stop: bool, status: bool, as_json: bool) -> int:  # noqa: ARG001
        """Run the pocket broker in the foreground until Ctrl-C.

        It is for trying out and for tests. Exit code 1 if --stop or --status finds none, 3 if its port or its directory is
        in use.

        \b
        Example:
          app broker
          app broker --status
          app broker --stop
        """  # noqa: D301 - click reads \b
        return run(Settings.load(), stop=stop, status=status, as_json=as_json)


def run(settings: Settings, *, stop: bool, status: bool, as_json: bool) -> int:
    """Run, stop or show; returns the exit code. Without `stop` and `status` this process becomes the broker."""
    if stop and status:
        raise InputError("--stop and --status: give one of them")
    data_dir = settings.data_dir / "pocket"
    if not stop and not status:
        _become(data_dir, settings.pocket_port)
    found = process.running(data_dir)
    if stop:
        process.stop(data_dir)
    _say(found, data_dir, stopped=stop, as_json=as_json)
    return 0 if found else 1


def _become(data_dir: Path, port: int) -> None:
    sys.stdout.flush()
    command = ["-m", "app.pocket", "--host", POCKET_HOST, "--port", str(port), "--data-dir", str(data_dir)]
    os.execv(sys.executable, [sys.executable, *command, "--idle-exit", "0"])  # noqa: S606 - our own module


def _say(found: process.Running | None, data_dir: Path, *, stopped: bool, as_json: bool) -> None:
    if as_json:
        where = {"host": found.host, "port": found.port, "pid": found.pid} if found else {}
        base.out_json({"running": found is not None and not stopped, "data_dir": str(data_dir), **where})
    elif found is None:
        base.out(f"no pocket broker runs on {data_dir}")
    else:
        state = "stopped" if stopped else "runs"
        base.out(f"the pocket broker at {found.host}:{found.port} (process {found.pid}, data in {data_dir}) {state}")
