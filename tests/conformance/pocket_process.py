"""A pocket broker in its own process, as users run it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from app.pocket import process
from tests.support.ports import free_port
from tests.support.waiting import until_sync
from tests.support.worker import ROOT

_TAIL = 4_000  # characters


class PocketProcess:
    """A pocket broker with its data in `directory`. A restart uses the same port."""

    program: tuple[str, tuple[str, ...]] = ("app.pocket", ())  # module and arguments

    def __init__(self, directory: Path, *, port: int = 0, idle_exit: float = 0) -> None:
        self.directory = directory
        self.port = port or free_port()
        self.bootstrap = f"127.0.0.1:{self.port}"
        self._idle_exit = idle_exit
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start, and return when it answers; raises AssertionError with the end of its log if the process ends."""
        with (self.directory / "test.log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *(sys.executable, "-m", self.program[0], *self.program[1]),
                    *("--host", "127.0.0.1", "--port", str(self.port)),
                    *("--data-dir", str(self.directory), "--idle-exit", str(self._idle_exit)),
                ],
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        until_sync(self._up, what="the pocket broker answers")

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def kill(self) -> None:
        """`kill -9`."""
        self._signal(signal.SIGKILL)

    def stop(self) -> int:
        """Stop it by SIGTERM; returns its exit code."""
        return self._signal(signal.SIGTERM)

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal that does not end it."""
        os.kill(self.pid, number)

    def wait(self, deadline: float = 30.0) -> int:
        """Wait until it ends by itself; returns its exit code."""
        assert self._process is not None
        return self._process.wait(deadline)

    def log_tail(self) -> str:
        path = self.directory / "test.log"
        return path.read_text(errors="replace")[-_TAIL:] if path.exists() else ""

    def _signal(self, number: signal.Signals) -> int:
        assert self._process is not None
        os.kill(self._process.pid, number)
        return self._process.wait(30)

    def _up(self) -> bool:
        assert self.alive, self.log_tail()
        return process.running(self.directory) is not None
