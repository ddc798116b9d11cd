"""Guesses which field of JSON values is which part of a tick, by names that feeds use and by what the fields hold. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from app.operations.inspection.times import unit_of
from app.operations.inspection.values import FieldSeen, Path, Row
from tables.layouts.times import date_and_time

# Names that feeds use, the likeliest first: letters and digits only, in small letters.
NAMES: Mapping[str, tuple[str, ...]] = {
    "ts": (
        *("ts", "eventtime", "timestamp", "tradetime", "quotetime", "transacttime", "exchangetime", "sourcetime"),
        *("timestamputc", "tsevent", "time", "datetime", "timems", "timestampms", "t", "e", "at"),
    ),
    "bid": ("bid", "bidprice", "bidpx", "bestbid", "bestbidprice", "bp", "b"),
    "ask": ("ask", "askprice", "askpx", "offer", "offerprice", "bestask", "bestaskprice", "ap", "a"),
    "last": ("last", "lastprice", "tradeprice", "price", "lastpx", "px", "rate", "close", "p"),
    "qty": ("qty", "quantity", "size", "tradesize", "lastqty", "lastsize", "volume", "amount", "vol", "q", "v"),
    "seq": ("seq", "seqno", "sequence", "sequencenumber", "seqnum", "tradeid", "aggtradeid"),
    "symbol": (
        *("symbol", "sym", "ticker", "instrument", "instrumentcode", "instrumentid", "pair", "productid", "product", "code"),
        *("isin", "ric", "security", "contract", "market", "s"),
    ),
    "broker": ("broker", "exchange", "venue", "exch", "mic", "feed", "provider", "source", "marketcenter", "ex", "x"),
}
MOST_SHARE = 0.9  # a part must be in so many of the values
_OTHER = re.compile(r"[^a-z0-9]")


def guess(fields: Mapping[Path, FieldSeen], rows: Iterable[tuple[Row, int]], count: int) -> dict[str, Path]:
    """The field of each part of a tick that was found. `rows`: the values with their arrivals. `count`: how many there are."""
    known = list(rows)
    found: dict[str, Path] = {}
    for part, names in NAMES.items():
        ranked = sorted(
            (rank, len(path), path)
            for path, seen in fields.items()
            if path not in found.values()
            and (rank := _rank(path, names)) is not None
            and (part == "qty" or seen.count >= MOST_SHARE * count)
            and _holds(part, [(row[path], arrival) for row, arrival in known if row.get(path) is not None])
        )
        if ranked:
            found[part] = ranked[0][2]
    if "ts" not in found:
        dates = [path for path, seen in fields.items() if seen.count >= MOST_SHARE * count and _are_dates(path, known)]
        if len(dates) == 1:  # whatever its name is
            found["ts"] = dates[0]
    return found


def _are_dates(path: Path, rows: list[tuple[Row, int]]) -> bool:
    """Whether a field holds dates and times as text, as those of a schema that says so are shown."""
    values = [(row[path], arrival) for row, arrival in rows if row.get(path) is not None]
    return all(isinstance(value, str) and date_and_time(value) for value, _ in values) and _holds("ts", values)


def _rank(path: Path, names: tuple[str, ...]) -> int | None:
    """How likely the field has this part, by its name or by the names that lead to it; lower is likelier."""
    last, whole = _plain(path[-1]), _plain("".join(path))
    places = [names.index(name) for name in (last, whole) if name in names]
    return min(places) if places else None


def _plain(name: str) -> str:
    return _OTHER.sub("", name.lower())


def _holds(part: str, values: list[tuple[Any, int]]) -> bool:
    """Whether these values can be this part of a tick."""
    if not values:
        return False
    if part == "ts":
        return unit_of(values) is not None
    if part in {"broker", "symbol"}:
        return all(isinstance(value, str) and value for value, _ in values)
    if part == "seq":
        return all(isinstance(value, int) and not isinstance(value, bool) for value, _ in values)
    return all(_is_number(value) for value, _ in values)


def _is_number(value: Any) -> bool:
    if isinstance(value, str):
        try:
            return Decimal(value).is_finite()
        except InvalidOperation:
            return False
    return isinstance(value, int | Decimal) and not isinstance(value, bool)
