"""The types of the shipped plans that settings decide. The plans name them by variables."""

from __future__ import annotations

from dataclasses import replace

from migrations.ksql.types import BIGINT, DECIMAL, MAX_PRECISION, TIMESTAMP, DecimalType

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


def bar_types(name: str, scale: int, numbers: dict[str, str]) -> dict[str, str]:
    """How the application writes its bars, by variable: the format's name and the types of prices, volume and times.

    `numbers`: those of `decimals`, which are for JSON. The other formats have types of their own, and columns must have
    just these.
    """
    if name == "json":
        return {"bar_format": "JSON", "bar_price": numbers["price"], "bar_sum": numbers["sum"], "bar_time": str(BIGINT)}
    exact = str(DECIMAL(MAX_PRECISION, scale))
    return {"bar_format": name.upper(), "bar_price": exact, "bar_sum": exact, "bar_time": str(TIMESTAMP)}


def by_variable(name: str, usual: DecimalType) -> DecimalType:
    """A type that statements write as `${name}`. Checks treat it as its usual type."""
    return replace(usual, text=f"${{{name}}}")


USUAL = decimals(18, 8)
PRICE = by_variable("price", DECIMAL(18, 8))
SUM = by_variable("sum", DECIMAL(28, 8))
NOTIONAL = by_variable("notional", DECIMAL(37, 16))
BAR_PRICE = by_variable("bar_price", DECIMAL(18, 8))
BAR_SUM = by_variable("bar_sum", DECIMAL(28, 8))
BAR_TIME = replace(BIGINT, text="${bar_time}")
