"""The accounting of one partition: its counters, and how far its engine is."""

from __future__ import annotations

from typing import Any

import msgspec

from agents.placement import PlacedSymbols
from tables.engine import Engine
from tables.views import first_stream_times

SCOPES_LISTED = 100  # of each partition


def accounting_of(engine: Engine, placed: PlacedSymbols) -> dict[str, Any]:
    """What `/api/v1/accounting` shows of an engine and the place of its symbols. Times are epoch ms."""
    times, more = first_stream_times(engine, SCOPES_LISTED)
    return {
        **msgspec.structs.asdict(engine.counters),
        "next_offset": engine.next_offset,
        "open_windows": engine.open_windows,
        "arrival_clock_violations": engine.arrival_violations,
        "arrival_clock_steps": engine.clock_steps,
        "misplaced_symbols": placed.misplaced,
        "stream_times": {scope: time for scope, (time, _) in times.items()},
        "more_scopes": more,
    }
