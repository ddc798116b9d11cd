"""Longer bars from final bars that were published: for a frame that the engine does not keep.

The windows are those of the same calendar, and the bars those that `tables.longer` would publish, with these differences:

- `close_reason` is "folded". `closed_at` and `closed_at_offset` are the largest of the bars inside.
- `watermark` is the largest that is known, see `is_closed`. The last bar of a fold may be that of a window that goes on.
- `revision` is the sum of the revisions inside: it rises whenever one of them is revised.
- `vwap` is made of the vwaps inside. They are rounded, so it can differ in its last decimal.
- `partial` says what the bars inside and `cut` say.

Flat bars, which have 0 ticks, are left out; `tables.flat.filled` adds those of the longer windows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from decimal import Decimal

import msgspec
from msgspec import UNSET

from tables.bars import Bar
from tables.calendar import Calendar, Frame
from tables.scopes import UNKNOWN
from tables.ticks import EXACT
from tables.window import VWAP_DECIMALS, rounded_vwap

FOLDED = "folded"  # close_reason


def fold_frame(
    bars: Iterable[Bar],
    frame: Frame,
    calendar: Calendar,
    *,
    watermark: int = UNKNOWN,
    cut: int = UNKNOWN,
    vwap_decimals: int = VWAP_DECIMALS,
) -> Iterator[Bar]:
    """Yield the longer bars of one (broker, symbol), in order.

    `bars`: its base bars, the newest revision of each, in order, and all of each longer window. `watermark`: the largest of its
    scope, where other bars tell one. `cut`: see `OpenWindows.cut`; a longer window that holds this time may lack ticks.
    `vwap_decimals`: `bars_scale`, where that is less than 8. Raises `ValueError` where the bars are not in order, or where one
    crosses a bound of the frame.
    """
    fold: _Fold | None = None
    before, step = UNKNOWN, Decimal(1).scaleb(-vwap_decimals)
    for bar in bars:
        if bar.bucket_start < before:
            raise ValueError(f"the bar that starts at {bar.bucket_start} comes after one that ends at {before}")
        before = bar.bucket_end
        watermark = max(watermark, bar.watermark)
        if not bar.ticks:
            continue  # a flat bar: its price is none of this window
        if fold is not None and bar.bucket_start < fold.end:
            fold.add(bar)
        else:
            if fold is not None:
                yield fold.bar(watermark, step)
            start, end = calendar.window(frame, bar.bucket_start)
            fold = _Fold(start, end, start <= cut < end, bar)
        if bar.bucket_end > fold.end:
            raise ValueError(f"the bar from {bar.bucket_start} to {bar.bucket_end} crosses the end of its {frame.name} window")
    if fold is not None:
        yield fold.bar(watermark, step)


def is_closed(bar: Bar) -> bool:
    """Whether the window of a folded bar has ended, as far as its watermark tells: every final bar inside was published."""
    return bar.bucket_end <= bar.watermark


class _Fold:
    """One longer window."""

    def __init__(self, start: int, end: int, cut: bool, first: Bar) -> None:  # noqa: FBT001  # read at its one call
        self.end = end
        self._notional: Decimal | None = None
        self._partial = cut or first.partial is True
        self._bar = msgspec.structs.replace(
            first, bucket_start=start, bucket_end=end, vwap=None, close_reason=FOLDED, partial=UNSET, corrected=UNSET
        )
        self._add_notional(first)

    def add(self, other: Bar) -> None:
        """Take in the next bar. Of equal prices the text of the first one stays."""
        bar = self._bar
        bar.high = max(bar.high, other.high)
        bar.low = min(bar.low, other.low)
        bar.close, bar.last_ts = other.close, other.last_ts
        bar.ticks += other.ticks
        bar.revision += other.revision
        bar.first_offset = min(bar.first_offset, other.first_offset)
        bar.last_offset = max(bar.last_offset, other.last_offset)
        bar.closed_at = max(bar.closed_at, other.closed_at)
        bar.closed_at_offset = max(bar.closed_at_offset, other.closed_at_offset)
        if other.volume is not None:
            bar.volume = other.volume if bar.volume is None else EXACT.add(bar.volume, other.volume)
            self._add_notional(other)
        self._partial = self._partial or other.partial is True

    def _add_notional(self, bar: Bar) -> None:
        if bar.volume is not None and bar.vwap is not None:
            notional = EXACT.multiply(bar.vwap, bar.volume)
            self._notional = notional if self._notional is None else EXACT.add(self._notional, notional)

    def bar(self, watermark: int, step: Decimal) -> Bar:
        """The longer bar."""
        bar = self._bar
        bar.watermark, bar.vwap = watermark, rounded_vwap(self._notional, bar.volume, step)
        bar.partial = True if self._partial else UNSET
        return bar
