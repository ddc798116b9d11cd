"""Reads the engines for the API. Everything is read on request, between two slices; nothing is stored.

The functions run in the event loop, most of them without awaiting, so an engine does not change while it is read.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from heapq import nsmallest
from typing import Any

from agents.accounting import SCOPES_LISTED
from agents.task import PartitionTask
from app.web.models.bars import FinalBar, OpenWindow
from app.web.models.workers import Due, ScopeTime, WheelPartition
from tables.bars import decode_bar
from tables.engine import Engine
from tables.scopes import UNKNOWN, Longer, Scope, Symbol
from tables.ticks import PER_SECOND
from tables.views import first_stream_times, is_partial
from tables.window import Window

DUE_SHOWN = 20  # scopes
CHUNK = 2_000  # entries that are looked at without letting other tasks run


def record_key(broker: str, symbol: str) -> bytes:
    """The record key of a symbol's ticks."""
    return f"{broker}|{symbol}".encode()


def final_bar(value: bytes, partition: int, frame: str = "") -> FinalBar:
    """Decode a bar that was published in this partition. Numbers stay exact: none goes through a float."""
    bar = decode_bar(value)
    fields = {name: getattr(bar, name) for name in bar.__struct_fields__}
    corrected = bar.corrected if isinstance(bar.corrected, int) else None
    more = {"partial": bool(bar.partial), "partition": partition, "corrected": corrected, "frame": frame or None}
    return FinalBar.model_construct(**fields | more)


# ---- open windows


def idle_due(scope: Scope, end: int, grace: int) -> int:
    """Arrival time (epoch ms) at which the idle timer closes the scope's windows with this end.

    Closing an end also closes every earlier end, so the earliest due time among this end and all later ones counts.
    """
    lead = scope.advanced_at - scope.stream_time + grace
    return min(max(lead + other, bucket.last_opened_at + grace) for other, bucket in scope.buckets.items() if other >= end)


def window_fields(engine: Engine, number: int, of: Longer | Symbol, window: Window, span: tuple[int, int]) -> dict[str, Any]:
    """What is told of an open window of any length, in a partition with this number; `span`: its start and end, epoch ms."""
    config, scope, (start, end) = engine.config, of.scope, span
    per_second = PER_SECOND[config.time_unit]
    known = scope.stream_time != UNKNOWN
    return {
        "broker": of.name[0],
        "symbol": of.name[1],
        "partition": number,
        "bucket_start": start,
        "bucket_end": end,
        "open": window.open,
        "high": window.high,
        "low": window.low,
        "close": window.close,
        "volume": window.volume,
        "vwap": window.vwap() if window.volume is not None else None,
        "ticks": window.ticks,
        "first_ts": window.open_ts * 1_000 // per_second,
        "last_ts": window.close_ts * 1_000 // per_second,
        "first_offset": window.first_offset,
        "last_offset": window.last_offset,
        "opened_at": window.opened_at,
        "stream_time": scope.stream_time if known else None,
        "watermark": scope.stream_time - config.grace if known else None,
        "closes_at_stream_time": end + config.grace,
    }


def open_window(engine: Engine, number: int, symbol: Symbol, window: Window) -> OpenWindow:
    """One open window of a partition with this number."""
    config, scope = engine.config, symbol.scope
    known = scope.stream_time != UNKNOWN
    return OpenWindow.model_construct(
        **window_fields(engine, number, symbol, window, (window.end - config.window_size, window.end)),
        idle_due=idle_due(scope, window.end, config.grace) if known and config.idle_close else None,
        partial=is_partial(engine, window),
    )


def by_start(window: OpenWindow) -> tuple[int, int]:
    """A sort key: oldest first; two windows with the same start, of a symbol in two partitions, by partition."""
    return window.bucket_start, window.partition


def symbol_windows(tasks: Mapping[int, PartitionTask], broker: str, symbol: str) -> list[OpenWindow]:
    """The open windows of one symbol in these partitions, oldest first."""
    key, windows = record_key(broker, symbol), []
    for number, task in tasks.items():
        entry = task.engine.symbols.get(key)
        if entry is not None:
            windows += [open_window(task.engine, number, entry, window) for window in entry.windows()]
    return sorted(windows, key=by_start)


def windows_by_key(engine: Engine, number: int, keys: Iterable[bytes]) -> list[OpenWindow]:
    """The open windows of the symbols with these record keys, in the order of the keys."""
    windows = []
    for key in keys:
        entry = engine.symbols.get(key)
        if entry is not None:
            windows += [
                open_window(engine, number, entry, window) for window in sorted(entry.windows(), key=lambda window: window.end)
            ]
    return windows


def key_matcher(broker: str | None, symbol: str | None, after: bytes) -> Callable[[bytes], bool]:
    """A function that says whether a record key is greater than `after` and has these names; None matches any."""
    prefix = b"" if broker is None else f"{broker}|".encode()
    suffix = b"" if symbol is None else f"|{symbol}".encode()
    return lambda key: key > after and key.startswith(prefix) and key.endswith(suffix)


def key_filter(broker: str | None, symbol: str | None, after: bytes) -> Callable[[Iterable[tuple[bytes, Symbol]]], list[bytes]]:
    """A function that picks the record keys of symbols with open windows.

    The keys are greater than `after` and have this broker and this symbol; None matches any.
    """
    prefix = b"" if broker is None else f"{broker}|".encode()
    suffix = b"" if symbol is None else f"|{symbol}".encode()

    def keys(entries: Iterable[tuple[bytes, Symbol]]) -> list[bytes]:
        return [
            key
            for key, entry in entries
            if (entry.current is not None or entry.others) and key > after and key.startswith(prefix) and key.endswith(suffix)
        ]

    return keys


# ---- stream time and the timing wheel


def scope_times(engine: Engine) -> tuple[dict[str, ScopeTime], int]:
    """Stream time and watermark of the first scopes by name, and how many more scopes there are.

    `*` stands for the partition. Empty under scope `symbol`, which has too many.
    """
    grace = engine.config.grace
    times, more = first_stream_times(engine, SCOPES_LISTED)
    listed = {
        key: ScopeTime(stream_time=time, watermark=time - grace, set_at=advanced_at)
        for key, (time, advanced_at) in times.items()
    }
    return listed, more


def stream_time_bounds(engine: Engine) -> tuple[int, int] | None:
    """The smallest and the largest stream time of the scopes; None if none is known.

    Under scope `symbol` those of the symbols in memory: what has had no open window for a while is not among them.
    """
    scopes = engine.windows.scopes.values() or (symbol.scope for symbol in engine.symbols.values())
    times = [scope.stream_time for scope in scopes if scope.stream_time != UNKNOWN]
    return (min(times), max(times)) if times else None


async def wheel_partition(number: int, engine: Engine) -> WheelPartition:
    """The timing wheel of one partition: how full its slots are, and what is due next.

    It may have as many entries as there are symbols, so the worker's other tasks run in between.
    """
    slots = [list(slot) for slot in engine.scheduler.wheel.slots()]
    next_due: list[tuple[int, Scope]] = []
    entries = [entry for slot in slots for entry in slot]
    for at in range(0, len(entries), CHUNK):
        valid = [(due, scope) for due, scope in entries[at : at + CHUNK] if due == scope.entry and scope.buckets]
        next_due = nsmallest(DUE_SHOWN, next_due + valid, key=lambda entry: entry[0])
        await asyncio.sleep(0)
    next_due = [(due, scope) for due, scope in next_due if scope.buckets]  # some may have closed in between
    return WheelPartition(
        partition=number,
        entries=engine.scheduler.wheel.size,
        arrival=engine.arrival if engine.arrival != UNKNOWN else None,
        slots=[(at, len(slot)) for at, slot in enumerate(slots) if slot],
        due=[_due(scope, engine.config.grace) for _, scope in next_due],
    )


def _due(scope: Scope, grace: int) -> Due:
    due, end = scope.due(grace)
    return Due(scope=scope.key.replace("\0", "|") or "*", due=due, end=end)
