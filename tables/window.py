"""One window: open, high, low, close and volume of its ticks, exact and independent of their order of arrival."""

from __future__ import annotations

from collections.abc import Callable
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

import msgspec

from tables.ticks import EXACT

VWAP_DECIMALS = 8
_VWAP_STEP = Decimal(1).scaleb(-VWAP_DECIMALS)


class Window(msgspec.Struct, array_like=True, gc=False, eq=False):
    """An open window. Its JSON, an array in the order of the fields, is its state in the changelog: the order is fixed.

    Two ticks are ordered by (ts in the setting's unit, seq, offset). Open is the first tick, close the last; of equal prices
    high and low keep the text of the first. `opened_at` is the arrival (epoch ms) of the tick that opened the window.

    With 100,000 open windows, most time is spent waiting for memory. So ts, seq and offset are separate fields rather than a
    tuple, which would be one more object for each price. The fields that every tick reads come first, side by side.
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
    opened_at: int

    def fold(self, price: Decimal, qty: Decimal | None, ts: int, seq: int, offset: int) -> None:
        """Add a tick of this window. `price` and `qty` are exact; `ts` is in the setting's unit."""
        if not self.low < price < self.high:
            self.update_high_low(price, ts, seq, offset)
        self.update_open_close(price, ts, seq, offset)
        self.ticks += 1
        self.last_offset = offset
        if qty is not None:
            self.add_quantity(price, qty)

    def update_high_low(self, price: Decimal, ts: int, seq: int, offset: int) -> None:
        """Update high and low with a price that is not strictly between them."""
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
        """Update close if the tick is the last so far, or open if it is the first so far."""
        if (ts, seq, offset) > (self.close_ts, self.close_seq, self.close_offset):
            self.close, self.close_ts, self.close_seq, self.close_offset = price, ts, seq, offset
        elif (ts, seq, offset) < (self.open_ts, self.open_seq, self.open_offset):
            self.open, self.open_ts, self.open_seq, self.open_offset = price, ts, seq, offset

    def add_quantity(self, price: Decimal, qty: Decimal) -> None:
        """Add to volume and notional."""
        notional = EXACT.multiply(price, qty)
        self.volume = qty if self.volume is None else EXACT.add(self.volume, qty)
        self.notional = notional if self.notional is None else EXACT.add(self.notional, notional)

    def merge(self, other: Window) -> None:
        """Take in a window inside this one. The result is that of folding the ticks of both, in whatever order."""
        if other.open_ts > self.close_ts:
            take_later(self, other)
            return
        self._mix(other)
        self.ticks += other.ticks
        self.first_offset = min(self.first_offset, other.first_offset)
        self.last_offset = max(self.last_offset, other.last_offset)
        self.opened_at = min(self.opened_at, other.opened_at)
        if other.volume is not None and other.notional is not None:
            self.volume = other.volume if self.volume is None else EXACT.add(self.volume, other.volume)
            self.notional = other.notional if self.notional is None else EXACT.add(self.notional, other.notional)

    def _mix(self, other: Window) -> None:
        """Take in the prices of a window whose ticks may lie anywhere among these."""
        rank = (other.high_ts, other.high_seq, other.high_offset)
        if other.high > self.high or (other.high == self.high and rank < (self.high_ts, self.high_seq, self.high_offset)):
            self.high, (self.high_ts, self.high_seq, self.high_offset) = other.high, rank
        rank = (other.low_ts, other.low_seq, other.low_offset)
        if other.low < self.low or (other.low == self.low and rank < (self.low_ts, self.low_seq, self.low_offset)):
            self.low, (self.low_ts, self.low_seq, self.low_offset) = other.low, rank
        rank = (other.close_ts, other.close_seq, other.close_offset)
        if rank > (self.close_ts, self.close_seq, self.close_offset):
            self.close, (self.close_ts, self.close_seq, self.close_offset) = other.close, rank
        rank = (other.open_ts, other.open_seq, other.open_offset)
        if rank < (self.open_ts, self.open_seq, self.open_offset):
            self.open, (self.open_ts, self.open_seq, self.open_offset) = other.open, rank

    def vwap(self, step: Decimal = _VWAP_STEP) -> Decimal | None:
        """Volume-weighted average price, rounded half-even to 8 decimals; None without quantities or where they sum to 0.

        `step`: another number to whose multiples it is rounded.
        """
        return rounded_vwap(self.notional, self.volume, step)


def rounded_vwap(notional: Decimal | None, volume: Decimal | None, step: Decimal) -> Decimal | None:
    """See `Window.vwap`; `notional` is the sum of price x quantity."""
    if not volume or notional is None:
        return None
    # divide with 400 digits first, so that this rounding cannot turn a value into a tie of the next one
    return _WIDE.divide(notional, volume).quantize(step, rounding=ROUND_HALF_EVEN, context=_WIDE)


pack_window = msgspec.msgpack.Encoder().encode  # half as long as its JSON
unpack_window = msgspec.msgpack.Decoder(Window).decode
# The same with bytes for the prices that a later window replaces or leaves as they are: numbers take most of the time.
_Held = msgspec.defstruct(
    "_Held",
    [(one.name, msgspec.Raw if one.name in ("open", "close") else one.type) for one in msgspec.structs.fields(Window)],
    array_like=True,
    gc=False,
)
_unpack_held: Callable[[bytes], Any] = msgspec.msgpack.Decoder(_Held).decode


def merged_state(state: bytes, other: Window) -> bytes:
    """The state of a window that takes in a window inside it, see `Window.merge`."""
    held = _unpack_held(state)
    if other.open_ts > held.close_ts:  # nearly always
        take_later(held, other)
    else:
        held = unpack_window(state)
        held.merge(other)
    return pack_window(held)


def take_later(window: Any, later: Window) -> None:
    """Take into a window one whose ticks are all later: of equal prices the earlier one stays. Its open is not looked at."""
    if later.high > window.high:
        window.high, window.high_ts = later.high, later.high_ts
        window.high_seq, window.high_offset = later.high_seq, later.high_offset
    if later.low < window.low:
        window.low, window.low_ts = later.low, later.low_ts
        window.low_seq, window.low_offset = later.low_seq, later.low_offset
    window.close, window.close_ts = later.close, later.close_ts
    window.close_seq, window.close_offset = later.close_seq, later.close_offset
    window.ticks += later.ticks
    if later.first_offset < window.first_offset:  # noqa: PLR1730  # a call takes longer
        window.first_offset = later.first_offset
    if later.last_offset > window.last_offset:  # noqa: PLR1730
        window.last_offset = later.last_offset
    if later.opened_at < window.opened_at:  # noqa: PLR1730
        window.opened_at = later.opened_at
    if later.volume is not None and later.notional is not None:
        window.volume = later.volume if window.volume is None else EXACT.add(window.volume, later.volume)
        window.notional = later.notional if window.notional is None else EXACT.add(window.notional, later.notional)


_WIDE = EXACT.copy()
_WIDE.clear_traps()


def new_window(end: int, arrival: int, price: Decimal, ts: int, seq: int, offset: int) -> Window:
    """The window that a first tick opens, without its quantity."""
    # in the order of the fields; one line each for the fields of every tick, of a bar, and of ties
    # fmt: off
    return Window(
        end, 1, price, price, price, ts, seq, offset, offset,
        price, ts, offset, None, None,
        seq, offset, ts, seq, offset, ts, seq, offset, arrival,
    )
    # fmt: on
