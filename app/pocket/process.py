"""The pocket broker as a detached process: starting it, finding the one that runs, and stopping it."""

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


# Brokers outlive the process that started them. Python warns when the object of a running process is deleted.
_detached: list[subprocess.Popen[bytes]] = []


@dataclass(frozen=True)
class Running:
    """A running broker."""

    host: str
    port: int
    pid: int
    data_dir: Path


def write_state(data_dir: Path, host: str, port: int) -> None:
    """Publish the address of this process. The broker calls it as soon as it listens."""
    state = {"host": host, "port": port, "pid": os.getpid()}
    fresh = data_dir / f"{STATE_FILE}.new"
    fresh.write_bytes(orjson.dumps(state))
    fresh.replace(data_dir / STATE_FILE)


def running(data_dir: Path) -> Running | None:
    """The broker that runs in this directory; None if there is none, or if it is still starting."""
    if not _locked(data_dir):
        return None
    try:
        state = orjson.loads((data_dir / STATE_FILE).read_bytes())
    except FileNotFoundError:
        return None
    broker = Running(state["host"], state["port"], state["pid"], data_dir)
    return broker if _alive(broker.pid) and answers(broker.host, broker.port) else None


def ensure(
    data_dir: Path, host: str = "127.0.0.1", port: int = 19092, idle_exit: float = 60.0, deadline: float = 20.0
) -> Running:
    """The broker of this directory; it is started if it does not run. `port` 0 takes a free one.

    It ends by itself `idle_exit` seconds after its last connection was closed; 0 means never. Raises `BrokerError` with the
    last line of its log if it does not answer within `deadline` seconds, or if another program has the port.
    """
    make_folder(data_dir)
    until = time.monotonic() + deadline
    started: subprocess.Popen[bytes] | None = None
    with (data_dir / "starting").open("ab") as lock:  # only one process at a time may start a broker
        while time.monotonic() < until:
            if not _try_lock(lock.fileno()):
                time.sleep(POLL)
                continue
            broker = running(data_dir)
            if broker is not None:
                return broker
            if started is None and not _locked(data_dir):
                started = _start(data_dir, host, port, idle_exit)
            if started is not None and started.poll() is not None:
                raise BrokerError(f"the pocket broker in {data_dir} did not start: {_last_line(data_dir)}")
            time.sleep(POLL)
    raise BrokerError(f"the pocket broker in {data_dir} does not answer after {deadline:.0f} s: {_last_line(data_dir)}")


def stop(data_dir: Path, deadline: float = 10.0) -> bool:
    """Stop the broker of this directory; whether there was one. Raises `BrokerError` if it does not end in time."""
    broker = running(data_dir)
    if broker is None:
        return False
    os.kill(broker.pid, signal.SIGTERM)
    until = time.monotonic() + deadline
    while _locked(data_dir):
        if time.monotonic() > until:
            raise BrokerError(f"the pocket broker (process {broker.pid}) did not end within {deadline:.0f} s")
        time.sleep(POLL)
    return True


def answers(host: str, port: int) -> bool:
    """Whether a program at this address answers an ApiVersions request."""
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
        started = subprocess.Popen(  # noqa: S603  # a fixed command
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,  # a signal to the worker's process group must not end it
            env={**os.environ, "PYTHONPATH": path.rstrip(os.pathsep)},
        )
    _detached.append(started)
    return started


def _locked(data_dir: Path) -> bool:
    """Whether a broker holds the lock of the directory."""
    try:
        file = os.open(data_dir / "lock", os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)  # shared, so that several processes can check at once
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
