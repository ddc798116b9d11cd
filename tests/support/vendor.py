"""Real quotes, and the minute bars that their vendor computed from them: an independent reference."""

from __future__ import annotations

import csv
import io
import os
import zipfile
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tables.bars import Bar

_DATA = Path(os.environ.get("BARWHEEL_TEST_DATA") or Path(__file__).parents[3] / "shared")
ROOT = next((path for path in (_DATA / "data" / "lean", _DATA / "lean") if path.is_dir()), _DATA / "data" / "lean")

Row = tuple[int, str, str, str, str]  # bucket start, open, high, low, close, digit for digit


@dataclass(frozen=True)
class Day:
    """One day of EURUSD of one broker; the times in its files count from `origin`."""

    broker: str
    origin: str

    @property
    def file(self) -> Path:
        """The quotes: ms since origin, bid, ask."""
        return ROOT / self.broker / "tick" / "eurusd_20140505_quote.zip"

    @property
    def midnight(self) -> int:
        """`origin` as epoch ms."""
        return int(datetime.fromisoformat(self.origin).timestamp()) * 1_000

    def quotes(self) -> list[tuple[int, str, str]]:
        """Every quote as (epoch ms, bid, ask)."""
        return [(self.midnight + int(ms), bid, ask) for ms, bid, ask in _rows(self.file)]

    def minutes(self, price: str) -> list[Row]:
        """The vendor's bars of `bid` or `ask`; a minute without quotes has no row."""
        first = {"bid": 1, "ask": 6}[price]
        rows = _rows(ROOT / self.broker / "minute" / "eurusd_20140505_quote.zip")
        return [(self.midnight + int(row[0]), row[first], row[first + 1], row[first + 2], row[first + 3]) for row in rows]

    def counts(self) -> dict[int, int]:
        """Number of quotes by minute; the vendor's bars do not have it."""
        counts: dict[int, int] = {}
        for ts, _, _ in self.quotes():
            counts[ts - ts % 60_000] = counts.get(ts - ts % 60_000, 0) + 1
        return counts


DAYS = (Day("oanda", "2014-05-05T00:00:00+00:00"), Day("fxcm", "2014-05-05T00:00:00-05:00"))


def missing() -> str:
    """Why the data cannot be used; empty if it can."""
    absent = [str(day.file) for day in DAYS if not day.file.is_file()]
    return f"no test data: {absent[0]} does not exist (set BARWHEEL_TEST_DATA)" if absent else ""


def rows_of(bars: list[Bar]) -> list[Row]:
    """Bars in the vendor's form."""
    return [(b.bucket_start, _text(b.open), _text(b.high), _text(b.low), _text(b.close)) for b in bars]


def _text(price: Decimal) -> str:
    return format(price, "f")


def _rows(path: Path) -> Iterator[list[str]]:
    with zipfile.ZipFile(path) as archive:
        text = archive.read(archive.namelist()[0]).decode()
    return csv.reader(io.StringIO(text))
