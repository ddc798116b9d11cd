"""Makes a longer bar of shorter ones, for a frame that the engine does not keep.

fold(bars, start, end)   # `bars` within [start, end), in order of time

All is exact but `vwap`: a bar has it rounded to 8 decimals, so the last decimal of the longer one's may be off by one.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Protocol

import msgspec

from tables.ticks import EXACT
from tables.window import VWAP_DECIMALS

_VWAP_STEP = Decimal(1).scaleb(-VWAP_DECIMALS)
_WIDE = EXACT.copy()
_WIDE.clear_traps()


class Part(Protocol):
    """What a bar, or an open window, says of its ticks. Times are epoch ms."""

    bucket_start: int
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal | None
    vwap: Decimal | None
    ticks: int
    first_ts: int
    last_ts: int
    first_offset: int
    last_offset: int


class Folded(msgspec.Struct, gc=False):
    """A longer bar. `folded`: of how many bars it is made."""

    bucket_start: int
    bucket_end: int
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal | None
    vwap: Decimal | None
    ticks: int
    first_ts: int
    last_ts: int
    first_offset: int
    last_offset: int
    folded: int


def fold(parts: Sequence[Part], start: int, end: int) -> Folded:
    """Fold bars whose windows are apart, in order of time; there is at least one.

    Of equal prices high and low keep the text of the first, as everywhere. A bar without ticks repeats a price of before its
    time, so it counts only where there is no other.
    """
    traded = [part for part in parts if part.ticks] or parts[-1:]
    first, last = traded[0], traded[-1]
    volume = notional = None
    for part in traded:
        if part.volume is not None:
            volume = part.volume if volume is None else EXACT.add(volume, part.volume)
            if part.vwap is not None:
                product = EXACT.multiply(part.vwap, part.volume)
                notional = product if notional is None else EXACT.add(notional, product)
    vwap = None
    if volume and notional is not None:
        vwap = _WIDE.divide(notional, volume).quantize(_VWAP_STEP, rounding=ROUND_HALF_EVEN, context=_WIDE)
    return Folded(
        bucket_start=start,
        bucket_end=end,
        open=first.open,
        high=max(part.high for part in traded),
        low=min(part.low for part in traded),
        close=last.close,
        volume=volume,
        vwap=vwap,
        ticks=sum(part.ticks for part in traded),
        first_ts=first.first_ts,
        last_ts=last.last_ts,
        first_offset=min(part.first_offset for part in traded),
        last_offset=max(part.last_offset for part in traded),
        folded=len(parts),
    )
