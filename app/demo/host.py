"""What the demo starts, and stops again by process id: a pocket broker and a worker, on ports that are free."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import aiohttp

from app.errors import BarwheelError, InputError
from app.kafka.bootstrap import POCKET_HOST, POCKET_IDLE_EXIT
from app.kafka.cluster import Cluster
from app.pocket import process
from app.settings import PREFIX, Settings
from app.settings.data_dir import make_folder
from app.settings.durations import duration_ms

WINDOW, GRACE = "5s", "1s"  # small, so that the first bar is there within seconds
_LOG_LINES = 15
_STOP_WAIT = 20.0  # seconds a worker has for its last checkpoint


class WorkerDiedError(BarwheelError):
    """The demo's worker ended by itself; the text has the last lines of its log."""


def demo_settings(user: Settings) -> Settings:
    """Settings of the demo: the defaults, its own directory, small windows, ports that are free."""
    defaults = {name: f.default for name, f in Settings.model_fields.items()}
    return Settings.load(
        **defaults
        | {
            "app_id": "barwheel-demo",
            "window_size": duration_ms(WINDOW),
            "grace": duration_ms(GRACE),
            "data_dir": user.data_dir / "demo",
            "pocket_port": _free_or(user.pocket_port),
            "web_port": _free_or(user.web_port),
        }
    )


def _free_or(port: int) -> int:
    """The port where it is free, else another free one."""
    for wanted in (port, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((POCKET_HOST, wanted))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise InputError("no free port on 127.0.0.1")


NOWHERE = Cluster("")


@dataclass
class Host:
    """The demo's processes; use it as a context manager, so that they end with it whatever happens."""

    settings: Settings
    cluster: Cluster = NOWHERE
    _worker: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def log(self) -> Path:
        """Where the worker logs to."""
        return self.settings.data_dir / "worker.log"

    @property
    def web(self) -> str:
        """The worker's web address."""
        return f"http://{self.settings.web_host}:{self.settings.web_port}"

    def __enter__(self) -> Self:
        """Start from nothing: an earlier run's directory goes, unless that run is still there."""
        home = self.settings.data_dir
        other = _alive(home / "demo.pid")
        if other is not None:
            raise InputError(f"another demo is running (process {other}): end it first")
        _end_orphan(home / "worker.pid")  # these two outlived a demo that was killed
        process.stop(home / "pocket")
        shutil.rmtree(home, ignore_errors=True)
        make_folder(home)
        (home / "demo.pid").write_text(str(os.getpid()), encoding="ascii")
        found = process.ensure(home / "pocket", POCKET_HOST, self.settings.pocket_port, POCKET_IDLE_EXIT)
        self.cluster = Cluster(f"{found.host}:{found.port}")
        return self

    def __exit__(self, *_: object) -> None:
        """Stop the worker, then the broker; the directory with the log stays until the next run."""
        try:
            self._stop_worker()
        finally:
            process.stop(self.settings.data_dir / "pocket")
            for name in ("worker.pid", "demo.pid"):
                (self.settings.data_dir / name).unlink(missing_ok=True)

    def start_worker(self) -> None:
        """Start `app worker` with exactly these settings, whatever the user's environment and .env hold."""
        env = {k: v for k, v in os.environ.items() if not k.upper().startswith(PREFIX)}
        env |= {PREFIX + name.upper(): self.settings.text_of(name) for name in Settings.model_fields}
        command = [sys.executable, "-m", "app", "worker", "--web-port", str(self.settings.web_port)]
        with self.log.open("wb") as log:
            # its own session: Ctrl-C is for the demo, which then stops it in order
            self._worker = subprocess.Popen(  # noqa: S603 - our own command
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=env, start_new_session=True
            )
        (self.settings.data_dir / "worker.pid").write_text(str(self._worker.pid), encoding="ascii")

    def check(self) -> None:
        """Raise `WorkerDiedError` where the worker has ended."""
        if self._worker is None or self._worker.poll() is None:
            return
        lines = self.log.read_text("utf-8", "replace").splitlines()[-_LOG_LINES:]
        shown = "\n".join(f"  {line}" for line in lines)
        raise WorkerDiedError(f"the worker ended with code {self._worker.returncode}; {self.log} ends with\n{shown}")

    async def accounting(self, session: aiohttp.ClientSession) -> dict[str, Any] | None:
        """The worker's own counters; None while its web port does not answer yet."""
        self.check()
        try:
            async with session.get(f"{self.web}/api/v1/accounting") as answer:
                if answer.status != 200:  # noqa: PLR2004 - HTTP's own number
                    return None
                data: dict[str, Any] = await answer.json()
                return data
        except (aiohttp.ClientError, TimeoutError, asyncio.IncompleteReadError):
            return None  # not up yet, or busy: asked again in a moment, and a dead worker is noticed by check()

    def _stop_worker(self) -> None:
        worker = self._worker
        if worker is None or worker.poll() is not None:
            return
        worker.send_signal(signal.SIGTERM)
        try:
            worker.wait(_STOP_WAIT)
        except subprocess.TimeoutExpired:
            worker.kill()
            worker.wait()


def _end_orphan(pid_file: Path) -> None:
    """End the worker of an earlier demo: on the new broker it would join the new worker's group."""
    pid = _alive(pid_file)
    if pid is None:
        return
    command = ["ps", "-o", "command=", "-p", str(pid)]  # the number may be another program's by now
    shown = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - as POSIX has it
    if "-m app worker" in shown.stdout:
        with contextlib.suppress(ProcessLookupError):  # it ended meanwhile, which is as good
            os.kill(pid, signal.SIGKILL)


def _alive(pid_file: Path) -> int | None:
    """The process named in a file, where it runs and is not us."""
    try:
        pid = int(pid_file.read_text(encoding="ascii"))
        os.kill(pid, 0)
    except (FileNotFoundError, ValueError, ProcessLookupError):
        return None
    except PermissionError:
        return pid
    return None if pid == os.getpid() else pid
