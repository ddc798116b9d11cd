"""Start the application's processes without importing it each time: a server imports it once and forks.

Importing Faust and the application takes a second of CPU. The tests start hundreds of workers and commands, so that second
was most of their time. A process from `launch` is a real one: it has a process id, its own environment, working directory
and files, takes signals, and ends with Python's usual finalization. Only its imports are inherited.

With BARWHEEL_TEST_PRELOAD=off, or where the platform cannot do it (it needs Linux' pidfd), `launch` starts a new interpreter
instead. In CI the tests of bad settings, signals and unforeseen errors do that (`tests/conftest.py`): they start processes
as users do.

`tests/support/preload_server.py` is the server.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from tests.support.preload_server import HEADER, Request

ROOT = Path(__file__).parents[2]
START_DEADLINE = 60.0  # seconds


class Process(Protocol):
    """What tests use of `subprocess.Popen`."""

    pid: int

    def poll(self) -> int | None: ...

    def wait(self, timeout: float | None = None) -> int: ...

    def send_signal(self, sig: int) -> None: ...

    def kill(self) -> None: ...


def launch(
    module: str,
    args: Sequence[str],
    *,
    cwd: Path,
    env: Mapping[str, str],
    stdin: int = subprocess.DEVNULL,
    stdout: int,
    stderr: int,
) -> Process:
    """Start `python -m module args`; `stdout` and `stderr` are file descriptors. Returns at once, like `Popen`."""
    if _can_fork(env):
        with open(os.devnull, "rb") as null:  # noqa: PTH123  # devnull is no path of ours
            files = [null.fileno() if stdin == subprocess.DEVNULL else stdin, stdout, stderr]
            return _server().fork(module, args, cwd, env, files)
    command = [sys.executable, "-m", module, *args]
    return subprocess.Popen(command, cwd=cwd, env=dict(env), stdin=stdin, stdout=stdout, stderr=stderr)


def _can_fork(env: Mapping[str, str]) -> bool:
    return os.environ.get("BARWHEEL_TEST_PRELOAD") != "off" and hasattr(os, "pidfd_open") and _python(env) == _server_python()


def _python(env: Mapping[str, str]) -> dict[str, str]:
    """The variables that the interpreter reads when it starts: a fork cannot change them."""
    return {name: value for name, value in env.items() if name.startswith("PYTHON")}


def environment() -> dict[str, str]:
    """Our own environment for a process of the application: its modules can be imported, its output is not buffered."""
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    return {**os.environ, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1"}


def _server_python() -> dict[str, str]:
    return _python(environment())


@functools.cache
def _server() -> _Server:
    return _Server()


class _Server:
    """The client's side of the server, one for each process that runs tests."""

    def __init__(self) -> None:
        self._directory = tempfile.TemporaryDirectory(prefix="barwheel-preloaded-", ignore_cleanup_errors=True)
        self._address = str(Path(self._directory.name) / "socket")
        inherited = {name: value for name, value in environment().items() if not name.startswith("BARWHEEL_")}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.preload_server", self._address],
            cwd=ROOT,
            env=inherited,
            stdin=subprocess.PIPE,
        )
        atexit.register(self._end)

    def _end(self) -> None:
        self._process.communicate()  # closes its standard input
        self._directory.cleanup()

    def fork(self, module: str, args: Sequence[str], cwd: Path, env: Mapping[str, str], files: list[int]) -> Forked:
        connection = self._connect()
        wanted: Request = {"module": module, "args": list(args), "cwd": str(cwd), "env": dict(env)}
        request = json.dumps(wanted).encode()
        socket.send_fds(connection, [len(request).to_bytes(HEADER, "big")], files)
        connection.sendall(request)
        return Forked(connection)

    def _connect(self) -> socket.socket:
        until = time.monotonic() + START_DEADLINE
        while True:
            connection = socket.socket(socket.AF_UNIX)
            try:
                connection.connect(self._address)
            except OSError:
                connection.close()
                code = self._process.poll()
                if code is not None or time.monotonic() > until:
                    raise AssertionError(f"the server of preloaded processes does not answer (exit code {code})") from None
                time.sleep(0.02)
            else:
                return connection


class Forked:
    """A process that the server forked; the server sends its id, and its exit code when it has ended."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._input = connection.makefile("rb", buffering=0)
        self.pid = int(self._input.readline())
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Its exit code, None while it runs; negative for a signal, as `subprocess` has it."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Its exit code once it has ended; raises `subprocess.TimeoutExpired`."""
        if self.returncode is None:
            with selectors.DefaultSelector() as selector:
                selector.register(self._connection, selectors.EVENT_READ)
                if not selector.select(timeout):
                    raise subprocess.TimeoutExpired(["process", str(self.pid)], timeout or 0)
            self.returncode = int(self._input.readline())
            self._input.close()
            self._connection.close()
        return self.returncode

    def send_signal(self, sig: int) -> None:
        """Send a signal unless it has ended."""
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):  # it ended in between
                os.kill(self.pid, sig)

    def kill(self) -> None:
        """SIGKILL."""
        self.send_signal(signal.SIGKILL)

    def __del__(self) -> None:
        self._input.close()
        self._connection.close()


class Command:
    """A process whose standard output and error come through a pipe; what tests use of `subprocess.Popen`."""

    def __init__(self, module: str, args: Sequence[str], *, cwd: Path, env: Mapping[str, str]) -> None:
        reading, writing = os.pipe()
        self.stdout = os.fdopen(reading)
        try:
            self._process = launch(module, args, cwd=cwd, env=env, stdout=writing, stderr=writing)
        finally:
            os.close(writing)
        self.pid = self._process.pid
        self.poll, self.wait = self._process.poll, self._process.wait
        self.send_signal, self.kill = self._process.send_signal, self._process.kill

    @property
    def returncode(self) -> int | None:
        """Its exit code; None while it runs."""
        return self.poll()

    def communicate(self, timeout: float | None = None) -> tuple[str, None]:
        """All its output, once it has ended; kills it and raises `subprocess.TimeoutExpired` after `timeout` seconds.

        A second call returns no output.
        """
        if self.stdout.closed:
            self.wait(timeout)
            return "", None
        late = threading.Event()

        def expire() -> None:
            late.set()
            self.kill()

        watchdog = threading.Timer(timeout or START_DEADLINE, expire)
        watchdog.start()
        try:
            with self.stdout:
                text = self.stdout.read()
            self.wait()
        finally:
            watchdog.cancel()
        if late.is_set():
            raise subprocess.TimeoutExpired(["process", str(self.pid)], timeout or START_DEADLINE, text)
        return text, None
