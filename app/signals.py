"""SIGTERM and SIGINT: the first asks a worker to finish, the second ends the process at once."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from types import FrameType
from typing import NoReturn

SIGNALS = (signal.SIGTERM, signal.SIGINT)
SHELL_OFFSET = 128  # a shell reports 128 + n for a process that was ended by signal n


class Signals:
    """The signal handlers of a process. What the first signal does can change while the worker starts."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.finish: Callable[[signal.Signals], object] | None = None  # called in the event loop
        self._loop = loop
        self._first: signal.Signals | None = None

    @property
    def received(self) -> bool:
        """Whether a signal has been received."""
        return self._first is not None

    def install(self) -> None:
        """Install the handlers.

        They are the interpreter's and not the event loop's, so that the second signal works even if the loop is blocked.
        """
        for number in SIGNALS:
            signal.signal(number, self._handle)

    def _handle(self, number: int, _: FrameType | None) -> None:
        if self._first is not None:
            end_at_once(signal.Signals(number))
        self._first = signal.Signals(number)
        if not self._loop.is_closed():  # a closed loop means that the process is about to end
            self._loop.call_soon_threadsafe(self._finish)

    def _finish(self) -> None:
        if self.finish is not None and self._first is not None:
            self.finish(self._first)


def end_at_once(number: signal.Signals) -> NoReturn:
    """End this process with one line on stderr and the exit code 128 + n, without any cleanup."""
    text = f"app: {number.name} again: ended at once, without a last checkpoint; the next start goes on from the one before\n"
    os.write(2, text.encode())  # not `sys.stderr`: Faust may have replaced it, and it may be in the middle of a write
    os._exit(SHELL_OFFSET + number)
