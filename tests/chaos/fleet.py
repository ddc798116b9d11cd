"""The workers of a run, which come and go. A worker that exits without a signal is a violation."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tests.chaos.clocked import Clock
from tests.support import preloaded
from tests.support.worker import Worker

POLL = 0.05
_LINE = 300  # characters of a log's last line


class Member(Worker):
    """A worker whose clock can be set, and which may break a rule of `tests.chaos.broken`."""

    def __init__(self, bootstrap: str, directory: Path, broken: str | None, **settings: str) -> None:
        super().__init__(bootstrap, directory, **settings)
        self.name = directory.name
        if broken:
            self.program = ("tests.chaos.broken", (broken, *Worker.program[1]))
        self.clock = Clock(directory / "clock")
        self.program = self.clock.program(*self.program)

    def spawn(self) -> Member:
        """Start the process without waiting for it."""
        assert self.process is None
        with self.log_file.open("ab") as log:
            log.write(b"---- started\n")
            log.flush()
            self.process = preloaded.launch(
                *self.program, cwd=self.directory, env=self.environment(), stdout=log.fileno(), stderr=log.fileno()
            )
        return self

    @property
    def up(self) -> bool:
        """Whether its web port answers. From then on it must exit with code 0 after SIGTERM."""
        return self.process is not None and self.get("/api/v1/accounting") is not None

    def last_line(self) -> str:
        """The last line of its log."""
        lines = self.log().strip().splitlines()
        return lines[-1][-_LINE:] if lines else ""


class Fleet:
    """All workers of one app; `problems` collects what a worker must not do."""

    def __init__(self, bootstrap: str, directory: Path, settings: dict[str, str], broken: str | None = None) -> None:
        self.members: list[Member] = []
        self.problems: list[str] = []
        self._bootstrap, self._directory, self._settings, self._broken = bootstrap, directory, settings, broken
        self._count = 0

    def add(self) -> Member:
        """Start one more worker."""
        self._count += 1
        directory = self._directory / f"worker{self._count}"
        member = Member(self._bootstrap, directory, self._broken, **self._settings)
        self.members.append(member)
        member.spawn()
        return member

    def stop(self, member: Member) -> None:
        """Send SIGTERM; any exit code but 0 is a problem."""
        try:
            member.stop()
        except AssertionError as error:
            self.problems.append(f"{member.name}: {str(error).splitlines()[0]}; its last line: {member.last_line()}")

    def remove(self, member: Member) -> None:
        """Stop a worker for good."""
        self.stop(member)
        self.members.remove(member)

    def restart_crashed(self) -> None:
        """Note each worker that exited without a signal, and start it again."""
        for member in self.members:
            if member.process is not None and (code := member.process.poll()) is not None:
                member.process = None
                self.problems.append(f"{member.name} exited without a signal, with code {code}: {member.last_line()}")
                member.spawn()

    def wait(self, condition: Callable[[], object], what: str, deadline: float) -> bool:
        """Wait for a condition; returns False and notes a problem after `deadline` seconds."""
        until = time.monotonic() + deadline
        while not condition():
            if time.monotonic() > until:
                last = "; ".join(f"{member.name}: {member.last_line()}" for member in self.members)
                self.problems.append(f"not within {deadline:.0f} s: {what} ({last})")
                return False
            self.restart_crashed()
            time.sleep(POLL)
        return True

    def accounting(self) -> dict[int, dict[str, Any]]:
        """The counters by partition, from the workers that own them."""
        rows: dict[int, dict[str, Any]] = {}
        for member in self.members:
            found = member.get("/api/v1/accounting") if member.process is not None else None
            if found is not None and found["state"] == "running":
                rows.update({int(number): row for number, row in found["partitions"].items()})
        return rows

    def stop_all(self) -> None:
        """Stop all workers at once."""
        running = [member for member in self.members if member.process is not None]
        with ThreadPoolExecutor(max_workers=max(1, len(running))) as pool:
            list(pool.map(self.stop, running))

    def end(self) -> None:
        """Kill all workers that are left."""
        for member in self.members:
            member.end()
