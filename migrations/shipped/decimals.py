"""The DECIMAL types of the shipped plans. Settings decide their digits, so the plans name them by variables."""

from __future__ import annotations

from dataclasses import replace

from migrations.ksql.types import DECIMAL, MAX_PRECISION, DecimalType

SUM_DIGITS = 10  # digits that a sum has more than its summands
NOTIONAL_WHOLE = 21  # digits before the point of a sum of price times quantity


def decimals(precision: int, scale: int) -> dict[str, str]:
    """The types by variable: a price or quantity, a sum of those, and a sum of price times quantity."""
    product = min(MAX_PRECISION, 2 * precision + 1)
    return {
        "price": str(DECIMAL(precision, scale)),
        "sum": str(DECIMAL(min(MAX_PRECISION, precision + SUM_DIGITS), scale)),
        "notional": str(DECIMAL(product, min(2 * scale, max(scale, product - NOTIONAL_WHOLE)))),
    }


def by_variable(name: str, usual: DecimalType) -> DecimalType:
    """A type that statements write as `${name}`. Checks treat it as its usual type."""
    return replace(usual, text=f"${{{name}}}")


USUAL = decimals(18, 8)
PRICE = by_variable("price", DECIMAL(18, 8))
SUM = by_variable("sum", DECIMAL(28, 8))
NOTIONAL = by_variable("notional", DECIMAL(37, 16))
