"""One open window: the running open, high, low, close of its ticks, exact and independent of the order they came in."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal

import msgspec

from tables.bars import Bar
from tables.ticks import EXACT, PER_SECOND

Rank = tuple[int, int, int]  # (ts in the setting's unit, seq, offset): which of two ticks came first
_VWAP_STEP = Decimal("1e-8")


class Window(msgspec.Struct, array_like=True, gc=False, eq=False):
    """An open window; its JSON, an array, is what the changelog keeps of it.

    Open is the tick with the smallest rank, close the one with the largest; of equal prices high and low keep the text of
    the smaller rank. `opened` is the arrival (ms) of the tick that opened it.
    """

    end: int
    opened: int
    first_offset: int
    last_offset: int
    ticks: int
    open: Decimal
    open_rank: Rank
    high: Decimal
    high_rank: Rank
    low: Decimal
    low_rank: Rank
    close: Decimal
    close_rank: Rank
    volume: Decimal | None = None
    notional: Decimal | None = None  # sum of price x quantity

    def fold(self, price: Decimal, qty: Decimal | None, rank: Rank) -> None:
        """Take in one more tick of this window."""
        if price >= self.high:
            self.extend_high(price, rank)
        if price <= self.low:
            self.extend_low(price, rank)
        if rank > self.close_rank:
            self.close = price
            self.close_rank = rank
        elif rank < self.open_rank:
            self.open = price
            self.open_rank = rank
        self.ticks += 1
        self.last_offset = rank[2]
        if qty is not None:
            self.add_quantity(price, qty)

    def extend_high(self, price: Decimal, rank: Rank) -> None:
        """Take a price that is not below the high."""
        if price > self.high or rank < self.high_rank:
            self.high = price
            self.high_rank = rank

    def extend_low(self, price: Decimal, rank: Rank) -> None:
        """Take a price that is not above the low."""
        if price < self.low or rank < self.low_rank:
            self.low = price
            self.low_rank = rank

    def add_quantity(self, price: Decimal, qty: Decimal) -> None:
        """Add to volume and notional."""
        notional = EXACT.multiply(price, qty)
        self.volume = qty if self.volume is None else EXACT.add(self.volume, qty)
        self.notional = notional if self.notional is None else EXACT.add(self.notional, notional)

    def vwap(self) -> Decimal | None:
        """Volume-weighted average price, rounded half-even to 8 decimals; None without quantities or where they sum to 0."""
        if not self.volume or self.notional is None:
            return None
        # 400 digits first: far more than would let the first rounding move a tie of the second
        quotient = _WIDE.divide(self.notional, self.volume)
        return quotient.quantize(_VWAP_STEP, rounding=ROUND_HALF_EVEN, context=_WIDE)


_WIDE = EXACT.copy()
_WIDE.clear_traps()


def new_window(end: int, arrival: int, price: Decimal, qty: Decimal | None, rank: Rank) -> Window:
    """The window that a first tick opens."""
    window = Window(end, arrival, rank[2], rank[2], 1, price, rank, price, rank, price, rank, price, rank)
    if qty is not None:
        window.add_quantity(price, qty)
    return window


def close_window(  # noqa: PLR0913, PLR0917  # what a bar is made of
    window: Window,
    name: tuple[str, str],
    size: int,
    per_second: int,
    reason: str,
    at: int,
    watermark: int,
    offset: int,
) -> Bar:
    """The final bar of a window. `per_second` is the number of units of `ts` in a second; the wire floors to ms."""
    first_ts, last_ts = window.open_rank[0], window.close_rank[0]
    if per_second != PER_SECOND["ms"]:
        first_ts, last_ts = first_ts * 1_000 // per_second, last_ts * 1_000 // per_second
    return Bar(
        name[0],
        name[1],
        window.end - size,
        window.end,
        window.open,
        window.high,
        window.low,
        window.close,
        window.volume,
        window.vwap() if window.volume is not None else None,
        window.ticks,
        first_ts,
        last_ts,
        reason,
        at,
        watermark,
        window.first_offset,
        window.last_offset,
        offset,
    )
