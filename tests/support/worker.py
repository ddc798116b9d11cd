"""Workers and commands in processes of their own; a test signals only the processes that it started."""

from __future__ import annotations

import json
import signal
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

from tests.support import preloaded
from tests.support.ports import free_port

ROOT = Path(__file__).parents[2]
DEADLINE = 60.0  # seconds
_POLL = 0.05
_TAIL = 6_000  # characters of the log in a failure message


class Worker:
    """`python -m app` with its own settings; the default names are unique, so that workers do not share topics."""

    program: tuple[str, tuple[str, ...]] = ("app", ("worker", "-l", "info"))  # module and arguments
    started: list[Worker] = []  # noqa: RUF012  # of all tests of this process, for failure reports

    def __init__(self, bootstrap: str, directory: Path, **settings: str) -> None:
        unique = uuid4().hex[:8]
        self.bootstrap = bootstrap
        self.settings = {
            "broker": f"kafka://{bootstrap}",
            "app_id": f"app-{unique}",
            "ticks_topic": f"ticks-{unique}",
            "topics_prefix": f"{unique}-",
            "topic_partitions": "2",
            "session_timeout": "3s",  # the successor of a killed worker waits this long
            "web_port": str(free_port()),
            "data_dir": str(directory / "data"),
            **settings,
        }
        self.directory = directory
        self.log_file = directory / f"{self.settings['app_id']}.log"
        self.process: preloaded.Process | None = None
        directory.mkdir(parents=True, exist_ok=True)

    # ---- names

    @property
    def ticks_topic(self) -> str:
        return self.settings["ticks_topic"]

    @property
    def finals_topic(self) -> str:
        return f"{self.settings['topics_prefix']}bar_{self.settings.get('window_size', '1m')}_final"

    @property
    def late_topic(self) -> str:
        return f"{self.settings['topics_prefix']}ticks_late"

    @property
    def rejected_topic(self) -> str:
        return f"{self.settings['topics_prefix']}ticks_rejected"

    @property
    def changelog_topic(self) -> str:
        return f"{self.settings['topics_prefix']}{self.settings['app_id']}-windows-changelog"

    def beside(self, directory: Path, **settings: str) -> Worker:
        """Another app on the same ticks, with the same settings except its names and those given."""
        names = {"app_id", "topics_prefix", "web_port", "data_dir"}
        same = {name: value for name, value in self.settings.items() if name not in names}
        return Worker(self.bootstrap, directory, **{**same, **settings})

    # ---- running

    def environment(self) -> dict[str, str]:
        inherited = {name: value for name, value in preloaded.environment().items() if not name.startswith("BARWHEEL_")}
        ours = {f"BARWHEEL_{name.upper()}": value for name, value in self.settings.items()}
        return {**inherited, "COLUMNS": "200", **ours}

    def spawn(self) -> Worker:
        """Start the process without waiting for it."""
        assert self.process is None
        with self.log_file.open("ab") as log:
            self.process = preloaded.launch(
                *self.program, cwd=self.directory, env=self.environment(), stdout=log.fileno(), stderr=log.fileno()
            )
        Worker.started.append(self)
        return self

    def start(self) -> Worker:
        """Start the process and wait until `/readyz` succeeds."""
        self.spawn()
        self.wait(self.ready, "it is ready")
        return self

    def stop(self) -> None:
        """Send SIGTERM and wait; the exit code must be 0."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        code = self._ended()
        assert code == 0, f"the worker ended with exit code {code}\n{self.tail()}"

    def kill(self) -> None:
        """Send SIGKILL, which leaves no time for a last checkpoint."""
        assert self.process is not None
        self.process.kill()
        self._ended()

    def end(self) -> None:
        """Kill it if it runs."""
        if self.process is not None:
            self.kill()

    def _ended(self) -> int:
        process, self.process = self.process, None
        assert process is not None
        try:
            return process.wait(DEADLINE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise AssertionError(f"the worker did not end within {DEADLINE} s\n{self.tail()}") from None

    def run(self, *args: str) -> subprocess.CompletedProcess[str]:
        """Run another command with this worker's settings, and wait for its end."""
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            files = {"stdout": out.fileno(), "stderr": err.fileno()}
            process = preloaded.launch("app", args, cwd=self.directory, env=self.environment(), **files)
            try:
                code = process.wait(3 * DEADLINE)
            except BaseException:
                process.kill()
                raise
            texts = [(file.seek(0), file.read().decode())[1] for file in (out, err)]
        return subprocess.CompletedProcess(["app", *args], code, *texts)

    def popen(self, *args: str) -> preloaded.Command:
        """Start another command with this worker's settings."""
        return preloaded.Command("app", args, cwd=self.directory, env=self.environment())

    # ---- observing

    def log(self) -> str:
        """Its log so far."""
        return self.log_file.read_text(errors="replace") if self.log_file.exists() else ""

    def tail(self) -> str:
        """The end of its log, for a message."""
        return f"---- {self.log_file.name}\n{self.log()[-_TAIL:]}"

    @property
    def authorization(self) -> dict[str, str]:
        """The header that shows its web token, if it has one."""
        return {"Authorization": f"Bearer {self.settings['web_token']}"} if "web_token" in self.settings else {}

    def get(self, path: str) -> dict[str, Any] | None:
        """JSON from its web port; None while there is no successful response."""
        try:
            url = f"http://127.0.0.1:{self.settings['web_port']}{path}"
            with urllib.request.urlopen(urllib.request.Request(url, headers=self.authorization), timeout=5) as answer:
                found: dict[str, Any] = json.load(answer)
                return found
        except (OSError, urllib.error.URLError, ValueError):
            return None

    def text(self, path: str) -> str:
        """What its web port answers, when it does: a busy worker may not do so at once."""
        found: list[str] = []

        def answered() -> bool:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.settings['web_port']}{path}", timeout=5) as answer:
                    found.append(answer.read().decode())
            except OSError:
                return False
            return True

        self.wait(answered, f"{path} answers")
        return found[0]

    def ready(self) -> bool:
        """Whether `/readyz` succeeds."""
        return self.get("/readyz") is not None

    def total(self) -> dict[str, int]:
        """The accounting of all its partitions; empty while its web port does not answer."""
        found = self.get("/api/v1/accounting")
        return dict(found["total"]) if found else {}

    def open_windows(self) -> int:
        """Number of its open windows; -1 while its web port does not answer."""
        found = self.get("/api/v1/accounting")
        return sum(part["open_windows"] for part in found["partitions"].values()) if found else -1

    def wait(self, condition: Callable[[], bool], what: str, deadline: float = DEADLINE) -> None:
        """Wait until a condition holds. Raises `AssertionError` with the log after the deadline, or when the worker exits."""
        until = time.monotonic() + deadline
        while not condition():
            ended = self.process is not None and self.process.poll() is not None
            assert not ended, f"the worker ended before {what}\n{self.tail()}"
            assert time.monotonic() < until, f"after {deadline} s still not: {what}\n{self.tail()}"
            time.sleep(_POLL)

    def wait_read(self, records: int) -> None:
        """Wait until it has read this many records."""
        self.wait(lambda: self.total().get("read", -1) >= records, f"it has read {records} records")

    def wait_checkpointed(self, records: int) -> None:
        """Wait until it has read this many records, and its checkpoints cover all that it read: a crash takes nothing back."""
        self.wait_read(records)
        self.wait(self._is_checkpointed, "its checkpoints cover all that it read")

    def _is_checkpointed(self) -> bool:
        found = self.get("/api/v1/partitions")
        rows = found["partitions"] if found else []
        return bool(rows) and all(row["state"] == "running" and row["checkpointed"] == row["position"] for row in rows)

    def wait_closed(self, records: int) -> None:
        """Wait until it has read this many records and no window is open."""
        self.wait_read(records)
        self.wait(lambda: self.open_windows() == 0, "all windows are closed")

    def wait_log(self, text: str) -> None:
        """Wait until its log contains a text."""
        self.wait(lambda: text in self.log(), f"its log contains {text!r}")
