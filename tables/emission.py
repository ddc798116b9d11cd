"""Windows that closed in one step, and the records of their bars.

A record is encoded directly from the window, without a `Bar`: this reads the window's memory once instead of twice. A test
compares it with the encoding of the same `Bar`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Protocol

import msgspec

from tables.native import NativeBars, knows
from tables.scopes import UNKNOWN
from tables.state import Close
from tables.ticks import PER_SECOND
from tables.window import Window, new_window, unpack_window

AT_ONCE = 1_000  # windows that are in memory as objects while their bars are encoded

Header = tuple[str, bytes]


class Named(Protocol):
    """Whose bar it is: `Symbol`, and what outlives it."""

    @property
    def key(self) -> bytes:
        """`broker|symbol`."""

    @property
    def name(self) -> tuple[str, str]:
        """Broker and symbol."""

    @property
    def json(self) -> str:
        """See `head_of`."""


class Closed(msgspec.Struct, gc=False, eq=False):
    """Windows with the same end that closed together: by one record, or by idling. Ordered by (broker, symbol).

    Or one window that late ticks revised.
    """

    symbols: Sequence[Named]
    windows: list[Window]  # one for each symbol; empty where only `states` are there, see `unpacked`
    end: int  # of the windows, epoch ms
    size: int  # of a window, ms
    per_second: int  # units of `ts` in a second; the wire floors to ms
    reason: str  # "watermark" or "idle"
    at: int  # arrival, ms
    watermark: int
    offset: int
    cut: int = UNKNOWN  # see `OpenWindows.cut`
    states: Sequence[bytes] | None = None  # `pack_window` of each window, where somebody needs that
    frame: str = ""  # of a longer window, such as `1h`
    revision: int = 0
    corrected: int = 0  # late ticks that this revision adds
    closes: list[Close] | None = None  # the closes that flat bars repeat, one for each symbol: there are no windows and states

    @property
    def start(self) -> int:
        """Start of the windows, epoch ms."""
        return self.end - self.size

    def times_of(self, window: Window) -> tuple[int, int]:
        """Event times of the first and the last tick of one of the windows, epoch ms."""
        per_second = self.per_second
        return window.open_ts * 1_000 // per_second, window.close_ts * 1_000 // per_second

    def is_partial(self, window: Window) -> bool:
        """Whether one of the windows may lack ticks that came before the cut."""
        return lacks_ticks(window, self.size, self.per_second, self.cut)


def lacks_ticks(window: Window, size: int, per_second: int, cut: int) -> bool:
    """Whether a window of this size (ms) had begun at the cut (arrival time, epoch ms), so that ticks of it may be missing.

    Its start is an event time. Where its first tick is ahead of its arrival, the start counts as so much earlier.
    """
    ahead = window.open_ts * 1_000 // per_second - window.opened_at
    return window.end - size - max(0, ahead) <= cut


def take_records(
    steps: Iterable[Closed], headers: list[Header], state_header: str | None = None
) -> Iterator[tuple[bytes, bytes, int, list[Header]]]:
    """Yield key, value, timestamp (epoch ms) and these headers of each bar's record, in order.

    Each window is freed on the way. Key and value are those of `tables.bars.bar_key` and `encode_bar`. `state_header`: the name
    of one more header, with the state of the window, where the step has states.
    """
    for some in take_runs(steps, headers, state_header):
        if isinstance(some, tuple):
            yield some
        else:
            yield from some


def take_runs(
    steps: Iterable[Closed], headers: list[Header], state_header: str | None = None
) -> Iterator[tuple[bytes, bytes, int, list[Header]] | NativeBars]:
    """The same records; those of the native core together, as they can write themselves into a batch."""
    start, end, suffix, times = 0, -1, b"", ""
    for step in steps:
        if (step.start, step.end) != (start, end):
            start, end = step.start, step.end
            suffix, times = b"|%d" % start, f'"bucket_start":{start},"bucket_end":{end},"open":'
        closed = f',"close_reason":"{step.reason}","closed_at":{step.at},"watermark":{step.watermark},"first_offset":'
        last = f',"closed_at_offset":{step.offset},"revision":{step.revision}'
        ending = f',"corrected":{step.corrected}}}' if step.revision else "}"
        value_of = partial(_value, step, (times, closed, last, ending))
        if _is_native(step):
            pieces = suffix, times.encode(), closed.encode(), f"{last}{ending}".encode()
            named = None if step.states is None else state_header
            yield NativeBars(step.symbols, step.windows, step.states, pieces, start, headers, named, value_of)
            continue
        for part in unpacked([step]):
            yield from _plain(part, suffix, value_of, headers, state_header)


def _is_native(step: Closed) -> bool:
    """Whether the native core makes the records of a step."""
    usual = NativeBars is not None and step.cut == UNKNOWN and step.per_second == PER_SECOND["ms"]
    return usual and step.closes is None and knows(step.symbols)


def _plain(
    step: Closed, suffix: bytes, value_of: Callable[[Named, Window], bytes], headers: list[Header], state_header: str | None
) -> Iterator[tuple[bytes, bytes, int, list[Header]]]:
    windows, start = step.windows, step.start
    windows.reverse()
    if step.states is None or state_header is None:
        for symbol in step.symbols:
            # the window is freed at the next turn, while it is still in the cache
            yield symbol.key + suffix, value_of(symbol, windows.pop()), start, headers
    else:
        for symbol, state in zip(step.symbols, step.states, strict=True):
            yield symbol.key + suffix, value_of(symbol, windows.pop()), start, [*headers, (state_header, state)]


def _value(step: Closed, pieces: tuple[str, str, str, str], symbol: Named, w: Window) -> bytes:
    """The JSON of a bar. `pieces`: what the bars of the step share."""
    times, closed, last, ending = pieces
    first_ts, last_ts = w.open_ts, w.close_ts
    if step.per_second != PER_SECOND["ms"]:
        first_ts, last_ts = step.times_of(w)
    if step.cut != UNKNOWN and step.is_partial(w):
        ending = f',"partial":true{ending}'
    sums = ',"volume":null,"vwap":null' if w.volume is None else _sums(w)
    value = (
        f'{symbol.json}{times}{w.open!s},"high":{w.high!s},"low":{w.low!s},"close":{w.close!s}{sums},"ticks":{w.ticks}'
        f',"first_ts":{first_ts},"last_ts":{last_ts}{closed}{w.first_offset},"last_offset":{w.last_offset}{last}{ending}'
    )
    return value.encode()


def unpacked(steps: Iterable[Closed]) -> Iterator[Closed]:
    """The same steps with their windows. Those without become several steps, so that memory stays bounded."""
    for step in steps:
        states = step.states
        if step.closes is not None:
            yield from _flat(step, step.closes)
            continue
        if step.windows or states is None:
            yield step
            continue
        for begin in range(0, len(states), AT_ONCE):
            some = states[begin : begin + AT_ONCE]
            symbols = step.symbols[begin : begin + AT_ONCE]
            yield msgspec.structs.replace(step, symbols=symbols, windows=[unpack_window(state) for state in some], states=some)


def _flat(step: Closed, closes: list[Close]) -> Iterator[Closed]:
    """A step of flat bars as steps with windows. They are partial where the close may not have been the last."""
    start = step.start
    for begin in range(0, len(closes), AT_ONCE):
        windows: list[Window] = []
        for close in closes[begin : begin + AT_ONCE]:
            tick = new_window(step.end, 0, close.price, close.ts, close.seq, close.offset)
            tick.ticks, tick.opened_at = 0, close.ts * 1_000 // step.per_second + close.since - start  # see `lacks_ticks`
            windows.append(tick)
        symbols = step.symbols[begin : begin + AT_ONCE]
        yield msgspec.structs.replace(step, symbols=symbols, windows=windows, closes=None)


def _sums(window: Window) -> str:
    vwap = window.vwap()
    return f',"volume":{window.volume!s},"vwap":{"null" if vwap is None else str(vwap)}'
