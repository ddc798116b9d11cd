"""The check of a price's digits on the fast path."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

from tables.bar_formats.numbers import BarNumbers
from tables.config import EngineConfig
from tables.ticks import PRICE_LIMITS, check_digits


def price_check(config: EngineConfig) -> Callable[[Decimal], object]:
    """A function that raises `DecimalException` for a price that the rules would refuse because of its digits."""
    usual: Callable[[Decimal], object] = PRICE_LIMITS.plus if config.positive else check_digits
    if config.bar_scale is None:
        return usual
    fits = BarNumbers(config.bar_scale).check_plain
    if config.positive:
        return fits  # stricter than the usual check

    def both(price: Decimal) -> None:
        usual(price)
        fits(price)

    return both
