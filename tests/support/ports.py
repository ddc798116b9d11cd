"""Ports for the servers of tests: what was closed here is not given to another program while the test counts on it.

A port that the kernel picks (port 0) is given again to whoever asks next: to the worker of another test process, while
this one expects that nothing answers there, or wants it back after a restart. So the ports of tests lie below those that
the kernel picks, each process leases some of them with a file lock, and goes through all of them before it repeats one.
"""

from __future__ import annotations

import fcntl
import socket
import tempfile
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import IO

_FIRST = 10_240
_EACH = 200  # ports of a process
_PROCESSES = 110  # the last port is below 32,768, where Linux begins to pick
_held: list[IO[bytes]] = []  # a lease ends with its process


def free_port() -> int:
    """A port at which nothing listens, and that no other test process takes."""
    return next(_ports)


def free_ports(number: int) -> list[int]:
    """Several of them."""
    return [free_port() for _ in range(number)]


def _free() -> Iterator[int]:
    first = _lease()
    for turn in count():
        port = first + turn % _EACH
        if _is_free(port):
            yield port


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # connections that have ended do not count
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _lease() -> int:
    directory = Path(tempfile.gettempdir()) / "barwheel-test-ports"
    directory.mkdir(mode=0o777, exist_ok=True)
    for number in range(_PROCESSES):
        lock = (directory / str(number)).open("ab")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            continue
        _held.append(lock)
        return _FIRST + number * _EACH
    raise AssertionError(f"{_PROCESSES} test processes hold all ports; see {directory}")


_ports = _free()
