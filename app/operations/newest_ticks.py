"""What a worker would do with the newest ticks: how many it would bin, and why it would not take the others."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from agents.engines import engine_config
from agents.layout import tick_layout
from app.kafka.records import APPEND_TIME
from app.settings import Settings
from tables.engine import Engine

SHOWN_REASONS = 5
TICKS = 100  # so many are judged, over all partitions


@dataclass
class Verdict:
    """The outcome of some records, and for each reason how many there were and what was said of the first one."""

    ticks: int = 0
    binned: int = 0
    late: int = 0
    rejected: int = 0
    heartbeats: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    details: dict[str, str] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """The counts on one line."""
        beats = f", {self.heartbeats} are heartbeats or markers" if self.heartbeats else ""
        others = f"{self.late} late, {self.rejected} rejected{beats}"
        return f"of the newest {self.ticks} ticks, {self.binned} would be binned, {others}"

    @property
    def why(self) -> str:
        """The most frequent reasons for which ticks would be late or rejected."""
        shown = [
            f"{count} x {reason}, as in {self.details[reason]}" for reason, count in self.reasons.most_common(SHOWN_REASONS)
        ]
        return "; ".join(shown)


def judge(settings: Settings, records: Iterable[Any]) -> Verdict:
    """Process records of the input topic as a worker would that begins with them, each partition by itself."""
    partitions: dict[int, list[Any]] = defaultdict(list)
    for record in records:
        partitions[record.partition].append(record)
    verdict, now = Verdict(), time.time_ns() // 1_000_000
    for number, part in partitions.items():
        part.sort(key=lambda record: record.offset)
        engine = Engine(engine_config(settings), part[0].offset, tick_layout(settings))
        for record in part:
            own_time = record.timestamp_type == APPEND_TIME and not settings.repartition
            engine.feed([record], None if own_time else now)
            engine.take_closed()  # what is taken is freed
            engine.take_after_close()
        counters = engine.counters
        verdict.ticks += counters.read
        verdict.binned += counters.binned
        verdict.late += counters.late
        verdict.rejected += counters.rejected
        verdict.heartbeats += counters.heartbeats
        for side in engine.take_side():
            verdict.reasons[side.reason] += 1
            verdict.details.setdefault(side.reason, f"[{number}] offset {side.offset}: {side.detail}")
    return verdict
