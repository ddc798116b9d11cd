"""Decodes a tick: typed, exact (no binary float between the wire and the bar), and only the fields that a bar needs."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Context, Decimal, DecimalException, Inexact, InvalidOperation, Overflow, Rounded, Subnormal
from typing import Any, NamedTuple, Protocol, cast

import msgspec

MAX_DIGITS = 34  # those of IEEE 754 decimal128
MAX_KEY = 1_024  # bytes; a bar holds the names twice, and a bar too large for its topic would stop the partition
ZERO = Decimal(0)
TWO = Decimal(2)
PER_SECOND = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}

# `PRICE_LIMITS.plus(number)` raises where a number has more digits, or a larger or smaller exponent, than a price may have.
PRICE_LIMITS = Context(
    prec=MAX_DIGITS,
    Emax=MAX_DIGITS - 1,
    Emin=1 - MAX_DIGITS,
    traps=[Rounded, InvalidOperation, Overflow, Subnormal],  # Inexact would let any number of trailing zeros pass
)
# Sums and products of such numbers fit in this context without rounding. If one ever did not, it would raise.
EXACT = Context(prec=400, traps=[Inexact, InvalidOperation, Overflow])

_RFC3339 = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?([Zz]|[+-](?:[01]\d|2[0-3]):[0-5]\d)",
    re.ASCII,
)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_PATH = re.compile(r"\$\.(\w+)")
_MISSING = re.compile(r"missing required field `(\w+)`")
_SHOWN = 60  # characters of a bad value in a message


class RawTick(Protocol):
    """A decoded tick. `price` is the field that makes the bar; `other` is the ask where the setting is `mid`."""

    ts: int | str
    price: Decimal | None
    other: Decimal | None
    qty: Decimal | None
    seq: int
    heartbeat: bool
    broker: str | None
    symbol: str | None


class FieldNames(NamedTuple):
    """What a topic calls the parts of a tick that the rules check, for messages."""

    ts: str = "ts"
    bid: str = "bid"
    ask: str = "ask"
    last: str = "last"
    qty: str = "qty"


OWN_FIELDS = FieldNames()


class RejectedError(Exception):
    """The record is not a tick. `reason` is a fixed word; `detail` names the field and the value."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


def decoder(price: str) -> Callable[[bytes], RawTick]:
    """A decoder of ticks for a price setting: `bid`, `ask`, `last`, or `mid` of bid and ask."""
    names = {"price": "bid" if price == "mid" else price}
    fields: list[Any] = [("ts", int | str), ("price", Decimal | None, None)]
    if price == "mid":
        names["other"] = "ask"
        fields.append(("other", Decimal | None, None))
    fields += [
        ("qty", Decimal | None, None),
        ("seq", int, 0),
        ("heartbeat", bool, False),
        ("broker", str | None, None),
        ("symbol", str | None, None),
    ]
    kind = msgspec.defstruct("Tick", fields, rename=names, gc=False)
    return cast("Callable[[bytes], RawTick]", msgspec.json.Decoder(kind).decode)


def read(decode: Callable[[bytes], RawTick], value: bytes | None) -> RawTick:
    """Decode a record value; raises `RejectedError` with the field and what is wrong with it."""
    if not value:
        raise RejectedError("empty", "the record has no value")
    try:
        return decode(value)
    except msgspec.ValidationError as error:
        text = str(error)
        missing = _MISSING.search(text)
        if missing:
            raise RejectedError("missing", f"{missing[1]}: the field is missing") from None
        path = _PATH.search(text)
        field = path[1] if path else "value"
        reason = (
            {"bid": "price", "ask": "price", "last": "price", "qty": "qty"}.get(field, "type")
            if "decimal string" in text
            else "type"
        )
        raise RejectedError(reason, f"{field}: {text.split(' - at', maxsplit=1)[0]}, in {shown(value)}") from None
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise RejectedError("json", f"value: {error}, in {shown(value)}") from None


def event_time(ts: int | str, unit: str) -> tuple[int, int]:
    """Event time as `(in `unit`, in epoch ms)`; text must be RFC 3339 with an offset. Raises `RejectedError`."""
    if isinstance(ts, str):
        ts = _rfc3339(ts, PER_SECOND[unit])
    return ts, ts * 1_000 // PER_SECOND[unit]


def _rfc3339(text: str, per_second: int) -> int:
    match = _RFC3339.fullmatch(text)
    if match is None:
        raise RejectedError("ts", f"ts: {shown(text)} is not RFC 3339 with an offset, such as 2014-05-05T00:00:00.123Z")
    year, month, day, hour, minute, second = (int(part) for part in match.groups()[:6])
    zone = match[8]
    try:
        whole = int(datetime(year, month, day, hour, minute, second, tzinfo=UTC).timestamp())
    except ValueError as error:
        raise RejectedError("ts", f"ts: {shown(text)}: {error}") from None
    if zone not in "Zz":
        shift = int(zone[1:3]) * 3_600 + int(zone[4:6]) * 60
        whole -= shift if zone[0] == "+" else -shift
    nanos = int((match[7] or "0").ljust(9, "0"))
    return whole * per_second + nanos * per_second // 1_000_000_000


def price_of(tick: RawTick, kind: str, *, positive: bool = True, names: FieldNames = OWN_FIELDS) -> Decimal:
    """The price that makes the bar, checked: finite, at most 34 digits, and above zero where `positive`.

    Raises `RejectedError` with the name of the field.
    """
    if kind != "mid":
        return _checked(tick.price, getattr(names, kind), positive=positive)
    bid, ask = _checked(tick.price, names.bid, positive=positive), _checked(tick.other, names.ask, positive=positive)
    return EXACT.divide(EXACT.add(bid, ask), TWO)


def _checked(price: Decimal | None, field: str, *, positive: bool) -> Decimal:
    if price is None:
        raise RejectedError("missing", f"{field}: the field is missing")
    if positive and not (price.is_finite() and price > ZERO):
        raise RejectedError("price", f"{field}: {shown(price)} is not above 0 and finite")
    if not price.is_finite():
        raise RejectedError("price", f"{field}: {shown(price)} is not finite")
    _check_digits(price, "price", field)
    return price


def quantity_of(tick: RawTick, field: str = "qty") -> Decimal | None:
    """The quantity, checked: not negative, finite, at most 34 digits. Raises `RejectedError` with the name of the field."""
    qty = tick.qty
    if qty is None:
        return None
    if not qty.is_finite() or qty < ZERO:
        raise RejectedError("qty", f"{field}: {shown(qty)} is negative or not finite")
    _check_digits(qty, "qty", field)
    return qty


def _check_digits(number: Decimal, reason: str, field: str) -> None:
    """Raise `RejectedError` where a number has more than 34 digits or an exponent beyond them."""
    try:
        check_digits(number)
    except DecimalException:
        raise RejectedError(reason, f"{field}: {shown(number)} has more than {MAX_DIGITS} digits") from None


def check_digits(number: Decimal) -> None:
    """Raise `DecimalException` where a number, which may be 0, has more than 34 digits or an exponent beyond them."""
    if number:
        PRICE_LIMITS.plus(number)
    elif not -MAX_DIGITS <= cast("int", number.as_tuple().exponent) <= 0:
        raise InvalidOperation


def name_of(key: bytes | None) -> tuple[str, str]:
    """Broker and symbol of a record key `broker|symbol`; raises `RejectedError`."""
    if key is None:
        raise RejectedError("key", "key: missing, it must be broker|symbol")
    if len(key) > MAX_KEY:
        raise RejectedError("key", f"key: {shown(key[:MAX_KEY])} has {len(key)} bytes, more than {MAX_KEY}")
    try:
        broker, bar, symbol = key.decode().partition("|")
    except UnicodeDecodeError:
        raise RejectedError("key", f"key: {shown(key)} is not UTF-8") from None
    if not broker or not bar or not symbol or "|" in symbol:
        raise RejectedError("key", f"key: {shown(key)} is not broker|symbol")
    if _CONTROL.search(broker) or _CONTROL.search(symbol):
        raise RejectedError("key", f"key: {shown(key)} has control characters")
    return broker, symbol


def check_name(tick: RawTick, name: tuple[str, str]) -> None:
    """Raise `RejectedError` where the value repeats broker or symbol and differs from the key."""
    for field, said, known in (("broker", tick.broker, name[0]), ("symbol", tick.symbol, name[1])):
        if said is not None and said != known:
            raise RejectedError("key", f"{field}: the value says {shown(said)}, the key says {shown(known)}")


def shown(value: object) -> str:
    """A bad value for a message: cut to 60 characters, control characters escaped."""
    text = value.decode(errors="backslashreplace") if isinstance(value, bytes) else str(value)
    cut = text if len(text) <= _SHOWN else text[:_SHOWN] + "…"
    return ascii(cut) if not cut.isprintable() else repr(cut)
