"""The stand-in ksqlDB as a process of its own: started, asked what it executed, given faults, killed, started again."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support.worker import ROOT, free_port


class KsqlServer:
    """On one port through all its lives; what it has is in a file."""

    def __init__(self, directory: Path) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._state = directory / "ksqldb.json"
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Start, and return when it listens."""
        command = [sys.executable, "-m", "tests.ksqldb_server", "--port", str(self.port), "--state", str(self._state)]
        self._process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        assert self._process.stdout.readline().strip() == self.url

    def kill(self) -> None:
        """`kill -9`."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            assert self._process.stdout is not None
            self._process.stdout.close()
            self._process = None

    def executed(self) -> list[str]:
        """Every statement that changed something, in order."""
        return list(self._get("/_executed")["executed"])

    def requests(self) -> list[str]:
        """Every request since it was started: method, path and body."""
        return list(self._get("/_executed")["requests"])

    def fault(self, kind: str, *, times: int = 1, match: str = "", seconds: float = 0.0) -> None:
        """Have the next requests that hold `match` go wrong; see `tests.ksqldb_server.server.Fault`."""
        self._post("/_faults", {"kind": kind, "times": times, "match": match, "seconds": seconds})

    def topic(self, name: str, partitions: int = 1) -> None:
        """Tell it of a topic in Kafka, which it does not look at."""
        self._post("/_topics", {"name": name, "partitions": partitions})

    def committed(self, *, now: bool) -> None:
        """Whether its queries have committed how far they have read."""
        self._post("/_committed", now)

    def ksql(self, text: str) -> Any:
        """Send statements as somebody else would."""
        return self._post("/ksql", {"ksql": text, "streamsProperties": {}})

    def _get(self, path: str) -> dict[str, Any]:
        with urllib.request.urlopen(self.url + path, timeout=10) as answer:
            found: dict[str, Any] = json.load(answer)
            return found

    def _post(self, path: str, body: object) -> Any:
        request = urllib.request.Request(self.url + path, json.dumps(body).encode(), {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)


@contextmanager
def running_server(directory: Path) -> Iterator[KsqlServer]:
    """One that is up."""
    server = KsqlServer(directory)
    server.start()
    try:
        yield server
    finally:
        server.kill()
