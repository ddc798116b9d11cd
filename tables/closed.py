"""Windows that closed in one step, and the bars of them: as objects, or as they go over the wire.

Both say the same; tests hold them together. The worker takes the second, as a bar is then made in one walk through its
window's memory instead of two.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from tables.bars import Bar
from tables.ticks import PER_SECOND

if TYPE_CHECKING:
    from tables.clock import Symbol
    from tables.ohlc import Window


H = TypeVar("H")


@dataclass(slots=True)
class Closed:
    """Windows with one end that one record, or one moment of silence, closed; in the order of their names."""

    symbols: list[Symbol]
    windows: list[Window]  # of these symbols
    end: int  # of the windows, epoch ms
    size: int  # of a window, ms
    per_second: int  # units of `ts` in a second; the wire floors to ms
    reason: str  # "watermark" or "idle"
    at: int  # arrival, ms
    watermark: int
    offset: int

    @property
    def start(self) -> int:
        """Where the windows start, epoch ms."""
        return self.end - self.size

    def bars(self) -> Iterator[Bar]:
        """The bars, in order."""
        for symbol, window in zip(self.symbols, self.windows, strict=True):
            broker, name = symbol.name
            first_ts, last_ts = self._times(window)
            # a line a group
            # fmt: off
            yield Bar(
                broker, name, self.start, self.end,
                window.open, window.high, window.low, window.close, window.volume, window.vwap(), window.ticks,
                first_ts, last_ts,
                self.reason, self.at, self.watermark, window.first_offset, window.last_offset, self.offset,
            )
            # fmt: on

    def take_records(self, headers: H) -> Iterator[tuple[bytes, bytes, int, H]]:
        """Key, value, timestamp and these headers of each bar's record, in order; lets go of each window on the way.

        Key and value are `bar_key` and `encode_bar` of `bars`, without the objects in between.
        """
        end, start = self.end, self.start
        suffix = b"|%d" % start
        times = f'"bucket_start":{start},"bucket_end":{end},"open":'
        closed = f',"close_reason":"{self.reason}","closed_at":{self.at},"watermark":{self.watermark},"first_offset":'
        last = f',"closed_at_offset":{self.offset},"revision":0}}'
        in_ms = self.per_second == PER_SECOND["ms"]
        windows = self.windows
        windows.reverse()
        for symbol in self.symbols:
            w = windows.pop()  # freed with the next one, while the cache still has it
            first_ts, last_ts = (w.open_ts, w.close_ts) if in_ms else self._times(w)
            sums = ',"volume":null,"vwap":null' if w.volume is None else _sums(w)
            value = (
                f'{symbol.json}{times}{w.open!s},"high":{w.high!s},"low":{w.low!s},"close":{w.close!s}{sums},"ticks":{w.ticks}'
                f',"first_ts":{first_ts},"last_ts":{last_ts}{closed}{w.first_offset},"last_offset":{w.last_offset}{last}'
            )
            yield symbol.key + suffix, value.encode(), start, headers

    def _times(self, window: Window) -> tuple[int, int]:
        per_second = self.per_second
        return window.open_ts * 1_000 // per_second, window.close_ts * 1_000 // per_second


def _sums(window: Window) -> str:
    vwap = window.vwap()
    return f',"volume":{window.volume!s},"vwap":{"null" if vwap is None else str(vwap)}'
