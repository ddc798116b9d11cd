"""Clocks: the wall clock in Kafka's unit, a clock that never steps, and what a partition knows of its brokers' clock."""

from __future__ import annotations

import time
from collections.abc import Callable

_BOOT_CLOCK: int | None = getattr(time, "CLOCK_BOOTTIME", None)  # Linux: it counts the time that the machine sleeps


def now_ms() -> int:
    """The present time by this machine's clock, epoch ms."""
    return time.time_ns() // 1_000_000


def steady_ms() -> int:
    """Milliseconds since some moment before the start. This clock never steps."""
    return (time.monotonic_ns() if _BOOT_CLOCK is None else time.clock_gettime_ns(_BOOT_CLOCK)) // 1_000_000


class BrokerClock:
    """The broker's time: a time that a broker gave, plus the steady time that has passed since.

    This machine's clock decides nothing where a broker gives the time. It may be wrong by a year until it is set.

    There are two sources. An acknowledgment carries the broker's time of a moment ago. A record with LogAppendTime says that
    the broker's clock had shown that time before the fetch. All times are ms, epoch time and `steady_ms`. Differences between
    the two are kept, as they stay the same while time passes.
    """

    def __init__(self, steady: Callable[[], int] = steady_ms) -> None:
        self.steady = steady
        self.certain = False  # whether the last acknowledgment had a time
        self._acknowledged: int | None = None
        self._acknowledged_at: int | None = None
        self._at_latest: int | None = None  # by the same acknowledgment: it was sent when the broker's clock showed no more
        self._at_least: int | None = None  # by the newest record
        self._at_most: int | None = None  # by the newest record that was appended after an empty fetch

    def acknowledged(self, append_time: int | None, sent: int | None = None) -> None:
        """A record that was sent at `sent` was acknowledged just now.

        `append_time` is None where its topic has CreateTime: then only this machine's clock gives a time.
        """
        self.certain = append_time is not None
        self._acknowledged_at = self.steady()
        time_given = now_ms() if append_time is None else append_time
        self._acknowledged = time_given - self._acknowledged_at
        self._at_latest = time_given - (self._acknowledged_at if sent is None else sent)

    def read(self, append_time: int, fetched: int, not_before: int | None = None) -> None:
        """The newest record of the partition has this LogAppendTime. It was fetched at `fetched`.

        `not_before`: when a fetch was sent that did not return it yet. It shows that the record was appended later.
        """
        self._at_least = append_time - fetched
        if not_before is not None:
            self._at_most = append_time - not_before
        elif self._at_most is not None and self._at_most < self._at_least:
            self._at_most = None  # the broker's clock went forward, or another broker leads the partition now

    def forget(self) -> None:
        """The broker's clock was set back: what it gave before means nothing now."""
        self._acknowledged = self._acknowledged_at = self._at_latest = self._at_least = self._at_most = None

    def at(self, steady: int) -> int | None:
        """The broker's time (epoch ms) at `steady`, as far as it is certain to have passed; None where nothing is known.

        The leader of the input partition sets the arrival times. So its records decide where another broker's
        acknowledgment contradicts them.
        """
        known = [difference for difference in (self._acknowledged, self._at_least) if difference is not None]
        if not known:
            return None
        latest = max(known)
        return steady + (latest if self._at_most is None else min(latest, self._at_most))

    def latest(self, steady: int) -> int | None:
        """The broker's time (epoch ms) at `steady`, at the latest, by the acknowledgments; None where there was none."""
        return None if self._at_latest is None else steady + self._at_latest

    def stale(self, age: int) -> bool:
        """Whether the last acknowledgment is older than `age` ms."""
        return self._acknowledged_at is None or self.steady() - self._acknowledged_at > age
