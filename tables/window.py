"""One open window: the running open, high, low, close of its ticks, exact and independent of the order they came in."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal

import msgspec

from tables.ticks import EXACT

_VWAP_STEP = Decimal("1e-8")


class Window(msgspec.Struct, array_like=True, gc=False, eq=False):
    """An open window; its JSON, an array, is what the changelog keeps of it.

    Which of two ticks came first goes by (ts in the setting's unit, seq, offset): open is the first tick, close the last; of
    equal prices high and low keep the text of the first. `opened` is the arrival (ms) of the tick that opened it.

    With 100,000 open windows the time goes into waiting for memory. So the three numbers are fields instead of a tuple, which
    would be one more object at each price; what every tick looks at lies together, in front, then what a bar takes besides.
    """

    end: int
    ticks: int
    high: Decimal
    low: Decimal
    close: Decimal
    close_ts: int
    close_seq: int
    close_offset: int
    last_offset: int
    open: Decimal
    open_ts: int
    first_offset: int
    volume: Decimal | None
    notional: Decimal | None  # sum of price x quantity
    open_seq: int
    open_offset: int
    high_ts: int
    high_seq: int
    high_offset: int
    low_ts: int
    low_seq: int
    low_offset: int
    opened: int

    def fold(self, price: Decimal, qty: Decimal | None, ts: int, seq: int, offset: int) -> None:
        """Take in one more tick of this window."""
        if not self.low < price < self.high:
            self.update_high_low(price, ts, seq, offset)
        self.update_open_close(price, ts, seq, offset)
        self.ticks += 1
        self.last_offset = offset
        if qty is not None:
            self.add_quantity(price, qty)

    def update_high_low(self, price: Decimal, ts: int, seq: int, offset: int) -> None:
        """Take a price that is not between low and high."""
        if price > self.high:
            self.high, self.high_ts, self.high_seq, self.high_offset = price, ts, seq, offset
        elif price < self.low:
            self.low, self.low_ts, self.low_seq, self.low_offset = price, ts, seq, offset
        else:  # as high as the high, as low as the low, or both
            if price == self.high and (ts, seq, offset) < (self.high_ts, self.high_seq, self.high_offset):
                self.high, self.high_ts, self.high_seq, self.high_offset = price, ts, seq, offset
            if price == self.low and (ts, seq, offset) < (self.low_ts, self.low_seq, self.low_offset):
                self.low, self.low_ts, self.low_seq, self.low_offset = price, ts, seq, offset

    def update_open_close(self, price: Decimal, ts: int, seq: int, offset: int) -> None:
        """Take a tick for the close or the open, if it is the last or the first."""
        if (ts, seq, offset) > (self.close_ts, self.close_seq, self.close_offset):
            self.close, self.close_ts, self.close_seq, self.close_offset = price, ts, seq, offset
        elif (ts, seq, offset) < (self.open_ts, self.open_seq, self.open_offset):
            self.open, self.open_ts, self.open_seq, self.open_offset = price, ts, seq, offset

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


def new_window(end: int, arrival: int, price: Decimal, ts: int, seq: int, offset: int) -> Window:  # a call a bar
    """The window that a first tick opens, before its quantity."""
    # as the fields stand: what every tick looks at; what a bar is made of besides; the rest
    # fmt: off
    return Window(
        end, 1, price, price, price, ts, seq, offset, offset,
        price, ts, offset, None, None,
        seq, offset, ts, seq, offset, ts, seq, offset, arrival,
    )
    # fmt: on
