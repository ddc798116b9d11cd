"""The worker's wall clock, in Kafka's unit."""

from __future__ import annotations

import time


def now_ms() -> int:
    """Now, in epoch ms."""
    return int(time.time() * 1_000)
