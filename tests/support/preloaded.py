"""Start the application's processes without importing it each time: a server imports it once and forks.

Importing Faust and the application takes a second of CPU. The tests start hundreds of workers and commands, so that second
was most of their time. A process from `launch` is a real one: it has a process id, its own environment, working directory
and files, takes signals, and ends with Python's usual finalization. Only its imports are inherited.

With CI set, or where the platform cannot do it (it needs Linux' pidfd), `launch` starts a new interpreter instead. So CI runs
every process as users do. BARWHEEL_TEST_PRELOAD=off does the same locally.

`python -m tests.support.preloaded ADDRESS` is the server. It ends when its standard input is closed.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import gc
import importlib
import json
import os
import pkgutil
import runpy
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
from typing import NoReturn, Protocol, TypedDict

ROOT = Path(__file__).parents[2]
# What a worker or a command imports, none of which reads settings; Faust imports some of its modules by name at the start.
MODULES = (
    "app.application",
    "faust.cli.faust",
    "faust.app.router",
    "faust.assignor",
    "faust.stores",
    "faust.tables.table",
    "faust.topics",
    "faust.web.drivers.aiohttp",
    "anyio._backends._asyncio",
    "httpcore",
    "tests.ksqldb_server.server",
)
PACKAGES = ("app.commands",)  # with their modules
START_DEADLINE = 60.0  # seconds
_HEADER = 8  # bytes: the length of a request


class Request(TypedDict):
    """What to run."""

    module: str
    args: list[str]
    cwd: str
    env: dict[str, str]


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
    off = os.environ.get("CI") or os.environ.get("BARWHEEL_TEST_PRELOAD") == "off"
    return not off and hasattr(os, "pidfd_open") and _python(env) == _server_python()


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
            [sys.executable, "-m", "tests.support.preloaded", self._address], cwd=ROOT, env=inherited, stdin=subprocess.PIPE
        )
        atexit.register(self._end)

    def _end(self) -> None:
        self._process.communicate()  # closes its standard input
        self._directory.cleanup()

    def fork(self, module: str, args: Sequence[str], cwd: Path, env: Mapping[str, str], files: list[int]) -> Forked:
        connection = self._connect()
        wanted: Request = {"module": module, "args": list(args), "cwd": str(cwd), "env": dict(env)}
        request = json.dumps(wanted).encode()
        socket.send_fds(connection, [len(request).to_bytes(_HEADER, "big")], files)
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
        """All its output, once it has ended; kills it and raises `subprocess.TimeoutExpired` after `timeout` seconds."""
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


# ---- the server's process


def main(address: str) -> NoReturn:
    """Import, then serve; each forked child leaves the loop and runs its module."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the tests, which end what they started
    for module in MODULES:
        importlib.import_module(module)
    for package in PACKAGES:
        for found in pkgutil.walk_packages(importlib.import_module(package).__path__, f"{package}."):
            importlib.import_module(found.name)
    gc.freeze()
    request, files = _serve(address)
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ.clear()
    os.environ.update(request["env"])
    time.tzset()
    os.chdir(request["cwd"])
    sys.path[0] = request["cwd"]
    sys.argv = [request["module"], *request["args"]]
    runpy.run_module(request["module"], run_name="__main__", alter_sys=True)
    sys.exit(0)


def _serve(address: str) -> tuple[Request, list[int]]:
    """Fork for each request until standard input ends; returns in the children only."""
    running: dict[int, tuple[int, socket.socket]] = {}  # pidfd: process id, connection
    with socket.socket(socket.AF_UNIX) as listener, selectors.DefaultSelector() as selector:
        listener.bind(address)
        listener.listen(64)
        for file in (listener.fileno(), 0):
            selector.register(file, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                if key.fd == 0:
                    sys.exit(0)
                if key.fd in running:
                    selector.unregister(key.fd)
                    _report(key.fd, *running.pop(key.fd))
                    continue
                connection, _ = listener.accept()
                request, files = _receive(connection)
                pid = os.fork()
                if not pid:
                    connection.close()
                    for pidfd, (_, other) in running.items():
                        os.close(pidfd)
                        other.close()
                    return request, files
                for file in files:
                    os.close(file)
                pidfd = os.pidfd_open(pid)
                running[pidfd] = pid, connection
                selector.register(pidfd, selectors.EVENT_READ)
                connection.sendall(b"%d\n" % pid)


def _receive(connection: socket.socket) -> tuple[Request, list[int]]:
    header, files, *_ = socket.recv_fds(connection, _HEADER, 3)
    length, parts = int.from_bytes(header, "big"), b""
    while len(parts) < length:
        parts += connection.recv(length - len(parts))
    request: Request = json.loads(parts)
    return request, files


def _report(pidfd: int, pid: int, connection: socket.socket) -> None:
    _, status = os.waitpid(pid, 0)
    os.close(pidfd)
    with connection, contextlib.suppress(OSError):  # whoever started it may have gone
        connection.sendall(b"%d\n" % os.waitstatus_to_exitcode(status))


if __name__ == "__main__":
    main(sys.argv[1])
