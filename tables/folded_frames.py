"""Longer bars from final bars that were published: for a frame that the engine does not keep.

The windows are those of the same calendar, and the bars those that `tables.longer` would publish, with these differences:

- `close_reason` is "folded". `closed_at` and `closed_at_offset` are the largest of the bars inside.
- `watermark` is the largest that is known, see `is_closed`. The last bar of a fold may be that of a window that goes on.
- `revision` is the sum of the revisions inside: it rises whenever one of them is revised.
- `vwap` is made of the vwaps inside. They are rounded, so it can differ in its last decimal.
- `partial` says what the bars inside and `cut` say.

A longer window that has flat bars alone, those with 0 ticks, is left out; `tables.flat.filled` adds longer flat bars.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from msgspec import UNSET

from tables.bars import Bar
from tables.calendar import Calendar, Frame
from tables.folding import Fold, Folded
from tables.scopes import UNKNOWN

FOLDED = "folded"  # close_reason
_SAME = [name for name in Folded.__struct_fields__ if name not in ("folded", "partial")]


def fold_frame(
    bars: Iterable[Bar],
    frame: Frame,
    calendar: Calendar,
    *,
    watermark: int = UNKNOWN,
    cut: int = UNKNOWN,
    scale: int | None = None,
) -> Iterator[Bar]:
    """Yield the longer bars of one (broker, symbol), in order.

    `bars`: its base bars, the newest revision of each, in order, and all of each longer window. `watermark`: the largest of its
    scope, where other bars tell one. `cut`: see `OpenWindows.cut`; a longer window that holds this time may lack ticks.
    `scale`: the decimals of the prices in bars, if they have one.

    Raises `ValueError` where the bars are not in order, or where one crosses a bound of the frame.
    """
    longer: _Longer | None = None
    before = UNKNOWN
    for bar in bars:
        if bar.bucket_start < before:
            raise ValueError(f"the bar that starts at {bar.bucket_start} comes after one that ends at {before}")
        before = bar.bucket_end
        watermark = max(watermark, bar.watermark)
        if longer is None or bar.bucket_start >= longer.fold.end:
            if longer is not None:
                yield from longer.bars(watermark, cut)
            longer = _Longer(Fold(*calendar.window(frame, bar.bucket_start), scale), bar)
        longer.add(bar)
        if bar.bucket_end > longer.fold.end:
            raise ValueError(f"the bar from {bar.bucket_start} to {bar.bucket_end} crosses the end of its {frame.name} window")
    if longer is not None:
        yield from longer.bars(watermark, cut)


def is_closed(bar: Bar) -> bool:
    """Whether the window of a folded bar has ended, as far as its watermark tells: every final bar inside was published."""
    return bar.bucket_end <= bar.watermark


class _Longer:
    """One longer window: its fold, and what published bars say besides."""

    def __init__(self, fold: Fold, first: Bar) -> None:
        self.fold = fold
        self._first = first
        self._revision = 0
        self._closed_at = self._closed_at_offset = UNKNOWN

    def add(self, bar: Bar) -> None:
        """Take in the next bar."""
        self.fold.add(bar)
        self._revision += bar.revision
        self._closed_at = max(self._closed_at, bar.closed_at)
        self._closed_at_offset = max(self._closed_at_offset, bar.closed_at_offset)

    def bars(self, watermark: int, cut: int) -> Iterator[Bar]:
        """The longer bar; none where no bar inside has ticks."""
        whole, first = self.fold.bar(), self._first
        if whole.ticks:
            fields = {name: getattr(whole, name) for name in _SAME}
            yield Bar(
                **fields,
                broker=first.broker,
                symbol=first.symbol,
                close_reason=FOLDED,
                closed_at=self._closed_at,
                watermark=watermark,
                closed_at_offset=self._closed_at_offset,
                revision=self._revision,
                partial=True if whole.partial or whole.bucket_start <= cut < whole.bucket_end else UNSET,
            )
