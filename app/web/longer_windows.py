"""Reads open longer windows, and closed windows that can still be revised, from the engines. Nothing is stored.

The state of an open longer window has the closed windows inside it. What readers see also has those that are still open.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

import msgspec

from agents.task import PartitionTask
from app.web import sampling
from app.web.models.bars import CorrectableWindow, OpenWindow
from tables.after_close import AfterClose
from tables.emission import lacks_ticks
from tables.engine import Engine
from tables.further import Revision, is_longer, revision_key
from tables.longer import LongerWindows
from tables.scopes import UNKNOWN, Longer, Scope, Symbol, order_of
from tables.ticks import PER_SECOND
from tables.window import Window, unpack_window


class Due(NamedTuple):
    """A revision that has begun: when it is published (arrival time, epoch ms), and how many late ticks it has so far."""

    at: int
    added: int


def of_symbol(tasks: Mapping[int, PartitionTask], broker: str, symbol: str, frame: str) -> list[OpenWindow]:
    """The open windows of a kept frame of one symbol in these partitions, oldest first."""
    key = sampling.record_key(broker, symbol)
    windows = [window for number, task in tasks.items() for window in of_key(task.engine, number, key, frame)]
    return sorted(windows, key=sampling.by_start)


def of_key(engine: Engine, number: int, key: bytes, frame: str) -> list[OpenWindow]:
    """The open windows of a kept frame of the symbol with this record key, oldest first."""
    after = engine.windows.after
    if after is None or after.longer is None:
        return []
    index = _index(after.longer, frame)
    known, symbol = after.further.known.get(key), engine.symbols.get(key)
    holder = known or symbol
    if holder is None:
        return []
    merged: dict[tuple[int, int], _Merged] = {}
    for window in [] if known is None else _closed_parts(after, known, index):
        span = after.longer.span(index, window.end - 1)
        merged.setdefault(span, _Merged()).add(window, is_open=False)
    for window in [] if symbol is None else engine.core.plain(list(symbol.windows())):
        span = after.longer.span(index, window.end - 1)
        merged.setdefault(span, _Merged()).add(window, is_open=True)
    return [_shown(engine, number, holder, frame, span, one) for span, one in sorted(merged.items())]


async def keys(engine: Engine, frame: str, matches: Callable[[bytes], bool]) -> list[bytes]:
    """Record keys of the symbols that have an open window of a kept frame, and match. Other tasks run in between."""
    after = engine.windows.after
    if after is None or after.longer is None:
        return []
    index, found = _index(after.longer, frame), set[bytes]()
    items = list(after.further.items.values())
    for at in range(0, len(items), sampling.CHUNK):
        for item in items[at : at + sampling.CHUNK]:
            if is_longer(item) and matches(item.key) and any(_states(after, item, index)):
                found.add(item.key)
        await asyncio.sleep(0)
    entries = list(engine.symbols.items())
    for at in range(0, len(entries), sampling.CHUNK):
        found.update(key for key, symbol in entries[at : at + sampling.CHUNK] if matches(key) and symbol.windows())
        await asyncio.sleep(0)
    return list(found)


def _index(longer: LongerWindows, frame: str) -> int:
    return next(at for at, one in enumerate(longer.frames) if one.name == frame)


def has(engine: Engine, key: bytes) -> bool:
    """Whether an engine has anything of a symbol beside its base windows."""
    return engine.windows.after is not None and engine.windows.after.further.known.get(key) is not None


class _Merged:
    """What is inside of one longer window."""

    def __init__(self) -> None:
        self.window: Window | None = None
        self.ticks_in_open = 0
        self.open_parts: list[Window] = []

    def add(self, window: Window, *, is_open: bool) -> None:
        if is_open:
            self.ticks_in_open += window.ticks
            self.open_parts.append(window)
        if self.window is None:
            self.window = msgspec.structs.replace(window)
        else:
            self.window.merge(window)


def _states(after: AfterClose, known: Longer, index: int) -> Iterable[bytes]:
    """The open windows of a frame, and of the shorter ones that it gathers, which are not part of it yet."""
    longer = after.longer
    while longer is not None and index >= 0:
        state = known.states[index]
        if state is not None:
            yield state
        index = longer.source_of(index)


def _closed_parts(after: AfterClose, known: Longer, index: int) -> Iterable[Window]:
    return map(unpack_window, _states(after, known, index))


def _shown(
    engine: Engine, number: int, holder: Longer | Symbol, frame: str, span: tuple[int, int], merged: _Merged
) -> OpenWindow:
    window, scope, (start, end) = merged.window, holder.scope, span
    assert window is not None  # noqa: S101  # it has a part
    config = engine.config
    window.end = end
    due = None
    if scope.stream_time != UNKNOWN and config.idle_close:
        own = scope.advanced_at - scope.stream_time + config.grace + end
        due = max([own, *(sampling.idle_due(scope, part.end, config.grace) for part in merged.open_parts)])
    return OpenWindow.model_construct(
        **sampling.window_fields(engine, number, holder, window, span),
        idle_due=due,
        partial=lacks_ticks(window, end - start, PER_SECOND[config.time_unit], engine.cut),
        frame=frame,
        ticks_in_open=merged.ticks_in_open,
    )


# ---- corrections


def scope_of(engine: Engine, key: bytes) -> Scope | None:
    """The scope of a symbol with this record key, if the engine holds anything of it."""
    after = engine.windows.after
    holder = engine.symbols.get(key) or (None if after is None else after.further.known.get(key))
    if holder is not None:
        return holder.scope
    broker, _, symbol = key.decode().partition("|")
    if engine.config.scope == "symbol":
        resting = engine.windows.resting.get(key)
        return None if resting is None else Scope(order_of((broker, symbol)), resting.stream_time, resting.advanced_at)
    return engine.windows.scopes.get(broker if engine.config.scope == "broker" else "")


def correctable(engine: Engine, number: int, key: bytes) -> list[CorrectableWindow]:
    """The closed windows of a symbol that late ticks can still revise, of all frames, in the order in which they closed."""
    after = engine.windows.after
    scope = scope_of(engine, key)
    if after is None or after.corrections is None or scope is None:
        return []
    found: list[CorrectableWindow] = []
    broker, _, symbol = key.decode().partition("|")
    for frame, end, state in after.corrections.kept.of_symbol(scope, key):
        if not after.corrections.reaches(scope, end):
            continue
        revision, packed = state if isinstance(state, tuple) else (0, state)
        window = unpack_window(packed)
        longer = after.longer if frame else None
        start = end - engine.config.window_size if longer is None else longer.span(frame - 1, end - 1)[0]
        due = revision_due(engine, key, frame, start)
        found.append(
            CorrectableWindow(
                broker=broker,
                symbol=symbol,
                partition=number,
                frame=None if longer is None else longer.frames[frame - 1].name,
                bucket_start=start,
                bucket_end=end,
                open=window.open,
                high=window.high,
                low=window.low,
                close=window.close,
                volume=window.volume,
                ticks=window.ticks,
                revision=revision,
                expires_at_stream_time=end + after.corrections.grace + after.corrections.horizon,
                due=None if due is None else due.at,
                added=0 if due is None else due.added,
            )
        )
    return found


def revision_due(engine: Engine, key: bytes, frame: int, start: int) -> Due | None:
    """The revision of a window that has begun and is not published yet; `frame`: 0 for the window size, else its number."""
    after = engine.windows.after
    item = None if after is None else after.further.items.get(revision_key(key, frame, start))
    if isinstance(item, Revision) and item.state is not None:
        return Due(item.due, item.added)
    return None
