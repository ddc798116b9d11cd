"""A program whose wall clock a test can set: `python -m tests.chaos.clocked FILE MODULE [ARGS]` runs `python -m MODULE ARGS`.

FILE holds how far the clock is ahead. Only Python's `time.time` and `time.time_ns` are changed: what the application reads.
Monotonic time is not.
"""

from __future__ import annotations

import mmap
import runpy
import struct
import sys
import time
from pathlib import Path

_FORM = struct.Struct("<q")  # nanoseconds, negative for a clock that is behind


class Clock:
    """The clock of one process, from outside."""

    def __init__(self, file: Path) -> None:
        """The clock of a process that runs by `file`, which is made here with the right time."""
        self.file = file
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(_FORM.pack(0))

    def set(self, ahead_seconds: float) -> None:
        """Set how far it is ahead."""
        with self.file.open("r+b") as file:
            file.write(_FORM.pack(int(ahead_seconds * 1e9)))

    def program(self, module: str, args: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
        """The program that runs another one by this clock."""
        return "tests.chaos.clocked", (str(self.file), module, *args)


def go_by(file: Path) -> None:
    """From now on the wall clock of this process is ahead by what the file says at each moment."""
    with file.open("rb") as opened:
        ahead = mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ)
    right = time.time_ns

    def time_ns() -> int:
        return right() + int(_FORM.unpack_from(ahead)[0])

    time.time_ns = time_ns
    time.time = lambda: time_ns() / 1e9


if __name__ == "__main__":
    go_by(Path(sys.argv[1]))
    del sys.argv[:2]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
