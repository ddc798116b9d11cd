"""A subject as a process of its own, watched from outside: CPU, memory and progress (Linux)."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

DEADLINE = 600.0  # seconds for one subject
POLL = 0.5  # seconds between two requests; answering them is part of the subject's CPU time
LOOK_AGAIN = 0.1  # seconds between two looks at something that is waited for
FROM, TO = 0.10, 0.95  # the measured part of the ticks: start-up and shutdown are excluded
_CLOCK_TICKS = os.sysconf("SC_CLK_TCK")
_UTIME = 11  # of the fields after the command's name in /proc/<pid>/stat; stime follows


class TooFewSamplesError(RuntimeError):
    """A subject was through between two looks at it."""


class Sample(NamedTuple):
    """The progress of a process at one moment. CPU time is that of all its threads, in seconds."""

    ticks: int
    wall: float
    cpu: float


class Measured(NamedTuple):
    """The rates of a subject in its steady state, and its peak memory."""

    ticks_per_second: float
    cpu_us: float
    peak_mb: float


def steady(samples: Sequence[Sample], total: int, peak_mb: float, begin: float = FROM) -> Measured:
    """Rates between the first sample with 10% of the ticks, or another share, and the first with 95%."""
    first = next(s for s in samples if s.ticks >= begin * total)
    last = next(s for s in samples if s.ticks >= TO * total)
    ticks = last.ticks - first.ticks
    if not ticks:
        raise TooFewSamplesError("too few samples: it was over between two looks; use more --ticks")
    return Measured(ticks / (last.wall - first.wall), (last.cpu - first.cpu) / ticks * 1e6, peak_mb)


class Subject:
    """A process under measurement."""

    def __init__(self, process: subprocess.Popen[str], log: Path) -> None:
        self.process = process
        self.log = log

    def sample(self, ticks: int) -> Sample:
        """Its CPU time now, for a number of processed ticks."""
        stat = Path(f"/proc/{self.process.pid}/stat").read_text()
        fields = stat[stat.rindex(")") + 2 :].split()
        cpu = (int(fields[_UTIME]) + int(fields[_UTIME + 1])) / _CLOCK_TICKS
        return Sample(ticks, time.perf_counter(), cpu)

    def peak_mb(self) -> float:
        """Its peak resident memory."""
        return self._status_mb("VmHWM")

    def resident_mb(self) -> float:
        """Its resident memory now."""
        return self._status_mb("VmRSS")

    def _status_mb(self, name: str) -> float:
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split()[1]) / 1024
        raise self.failed(f"has no {name}")

    def failed(self, what: str) -> RuntimeError:
        """An error that shows the end of its log."""
        tail = "\n".join(self.log.read_text(errors="replace").splitlines()[-20:])
        return RuntimeError(f"{' '.join(self.process.args)}: {what}\n{tail}")  # type: ignore[arg-type]

    def wait_until(self, condition: Callable[[], bool], what: str, deadline: float = DEADLINE) -> None:
        """Look again and again until it is so. Raises an error that names it if it is not in time, or the process has ended."""
        end = time.monotonic() + deadline
        while not condition():
            if self.process.poll() is not None:
                raise self.failed(f"ended with exit code {self.process.returncode}: {what}")
            if time.monotonic() > end:
                raise self.failed(f"after {deadline:.0f} s still not: {what}")
            time.sleep(LOOK_AGAIN)

    def by_marks(self, total: int, begin: float = FROM, end: float = TO) -> Measured:
        """Follow its `MARK <ticks>` lines until it has processed 95% of the ticks, or another share that is not less."""
        samples: list[Sample] = []
        if self.process.stdout is None:
            raise self.failed("prints nowhere")
        # a process that hangs prints nothing either: killing it ends the loop below
        watchdog = threading.Timer(DEADLINE, self.process.kill)
        watchdog.start()
        try:
            for line in self.process.stdout:
                if line.startswith("MARK "):
                    samples.append(self.sample(int(line.split()[1])))
                    if samples[-1].ticks >= end * total:
                        return steady(samples, total, self.peak_mb(), begin)
        finally:
            watchdog.cancel()
        raise self.failed(f"ended after {samples[-1].ticks if samples else 0} of {total} ticks")

    def by_asking(self, read: Callable[[], int | None], total: int, begin: float = FROM, every: float = POLL) -> Measured:
        """Poll its progress until it has processed all ticks."""
        samples: list[Sample] = []
        end = time.monotonic() + DEADLINE
        while time.monotonic() < end:
            if self.process.poll() is not None:
                raise self.failed(f"ended with exit code {self.process.returncode}")
            ticks = read()
            if ticks:
                samples.append(self.sample(ticks))
                if ticks >= total:
                    return steady(samples, total, self.peak_mb(), begin)
            time.sleep(every)
        raise self.failed(f"not through after {DEADLINE:.0f} s: {samples[-1].ticks if samples else 0} of {total}")


@contextmanager
def running(command: Sequence[str], directory: Path, environment: Mapping[str, str]) -> Iterator[Subject]:
    """Start a process, and end it, by its id, on exit."""
    directory.mkdir(parents=True, exist_ok=True)
    log = directory / "log"
    with log.open("w") as errors:
        process = subprocess.Popen(
            list(command),
            cwd=directory,
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
    try:
        yield Subject(process, log)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
