"""The stand-in ksqlDB as a process: starts, kills and restarts it, injects faults, and shows what it executed."""

from __future__ import annotations

import json
import os
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support import preloaded
from tests.support.ports import free_port
from tests.support.worker import ROOT

STDERR = 2  # file descriptor


class KsqlServer:
    """A server that keeps its port and its state, in a file, over restarts."""

    def __init__(self, directory: Path) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._state = directory / "ksqldb.json"
        self._process: preloaded.Process | None = None

    def start(self) -> None:
        """Start the process and wait until it listens."""
        args = ["--port", str(self.port), "--state", str(self._state)]
        reading, writing = os.pipe()
        with open(reading) as said:  # noqa: PTH123  # a pipe, not a path
            self._process = preloaded.launch(
                "tests.ksqldb_server", args, cwd=ROOT, env=preloaded.environment(), stdout=writing, stderr=STDERR
            )
            os.close(writing)
            assert said.readline().strip() == self.url

    def kill(self) -> None:
        """`kill -9`."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def executed(self) -> list[str]:
        """All executed statements that changed something, in order."""
        return list(self._get("/_executed")["executed"])

    def requests(self) -> list[str]:
        """All requests since the start: method, path and body."""
        return list(self._get("/_executed")["requests"])

    def headers(self) -> dict[str, str]:
        """The headers of the last request."""
        return dict(self._get("/_executed")["headers"])

    def fault(self, kind: str, *, times: int = 1, match: str = "", seconds: float = 0.0) -> None:
        """Inject a fault into the next requests that contain `match`; see `tests.ksqldb_server.faults.Fault`."""
        self._post("/_faults", {"kind": kind, "times": times, "match": match, "seconds": seconds})

    def release(self) -> None:
        """Let the requests go on that the fault `hold` holds."""
        self._post("/_release", {})

    def topic(self, name: str, partitions: int = 1) -> None:
        """Add a topic that exists in Kafka: the stand-in does not look there."""
        self._post("/_topics", {"name": name, "partitions": partitions})

    def set_state(self, **fields: object) -> None:
        """Set fields of `tests.ksqldb_server.state.State`."""
        self._post("/_state", fields)

    def committed(self, *, now: bool) -> None:
        """Set whether its queries have committed offsets."""
        self._post("/_committed", now)

    def hide(self, *queries: str) -> None:
        """Let these queries disappear, and all others be there again."""
        self._post("/_hidden", list(queries))

    def ksql(self, text: str) -> Any:
        """Send statements as another client."""
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
    """A running server."""
    server = KsqlServer(directory)
    server.start()
    try:
        yield server
    finally:
        server.kill()
