"""Final bars for tests."""

from __future__ import annotations

from decimal import Decimal

from tables.bars import Bar, encode_bar

ONE = Decimal("1.50")


def bar(broker: str = "fx", symbol: str = "EURUSD", start: int = 0, close: str = "1.50", revision: int = 0) -> Bar:
    """A bar of one minute."""
    end = start + 60_000
    prices = (ONE, max(ONE, Decimal(close)), min(ONE, Decimal(close)), Decimal(close))
    reason, more = ("correction", {"corrected": 1}) if revision else ("watermark", {})
    evidence = (reason, end + 5_000, end, 0, 9, 10, revision)
    return Bar(broker, symbol, start, end, *prices, None, None, 3, start, end - 1, *evidence, **more)  # type: ignore[arg-type]  # as above


def bar_json(broker: str = "fx", symbol: str = "EURUSD", start: int = 0, close: str = "1.50", revision: int = 0) -> bytes:
    """The value of its record in a topic."""
    return encode_bar(bar(broker, symbol, start, close, revision))
