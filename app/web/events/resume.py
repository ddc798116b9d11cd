"""The memory of recent bars, from which a client that reconnects gets what it missed."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from uuid import uuid4

from app.readmodel.rows import BarRow

KEPT_BARS = 20_000
MAX_DIGITS = 17  # of a number in an event id; more would only cost time to convert


class ResumeBuffer:
    """Numbers the final bars of this process and keeps the newest.

    An event id is `<process>.<number>`, where number is that of the last bar before or in the event. Since the process part
    is random, an id from before a restart is not mistaken for one of this process.
    """

    def __init__(self, kept: int = KEPT_BARS) -> None:
        self._process = uuid4().hex[:8]
        self._last = 0  # number of the last bar
        self._bars: deque[tuple[int, BarRow]] = deque(maxlen=kept)

    @property
    def last_id(self) -> str:
        """The id of an event that has everything up to now."""
        return f"{self._process}.{self._last}"

    def append(self, bars: Sequence[BarRow]) -> None:
        """Add bars in the order in which they are published."""
        for bar in bars:
            self._last += 1
            self._bars.append((self._last, bar))

    def after(self, event_id: str) -> list[BarRow] | None:
        """The bars after an event; None if the id is of another process, or too old for all later bars to be kept."""
        process, _, text = event_id.partition(".")
        if process != self._process or not text.isdecimal() or len(text) > MAX_DIGITS:
            return None
        number = int(text)
        first = self._bars[0][0] if self._bars else self._last + 1
        if not first - 1 <= number <= self._last:
            return None
        return [bar for at, bar in self._bars if at > number]
