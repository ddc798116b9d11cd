"""The records of the input as the reference reads them: with the standard library alone.

Event times are integers in epoch ms, and the price is the bid: other units and prices are the business of the decoder's tests.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from decimal import Decimal, InvalidOperation
from typing import Any, NoReturn, Protocol

from tests.support.reference import Entry

MAX_DIGITS = 34
MARKER = "barwheel-marker"  # the header of a record that a worker wrote to tell the time
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


class Record(Protocol):
    """A record of a topic."""

    @property
    def offset(self) -> int: ...

    @property
    def timestamp(self) -> int: ...

    @property
    def key(self) -> bytes | None: ...

    @property
    def value(self) -> bytes | None: ...

    @property
    def headers(self) -> Iterable[str | tuple[str, bytes | None]]: ...


class _RefusedError(Exception):
    """The record is no tick; the message is the reason."""


def parsed(record: Record) -> Entry:
    """A record as an entry; one that is no tick has the reason in `bad`. Its arrival is its timestamp."""
    names = [header if isinstance(header, str) else header[0] for header in record.headers]
    if not record.key and not record.value and MARKER in names:
        return Entry(record.offset, record.timestamp, marker=True)
    try:
        return _tick(record)
    except _RefusedError as refused:
        return Entry(record.offset, record.timestamp, bad=str(refused))


def _tick(record: Record) -> Entry:
    said = _object(record.value)
    ts, seq, heartbeat = said["ts"], said.get("seq", 0), said.get("heartbeat", False)
    if type(ts) is not int or type(seq) is not int or type(heartbeat) is not bool:
        raise _RefusedError("type")
    price, qty = _number(said.get("bid"), "price"), _number(said.get("qty"), "qty")
    broker, symbol = _names(record.key)
    if said.get("broker", broker) != broker or said.get("symbol", symbol) != symbol:
        raise _RefusedError("key")
    if heartbeat:
        return Entry(record.offset, record.timestamp, broker, symbol, ts, heartbeat=True)
    if price is None:
        raise _RefusedError("missing")
    if not (price.is_finite() and price > 0 and _is_short(price)):
        raise _RefusedError("price")
    if qty is not None and not (qty.is_finite() and qty >= 0 and _is_short(qty)):
        raise _RefusedError("qty")
    return Entry(record.offset, record.timestamp, broker, symbol, ts, price, qty, seq)


def _object(value: bytes | None) -> dict[str, Any]:
    if not value:
        raise _RefusedError("empty")
    try:
        said = json.loads(value, parse_float=Decimal, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        raise _RefusedError("json") from None
    if not isinstance(said, dict):
        raise _RefusedError("type")
    if "ts" not in said:
        raise _RefusedError("missing")
    return said


def _refuse_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is not JSON")


def _number(said: object, reason: str) -> Decimal | None:
    if said is None:
        return None
    if isinstance(said, bool) or not isinstance(said, int | Decimal | str):
        raise _RefusedError("type")
    try:
        return Decimal(said)
    except InvalidOperation:
        raise _RefusedError(reason) from None


def _is_short(number: Decimal) -> bool:
    return len(number.as_tuple().digits) <= MAX_DIGITS and (not number or -MAX_DIGITS < number.adjusted() < MAX_DIGITS)


def _names(key: bytes | None) -> tuple[str, str]:
    try:
        names = (key or b"").decode().split("|")
    except UnicodeDecodeError:
        raise _RefusedError("key") from None
    if len(names) != 2 or not all(names) or any(_CONTROL.search(name) for name in names):
        raise _RefusedError("key")
    return names[0], names[1]
