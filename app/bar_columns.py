"""Bars as columns: of Arrow, for Parquet files and for the API, and as the cells of CSV.

Prices and volumes are decimals of 38 digits. They are exact: what does not fit is an error. A vwap is a
quotient, which is rounded.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Context, Decimal, Inexact, InvalidOperation
from typing import Any

from msgspec import UNSET

from tables.bars import Bar

DIGITS = 38  # of Arrow's decimal128
DEFAULT_SCALE, MAX_SCALE = 10, 28  # decimals
PRICES = ("open", "high", "low", "close", "volume")
NUMBERS = ("ticks", "closed_at_offset", "first_offset", "last_offset", "revision")
TIMES = ("bucket_start", "bucket_end", "first_ts", "last_ts", "closed_at", "watermark")
_EXACT = Context(prec=DIGITS, traps=[Inexact, InvalidOperation])  # zeros at the end may go
_ROUNDED = Context(prec=DIGITS, traps=[InvalidOperation])


class MisfitError(Exception):
    """A price has more decimals, or is greater, than the columns hold. The text names the bar and the price."""


def arrow_columns(bars: Sequence[Bar], scale: int) -> dict[str, Any]:
    """Arrow arrays of the bars' fields by name, without the broker; needs pyarrow. Raises `MisfitError`."""
    import pyarrow as pa  # noqa: PLC0415 - an extra

    price, moment = pa.decimal128(DIGITS, scale), pa.timestamp("ms", tz="UTC")
    columns: dict[str, Any] = {"symbol": pa.array([bar.symbol for bar in bars], pa.string())}
    columns |= {name: pa.array([getattr(bar, name) for bar in bars], moment) for name in TIMES}
    columns |= {name: pa.array([_price(bar, name, scale) for bar in bars], price) for name in PRICES}
    columns["vwap"] = pa.array([_rounded(bar.vwap, scale) for bar in bars], price)
    columns |= {name: pa.array([getattr(bar, name) for bar in bars], pa.int64()) for name in NUMBERS}
    columns["close_reason"] = pa.array([bar.close_reason for bar in bars], pa.string())
    columns["partial"] = pa.array([bar.partial is True for bar in bars], pa.bool_())
    return columns


def csv_cell(value: object) -> object:
    """A field of a bar as a cell of CSV: decimals with every digit, nothing for what is absent."""
    if value is None or value is UNSET:
        return ""
    if isinstance(value, bool):
        return "true" if value else ""
    return f"{value:f}" if isinstance(value, Decimal) else value


def _price(bar: Bar, name: str, scale: int) -> Decimal | None:
    value: Decimal | None = getattr(bar, name)
    if value is None:
        return None
    try:
        return value.quantize(Decimal(1).scaleb(-scale), context=_EXACT)
    except (Inexact, InvalidOperation):
        text = f"{bar.broker}|{bar.symbol} at {bar.bucket_start}: {name} {value:f} does not fit {DIGITS} digits"
        raise MisfitError(f"{text} with {scale} decimals") from None


def _rounded(value: Decimal | None, scale: int) -> Decimal | None:
    return None if value is None else value.quantize(Decimal(1).scaleb(-scale), context=_ROUNDED)
