"""Numbers of bars as decimal(38, scale): what fits, and their digits as bytes.

A tick that does not fit is rejected, so every bar fits:

- A price has at most `scale` decimals, and one digit less before the point than the column, which the vwap may need when it is
  rounded up.
- A quantity has twelve digits less before the point. So the volume of 10^12 ticks fits, more than any window has.
- A vwap lies between the lowest and the highest price. It is rounded to 8 decimals, or to `scale` where that is less.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from decimal import ROUND_HALF_EVEN, Context, Decimal, Inexact, InvalidOperation, Rounded
from functools import partial

from tables.ticks import EXACT, MAX_DIGITS, RejectedError, shown
from tables.window import VWAP_DECIMALS, Window

PRECISION = 38  # of Avro's, Parquet's and most databases' widest decimal
MAX_BYTES = 16  # of 38 digits
PRICE_DIGITS = PRECISION - 1
QUANTITY_DIGITS = PRECISION - 12


class BarNumbers:
    """The numbers of bars with a scale."""

    def __init__(self, scale: int) -> None:
        self.scale = scale
        self._step = Decimal(1).scaleb(-scale)
        self._price, self._qty = _digits(PRICE_DIGITS), _digits(QUANTITY_DIGITS)
        self._vwap_step = Decimal(1).scaleb(-min(scale, VWAP_DECIMALS))
        # The fast path's check, in one call without a Python function: raises `DecimalException` for more prices than `check`
        # does, but for none less, and for each that has more than `MAX_DIGITS` digits. Not for 0, which may have any exponent.
        self.check_plain: Callable[[Decimal], object] = partial(
            Decimal.quantize, exp=self._step, context=Context(prec=MAX_DIGITS, traps=[Rounded, InvalidOperation])
        )

    def check(self, price: Decimal, qty: Decimal | None, price_field: str, qty_field: str) -> None:
        """Check the numbers of a tick. Raises `RejectedError` with the name of the field."""
        self._check(price, self._price, price_field)
        if qty is not None:
            self._check(qty, self._qty, qty_field)

    def _check(self, number: Decimal, digits: Context, field: str) -> None:
        try:
            number.quantize(self._step, context=digits)
        except InvalidOperation:
            room = max(0, digits.prec - self.scale)
            detail = f"{field}: {shown(number)} has more than {room} digits before the point, with bars_scale={self.scale}"
            raise RejectedError("scale", detail) from None
        except Inexact:
            detail = f"{field}: {shown(number)} has more decimals than bars_scale={self.scale}"
            raise RejectedError("scale", detail) from None

    def unfit(self, windows: Iterable[Window]) -> Decimal | None:
        """A number of these windows that no bar could hold; None: there is none. Windows of another format may have one."""
        for window in windows:
            for number in (window.open, window.high, window.low, window.close, window.volume):
                try:
                    if number is not None:
                        number.quantize(self._step, context=self._price)
                except (InvalidOperation, Inexact):
                    return number
        return None

    def vwap(self, window: Window) -> Decimal | None:
        """The vwap of a window, with no more decimals than fit."""
        return window.vwap(self._vwap_step)


def _digits(precision: int) -> Context:
    return Context(prec=precision, rounding=ROUND_HALF_EVEN, traps=[Inexact, InvalidOperation])


_scaled, _integral = EXACT.scaleb, EXACT.to_integral_exact


def unscaled(number: Decimal, scale: int) -> bytes:
    """The digits of a number with `scale` decimals: an integer in two's complement, big-endian, as short as possible.

    Raises `Inexact` where it has more decimals.
    """
    digits = int(_integral(_scaled(number, scale)))
    return digits.to_bytes((digits if digits >= 0 else ~digits).bit_length() // 8 + 1, signed=True)


def from_unscaled(content: bytes, scale: int) -> Decimal:
    """The number back, without zeros at the end of its decimals: the scale adds them, whatever the ticks had.

    Raises `ValueError` where it is longer than any that a bar can have.
    """
    if len(content) > MAX_BYTES:
        raise ValueError("a number is too long")
    digits = int.from_bytes(content, signed=True)
    while scale and not digits % 10:
        digits //= 10
        scale -= 1
    return EXACT.scaleb(Decimal(digits), -scale)
