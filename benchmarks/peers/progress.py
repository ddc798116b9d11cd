"""Prints how many ticks a program has processed, as the benchmark reads it: `MARK 123456`."""

import os
import threading
import time

EVERY = 0.05


class Progress:
    """A count that the program adds to."""

    def __init__(self) -> None:
        self.ticks = 0

    def print(self) -> None:
        """Print each change from now on, from a thread of its own."""
        threading.Thread(target=self._loop, daemon=True).start()

    def _loop(self) -> None:
        last = 0
        while True:
            time.sleep(EVERY)
            if self.ticks != last:
                last = self.ticks
                os.write(1, b"MARK %d\n" % last)
