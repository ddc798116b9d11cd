"""SIGTERM and SIGINT: the first asks a worker to finish, a second one ends the process where it stands."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from types import FrameType
from typing import NoReturn

SIGNALS = (signal.SIGTERM, signal.SIGINT)
SHELL_OFFSET = 128  # what a shell adds to the number of the signal that ended a process


class Signals:
    """Counts the signals of one process; what the first one does may change while it starts."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.finish: Callable[[signal.Signals], object] | None = None  # called in the loop
        self._loop = loop
        self._first: signal.Signals | None = None

    @property
    def received(self) -> bool:
        """Whether the first one has come."""
        return self._first is not None

    def install(self) -> None:
        """Handle both from now on.

        The interpreter's own handlers and not the loop's: a loop that is stuck must not keep the second one waiting.
        """
        for number in SIGNALS:
            signal.signal(number, self._handle)

    def _handle(self, number: int, _: FrameType | None) -> None:
        if self._first is not None:
            end_at_once(signal.Signals(number))
        self._first = signal.Signals(number)
        if not self._loop.is_closed():  # otherwise it is about to end anyway
            self._loop.call_soon_threadsafe(self._finish)

    def _finish(self) -> None:
        if self.finish is not None and self._first is not None:
            self.finish(self._first)


def end_at_once(number: signal.Signals) -> NoReturn:
    """End this process with one line on stderr and the code a shell shows for the signal; nothing else is run."""
    said = f"app: {number.name} again: ended at once, without a last checkpoint; the next start goes on from the one before\n"
    os.write(2, said.encode())  # not `sys.stderr`, which may be a logger by now, or in the middle of a write
    os._exit(SHELL_OFFSET + number)
