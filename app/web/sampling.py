"""What the API shows of the engines: looked at when asked, between two slices, and nothing kept."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from heapq import nsmallest

from agents.task import PartitionTask
from app.web.models.bars import FinalBar, OpenWindow
from app.web.models.workers import Due, ScopeTime, WheelPartition
from tables.bars import decode_bar
from tables.engine import Engine
from tables.scopes import UNKNOWN, Scope, Symbol
from tables.ticks import PER_SECOND
from tables.window import Window

DUE_SHOWN = 20


def final_bar(value: bytes) -> FinalBar:
    """A bar as the API answers it, from its JSON: exact, which a number that went through a float is not."""
    bar = decode_bar(value)
    return FinalBar.model_construct(**{name: getattr(bar, name) for name in bar.__struct_fields__})


def idle_due(scope: Scope, end: int, grace: int) -> int:
    """When silence closes the windows of a scope with this end: closing one end closes every earlier end with it."""
    lead = scope.advanced_at - scope.stream_time + grace
    return min(max(lead + other, bucket.opened + grace) for other, bucket in scope.buckets.items() if other >= end)


def open_window(engine: Engine, number: int, symbol: Symbol, window: Window) -> OpenWindow:
    """One open window."""
    config, scope = engine.config, symbol.scope
    per_second = PER_SECOND[config.time_unit]
    known = scope.stream_time != UNKNOWN
    return OpenWindow.model_construct(
        broker=symbol.name[0],
        symbol=symbol.name[1],
        partition=number,
        bucket_start=window.end - config.window_size,
        bucket_end=window.end,
        open=window.open,
        high=window.high,
        low=window.low,
        close=window.close,
        volume=window.volume,
        vwap=window.vwap() if window.volume is not None else None,
        ticks=window.ticks,
        first_ts=window.open_ts * 1_000 // per_second,
        last_ts=window.close_ts * 1_000 // per_second,
        first_offset=window.first_offset,
        last_offset=window.last_offset,
        opened_at=window.opened,
        stream_time=scope.stream_time if known else None,
        watermark=scope.stream_time - config.grace if known else None,
        closes_at_stream_time=window.end + config.grace,
        idle_due=idle_due(scope, window.end, config.grace) if known and config.idle_close else None,
    )


def key_of(broker: str, symbol: str) -> bytes:
    """The record key of a symbol's ticks."""
    return f"{broker}|{symbol}".encode()


def windows_of(owners: Mapping[int, PartitionTask], broker: str, symbol: str) -> list[OpenWindow]:
    """The open windows of one symbol, oldest first."""
    key, found = key_of(broker, symbol), []
    for number, partition in owners.items():
        entry = partition.engine.symbols.get(key)
        if entry is not None:
            found += [open_window(partition.engine, number, entry, window) for window in entry.windows()]
    return sorted(found, key=lambda window: window.bucket_start)


def fitting(broker: str | None, symbol: str | None, after: bytes) -> Callable[[Iterable[tuple[bytes, Symbol]]], list[bytes]]:
    """Picks the record keys of symbols with open windows, of these names where they are given, that come after a key."""
    prefix = b"" if broker is None else f"{broker}|".encode()
    suffix = b"" if symbol is None else f"|{symbol}".encode()

    def keys(entries: Iterable[tuple[bytes, Symbol]]) -> list[bytes]:
        return [
            key
            for key, entry in entries
            if (entry.current is not None or entry.others) and key > after and key.startswith(prefix) and key.endswith(suffix)
        ]

    return keys


def windows_at(engine: Engine, number: int, keys: Iterable[bytes]) -> list[OpenWindow]:
    """The windows of these symbols that are still open."""
    found = []
    for key in keys:
        entry = engine.symbols.get(key)
        if entry is not None:
            found += [
                open_window(engine, number, entry, window) for window in sorted(entry.windows(), key=lambda window: window.end)
            ]
    return found


def scope_times(engine: Engine) -> dict[str, ScopeTime]:
    """Stream time and watermark by scope, `*` for the partition; empty under scope `symbol`, which has too many."""
    grace = engine.config.grace
    return {
        key or "*": ScopeTime(stream_time=time, watermark=time - grace, set_at=set_at)
        for key, (time, set_at) in sorted(engine.stream_times().items())
    }


def stream_time_for(engine: Engine, broker: str, symbol: str) -> int | None:
    """Stream time of the scope that a symbol belongs to; None before its first tick."""
    kind = engine.config.scope
    if kind == "symbol":
        entry = engine.symbols.get(key_of(broker, symbol))
        return entry.scope.stream_time if entry is not None and entry.scope.stream_time != UNKNOWN else None
    found = engine.stream_times().get(broker if kind == "broker" else "")
    return None if found is None else found[0]


def wheel_of(number: int, engine: Engine) -> WheelPartition:
    """What is in the timing wheel of a partition."""
    slots = engine.wheel.slots()
    valid = ((due, scope) for slot in slots for due, scope in slot if due == scope.entry and scope.buckets)
    soonest = nsmallest(DUE_SHOWN, valid, key=lambda entry: entry[0])
    return WheelPartition(
        partition=number,
        entries=engine.wheel.size,
        arrival=engine.arrival if engine.arrival != UNKNOWN else None,
        slots=[(at, len(slot)) for at, slot in enumerate(slots) if slot],
        due=[_due(scope, engine.config.grace) for _, scope in soonest],
    )


def _due(scope: Scope, grace: int) -> Due:
    at, end = scope.due(grace)
    return Due(scope=scope.key.replace("\0", "|") or "*", due=at, end=end)
