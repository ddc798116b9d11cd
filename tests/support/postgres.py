"""A private PostgreSQL server: on a free port of 127.0.0.1, with its data in a directory of the test."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Self

from tests.support.ports import free_ports
from tests.support.waiting import until_sync

PROGRAMS = ("initdb", "postgres", "psql")
USER, DATABASE = "bars", "bars"
# The data need not survive a crash of the machine.
SETTINGS = ("fsync=off", "full_page_writes=off", "shared_buffers=16MB", "max_connections=20")
_DEADLINE = 60.0
# PostgreSQL refuses to run as root. As `nobody`, with the right to pass over file modes, it works in root's directories.
_NOT_ROOT = ("--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=+dac_override", "--ambient-caps=+dac_override")


def postgres_unavailable() -> str | None:
    """Why PostgreSQL cannot run here, None if it can."""
    missing = [name for name in PROGRAMS if _program(name) is None]
    if missing:
        return f"no PostgreSQL: {', '.join(missing)} missing (Debian: postgresql)"
    if os.geteuid() == 0 and subprocess.run(_as_user("true"), capture_output=True, check=False).returncode != 0:
        return "no PostgreSQL: it does not run as root, and setpriv cannot change the user"
    return None


class Postgres(AbstractContextManager["Postgres"]):
    """A server with one empty database. Whoever connects from this machine is trusted."""

    def __init__(self, directory: Path) -> None:
        self._data, self._log = directory / "postgres", directory / "postgres.log"
        (self.port,) = free_ports(1)
        self.url = f"jdbc:postgresql://127.0.0.1:{self.port}/{DATABASE}"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        made = ("-D", str(self._data), "-U", USER, "--auth=trust", "--no-sync", "--encoding=UTF8", "--locale=C")
        subprocess.run(_as_user("initdb", *made), check=True, capture_output=True, timeout=_DEADLINE)
        options = [word for setting in SETTINGS for word in ("-c", setting)]
        # it listens on TCP alone: the path of a socket in a test's directory could be too long
        options += ["-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=", "-p", str(self.port)]
        with self._log.open("wb") as log:
            command = _as_user("postgres", "-D", str(self._data), *options)
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        try:
            until_sync(self._ready, deadline=_DEADLINE, what="PostgreSQL answers")
            self.query(f"CREATE DATABASE {DATABASE}", database="postgres")
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def query(self, statement: str, *, database: str = DATABASE) -> list[tuple[str, ...]]:
        """The rows of a statement as PostgreSQL prints them; raises `AssertionError` with its message where it fails."""
        done = self._psql(statement, database)
        assert done.returncode == 0, done.stderr
        return [tuple(line.split("\t")) for line in done.stdout.splitlines()]

    def _psql(self, statement: str, database: str) -> subprocess.CompletedProcess[str]:
        where = ("-h", "127.0.0.1", "-p", str(self.port), "-U", USER, "-d", database)
        command = [str(_program("psql")), "-XqAt", "-F", "\t", "-v", "ON_ERROR_STOP=1", *where, "-c", statement]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=_DEADLINE)

    def _ready(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            raise RuntimeError(f"PostgreSQL ended with exit code {self._process.returncode}; {self._log.read_text()}")
        return self._psql("SELECT 1", "postgres").returncode == 0

    def _end(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGINT)  # a fast shutdown: it closes the connections that are open
        try:
            self._process.wait(_DEADLINE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def _program(name: str) -> str | None:
    """The program on the PATH, otherwise that of the newest version that Debian installed."""
    installed = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: int(path.parts[-3]))
    return shutil.which(name) or (str(installed[-1]) if installed else None)


def _as_user(name: str, *arguments: str) -> Sequence[str]:
    command = [_program(name) or name, *arguments]
    return command if os.geteuid() != 0 else ["setpriv", *_NOT_ROOT, *command]
