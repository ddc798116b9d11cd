"""Starts the demo's pocket broker and worker on free ports, and stops them by process id."""

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

WINDOW, GRACE = "5s", "1s"  # small, so that the first bar is published within seconds
MARKER = "made-by-app-demo"  # a file that says whose the directory is
_MADE = ("demo.pid", "worker.pid", "worker.log", "pocket", "read-model", "faust", MARKER)  # all that a demo leaves there
_LOG_LINES = 15
_STOP_WAIT = 20.0  # seconds the worker has for its last checkpoint


class WorkerDiedError(BarwheelError):
    """The demo's worker exited; the message has the last lines of its log."""


def demo_settings(user: Settings) -> Settings:
    """The defaults, with small windows, free ports, and a directory below the user's data_dir."""
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
    """The port if it is free, otherwise another free one."""
    for wanted in (port, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((POCKET_HOST, wanted))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise InputError("no free port on 127.0.0.1")


@dataclass
class Host:
    """The demo's broker and worker. A context manager: both are stopped when it is left."""

    settings: Settings
    cluster: Cluster = field(default_factory=lambda: Cluster(""))  # known once entered
    _worker: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def log(self) -> Path:
        """The worker's log file."""
        return self.settings.data_dir / "worker.log"

    @property
    def web(self) -> str:
        """The worker's web address."""
        return f"http://{self.settings.web_host}:{self.settings.web_port}"

    def __enter__(self) -> Self:
        """Delete what the previous run left, then start the broker, and the worker beside it, which takes longer to start.

        Raises `InputError` if another demo runs or the directory is not a demo's, and `BrokerError` if the broker does not
        start.
        """
        home = self.settings.data_dir
        check_ours(home)
        other = _alive(home / "demo.pid")
        if other is not None:
            raise InputError(f"another demo is running (process {other}); stop it first")
        _end_orphan(home / "worker.pid")  # a demo that was killed left its worker and broker
        process.stop(home / "pocket")
        _delete_made(home)
        make_folder(home)
        (home / MARKER).touch()
        (home / "demo.pid").write_text(str(os.getpid()), encoding="ascii")
        self._start_worker()
        try:
            running = process.ensure(home / "pocket", POCKET_HOST, self.settings.pocket_port, POCKET_IDLE_EXIT)
        except BaseException:
            self.__exit__()
            raise
        self.cluster = Cluster(f"{running.host}:{running.port}")
        return self

    def __exit__(self, *_: object) -> None:
        """Stop the worker, then the broker. The directory with the log is kept until the next run."""
        try:
            self._stop_worker()
        finally:
            process.stop(self.settings.data_dir / "pocket")
            for name in ("worker.pid", "demo.pid"):
                (self.settings.data_dir / name).unlink(missing_ok=True)

    def _start_worker(self) -> None:
        """Start `app worker` with these settings only; none come from the user's environment or .env file."""
        env = {k: v for k, v in os.environ.items() if not k.upper().startswith(PREFIX)}
        env |= {PREFIX + name.upper(): self.settings.text_of(name) for name in Settings.model_fields}
        command = [sys.executable, "-m", "app", "worker", "--web-port", str(self.settings.web_port)]
        with self.log.open("wb") as log:
            # its own session, so that Ctrl-C reaches only the demo, which then stops the worker
            self._worker = subprocess.Popen(  # noqa: S603 - our own command
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=env, start_new_session=True
            )
        (self.settings.data_dir / "worker.pid").write_text(str(self._worker.pid), encoding="ascii")

    def check(self) -> None:
        """Raise `WorkerDiedError` if the worker has exited."""
        if self._worker is None or self._worker.poll() is None:
            return
        lines = self.log.read_text("utf-8", "replace").splitlines()[-_LOG_LINES:]
        shown = "\n".join(f"  {line}" for line in lines)
        raise WorkerDiedError(f"the worker ended with code {self._worker.returncode}; {self.log} ends with\n{shown}")

    async def accounting(self, session: aiohttp.ClientSession) -> dict[str, Any] | None:
        """The answer of /api/v1/accounting; None while the web port does not answer. Raises `WorkerDiedError`."""
        self.check()
        try:
            async with session.get(f"{self.web}/api/v1/accounting") as answer:
                if answer.status != 200:  # noqa: PLR2004 - HTTP's own number
                    return None
                data: dict[str, Any] = await answer.json()
                return data
        except (aiohttp.ClientError, TimeoutError, asyncio.IncompleteReadError):
            return None  # not up yet, or busy; the next call tries again

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


def check_ours(home: Path) -> None:
    """Raise `InputError` if a demo may not use a directory: it holds something, and no demo has made it."""
    try:
        there = {path.name for path in home.iterdir()}
    except FileNotFoundError:
        return
    except NotADirectoryError:
        raise InputError(f"{home} is no folder: move it away, or set {PREFIX}DATA_DIR to another folder") from None
    # demos of earlier versions left no marker
    earlier = there <= set(_MADE) and (home / "worker.log").is_file() and (home / "pocket" / process.LOG_FILE).is_file()
    if there and MARKER not in there and not earlier:
        raise InputError(
            f"{home} was not made by app demo, which would clear it: move it away, or set {PREFIX}DATA_DIR to another folder"
        )


def _delete_made(home: Path) -> None:
    """Delete what a demo makes, and nothing else."""
    for path in (home / name for name in _MADE):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def _end_orphan(pid_file: Path) -> None:
    """Kill the worker of an earlier demo: it would join the new worker's group on the new broker."""
    pid = _alive(pid_file)
    if pid is None:
        return
    command = ["ps", "-o", "command=", "-p", str(pid)]  # the process id may have been reused
    shown = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - fixed arguments
    if "-m app worker" in shown.stdout:
        with contextlib.suppress(ProcessLookupError):  # it has just exited
            os.kill(pid, signal.SIGKILL)


def _alive(pid_file: Path) -> int | None:
    """The process id in a file, if that process runs and is not this one."""
    try:
        pid = int(pid_file.read_text(encoding="ascii"))
        os.kill(pid, 0)
    except (FileNotFoundError, ValueError, ProcessLookupError):
        return None
    except PermissionError:
        return pid
    return None if pid == os.getpid() else pid
