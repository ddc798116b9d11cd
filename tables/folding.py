"""Makes a longer bar of shorter ones, for a frame that the engine does not keep: for the API, the page and `app bars` alike.

fold(bars, start, end)   # `bars` within [start, end), in order of time

All is exact but `vwap`: a bar has it rounded, so the last decimal of the longer one's may be off by one.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Protocol

import msgspec
from msgspec import UnsetType

from tables.ticks import EXACT
from tables.window import VWAP_DECIMALS, rounded_vwap


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

    @property
    def partial(self) -> bool | UnsetType:
        """Whether its window may lack ticks."""


class Folded(msgspec.Struct, gc=False):
    """A longer bar. `folded`: of how many bars it is made. `partial`: whether a window inside may lack ticks."""

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
    partial: bool


class Fold:
    """A longer bar in the making, of bars whose windows are apart and which come in order of time.

    Of equal prices high and low keep the text of the first, as everywhere. A bar without ticks repeats a price of before its
    time, so its prices count only where there is no other. Its window may lack ticks as any other may.
    """

    def __init__(self, start: int, end: int, scale: int | None = None) -> None:
        """`scale`: the decimals of the prices in bars, if they have one."""
        self.start = start
        self.end = end
        self._step = Decimal(1).scaleb(-VWAP_DECIMALS if scale is None else -min(scale, VWAP_DECIMALS))
        self._parts = 0
        self._partial = False
        self._notional: Decimal | None = None
        self._bar: Folded | None = None

    def add(self, part: Part) -> None:
        """Take in the next bar."""
        self._parts += 1
        self._partial = self._partial or part.partial is True
        bar = self._bar
        if bar is None or not bar.ticks:
            self._bar = self._begun(part)
        elif not part.ticks:
            return
        else:
            bar.high = max(bar.high, part.high)
            bar.low = min(bar.low, part.low)
            bar.close, bar.last_ts = part.close, part.last_ts
            bar.ticks += part.ticks
            bar.first_offset = min(bar.first_offset, part.first_offset)
            bar.last_offset = max(bar.last_offset, part.last_offset)
            if part.volume is not None:
                bar.volume = part.volume if bar.volume is None else EXACT.add(bar.volume, part.volume)
        if part.volume is not None and part.vwap is not None:
            notional = EXACT.multiply(part.vwap, part.volume)
            self._notional = notional if self._notional is None else EXACT.add(self._notional, notional)

    def _begun(self, part: Part) -> Folded:
        return Folded(
            *(self.start, self.end, part.open, part.high, part.low, part.close, part.volume, None, part.ticks),
            *(part.first_ts, part.last_ts, part.first_offset, part.last_offset, 0, False),
        )

    def bar(self) -> Folded:
        """The longer bar. At least one bar was added."""
        bar = self._bar
        if bar is None:
            raise ValueError("no bar was added")
        bar.vwap = rounded_vwap(self._notional, bar.volume, self._step)
        bar.folded, bar.partial = self._parts, self._partial
        return bar


def fold(parts: Iterable[Part], start: int, end: int, scale: int | None = None) -> Folded:
    """Fold bars, at least one, see `Fold`."""
    made = Fold(start, end, scale)
    for part in parts:
        made.add(part)
    return made.bar()
