"""The pocket broker as a process of its own: started detached, found again, ended by its process id."""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import struct
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import orjson

from app.errors import BrokerError
from app.settings.data_dir import make_folder

STATE_FILE = "process.json"
LOG_FILE = "broker.log"
POLL = 0.05  # seconds
_API_VERSIONS = struct.pack(">ihhih", 10, 18, 0, 1, -1)


_detached: list[subprocess.Popen[bytes]] = []  # they outlive us on purpose: letting go of one would be reported as a leak


@dataclass(frozen=True)
class Running:
    """A broker that runs."""

    host: str
    port: int
    pid: int
    data_dir: Path


def write_state(data_dir: Path, host: str, port: int) -> None:
    """Tell others where this process listens; called by the broker itself once it does."""
    state = {"host": host, "port": port, "pid": os.getpid()}
    fresh = data_dir / f"{STATE_FILE}.new"
    fresh.write_bytes(orjson.dumps(state))
    fresh.replace(data_dir / STATE_FILE)


def running(data_dir: Path) -> Running | None:
    """The broker that holds this directory; None if there is none, or it is still starting."""
    if not _locked(data_dir):
        return None
    try:
        state = orjson.loads((data_dir / STATE_FILE).read_bytes())
    except FileNotFoundError:
        return None
    found = Running(state["host"], state["port"], state["pid"], data_dir)
    return found if _alive(found.pid) and answers(found.host, found.port) else None


def ensure(
    data_dir: Path, host: str = "127.0.0.1", port: int = 19092, idle_exit: float = 60.0, deadline: float = 20.0
) -> Running:
    """The broker of this directory, started if it does not run; `port` 0 takes a free one.

    It ends by itself `idle_exit` seconds after its last connection closed, 0 for never. Raises `BrokerError` where it is not
    up after `deadline` seconds, with the end of its log, or where the port is another program's.
    """
    make_folder(data_dir)
    until = time.monotonic() + deadline
    started: subprocess.Popen[bytes] | None = None
    with (data_dir / "starting").open("ab") as turn:  # one starter at a time, or some would start what cannot run
        while time.monotonic() < until:
            if not _try_lock(turn.fileno()):
                time.sleep(POLL)
                continue
            found = running(data_dir)
            if found is not None:
                return found
            if started is None and not _locked(data_dir):
                started = _start(data_dir, host, port, idle_exit)
            if started is not None and started.poll() is not None:
                raise BrokerError(f"the pocket broker in {data_dir} did not start: {_last_line(data_dir)}")
            time.sleep(POLL)
    raise BrokerError(f"the pocket broker in {data_dir} does not answer after {deadline:.0f} s: {_last_line(data_dir)}")


def stop(data_dir: Path, deadline: float = 10.0) -> bool:
    """End the broker of this directory; whether there was one. Raises `BrokerError` where it does not end in time."""
    found = running(data_dir)
    if found is None:
        return False
    os.kill(found.pid, signal.SIGTERM)
    until = time.monotonic() + deadline
    while _locked(data_dir):
        if time.monotonic() > until:
            raise BrokerError(f"the pocket broker (process {found.pid}) did not end within {deadline:.0f} s")
        time.sleep(POLL)
    return True


def answers(host: str, port: int) -> bool:
    """Whether something there answers as a Kafka broker does."""
    try:
        with socket.create_connection((host, port), timeout=2.0) as connection:
            connection.sendall(_API_VERSIONS)
            return len(connection.recv(8)) > 0
    except OSError:
        return False


def _start(data_dir: Path, host: str, port: int, idle_exit: float) -> subprocess.Popen[bytes]:
    (data_dir / STATE_FILE).unlink(missing_ok=True)
    command = [sys.executable, "-m", "app.pocket", "--host", host, "--port", str(port)]
    command += ["--data-dir", str(data_dir.resolve()), "--idle-exit", str(idle_exit)]
    path = os.pathsep.join([str(Path(__file__).resolve().parents[2]), os.environ.get("PYTHONPATH", "")])
    with (data_dir / LOG_FILE).open("ab") as log:
        started = subprocess.Popen(  # noqa: S603  # our own module
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,  # a worker that is killed must not take it along
            env={**os.environ, "PYTHONPATH": path.rstrip(os.pathsep)},
        )
    _detached.append(started)
    return started


def _locked(data_dir: Path) -> bool:
    """Whether a broker holds the directory."""
    try:
        file = os.open(data_dir / "lock", os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)  # shared: many may ask at once
    except OSError:
        return True
    finally:
        os.close(file)
    return False


def _try_lock(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def _last_line(data_dir: Path) -> str:
    path = data_dir / LOG_FILE
    lines = path.read_text(errors="replace").strip().splitlines() if path.exists() else []
    return lines[-1] if lines else "it wrote nothing"
