"""`python -m tests.support.preload_server ADDRESS`: import the application once, then fork for each request on a Unix socket.

It ends when its standard input is closed. `tests/support/preloaded.py` is the client.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import pkgutil
import runpy
import selectors
import signal
import socket
import sys
import time
from typing import NoReturn, TypedDict

HEADER = 8  # bytes: the length of a request, in big-endian
# What a worker or a command imports, none of which reads settings; some of it is imported by name, or where it is needed.
MODULES = (
    "app.application",
    "app.ksqldb.watch",
    "app.web.migration_state",
    "app.web.openapi",
    "app.web.server",
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


class Request(TypedDict):
    """What to run."""

    module: str
    args: list[str]
    cwd: str
    env: dict[str, str]


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
    header, files, *_ = socket.recv_fds(connection, HEADER, 3)
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
