"""The wall clock in Kafka's unit."""

from __future__ import annotations

import time


def now_ms() -> int:
    """The present time, epoch ms."""
    return time.time_ns() // 1_000_000
