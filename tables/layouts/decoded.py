"""What the decoders of schemas share: the decoded tick, its exact numbers, and the schemas that they cannot use."""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import msgspec

from tables.layouts.fields import OWN_NAMES, FieldPath, TickFields
from tables.ticks import EXACT, RejectedError, shown

_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d{1,3})?", re.ASCII)
_WHOLE = 1e16  # below it, every whole double is exact as an integer
_SHORT, _LONG = 6, 9  # digits: any float keeps 6, and 9 tell all floats apart
MAX_TEXT = 100  # characters of a number
_FLOAT = struct.Struct("<f")
Tree = dict[str, Any]  # field names; inside each a tree, or the parts of a tick that the field holds


class DecodedTick(msgspec.Struct, gc=False):
    """A tick as a decoder gives it, see `RawTick`."""

    ts: Any
    price: Decimal | None
    other: Decimal | None
    qty: Decimal | None
    seq: int
    heartbeat: bool
    broker: str | None
    symbol: str | None


class UnfitSchemaError(ValueError):
    """Ticks cannot be read by this schema. The text is one line that names the field."""


def parts(price: str) -> dict[str, str]:
    """The attributes of `DecodedTick` by the part of a tick that each one holds, for a price setting."""
    prices = {"bid": "price", "ask": "other"} if price == "mid" else {price: "price"}
    return {"ts": "ts", **prices, **{name: name for name in ("qty", "seq", "heartbeat", "broker", "symbol")}}


def field_tree(fields: TickFields, price: str) -> Tree:
    """The fields to read, as a tree. Raises `UnfitSchemaError` where one field is to be a number and hold fields as well."""
    tree: Tree = {}
    for target in parts(price):
        path = fields.path(target)
        if path is None:
            continue
        inside = tree
        for name in path.names[:-1]:
            inside = inside.setdefault(name, {})
            if not isinstance(inside, dict):
                raise UnfitSchemaError(f"{path}: {name} is a tick's field by itself, and cannot hold others")
        targets = inside.setdefault(path.names[-1], [])
        if not isinstance(targets, list):
            raise UnfitSchemaError(f"{path}: it holds other fields of a tick, and cannot be one itself")
        targets.append(target)
    return tree


def required(fields: TickFields, price: str) -> Mapping[str, FieldPath]:
    """The fields that a schema must have, by part: time and price, and with `ticks_fields` all that it names.

    Raises `UnfitSchemaError` where `ticks_fields` does not say which field is the price.
    """
    names = parts(price)
    for target in ("ts", *(name for name, part in names.items() if part in ("price", "other"))):
        if fields.path(target) is None:
            raise UnfitSchemaError(f"ticks_fields does not say which field is {target}, and price={price} needs it")
    wanted = names if fields is not OWN_NAMES else [name for name, part in names.items() if part in ("ts", "price", "other")]
    return {target: path for target in wanted if (path := fields.path(target)) is not None}


def trimmed(digits: int, scale: int) -> Decimal:
    """A decimal without trailing zeros after the point: what a schema's scale adds says nothing about the price."""
    while scale and not digits % 10:
        digits //= 10
        scale -= 1
    return EXACT.scaleb(Decimal(digits), -scale)


def from_double(number: float) -> Decimal:
    """A double with the fewest digits that give it back."""
    if number.is_integer() and -_WHOLE < number < _WHOLE:
        return Decimal(int(number))
    return Decimal(repr(number))


def from_float(number: float) -> Decimal:
    """A float of four bytes with the fewest digits that give it back."""
    if number.is_integer() and -_WHOLE < number < _WHOLE:
        return Decimal(int(number))
    if number - number:  # infinite, or not a number
        return Decimal(repr(number))
    wanted = _FLOAT.pack(number)
    for digits in range(_SHORT, _LONG):
        text = f"{number:.{digits}g}"
        if abs(float(text)) <= MAX_FLOAT and _FLOAT.pack(float(text)) == wanted:
            return trimmed_text(text)
    return trimmed_text(f"{number:.{_LONG}g}")


MAX_FLOAT = 3.4028234663852886e38


def trimmed_text(text: str) -> Decimal:
    """The number in a text that Python made."""
    return Decimal(repr(float(text)))


def from_text(text: str, field: str, reason: str) -> Decimal:
    """The number in a text. Raises `RejectedError`."""
    if len(text) > MAX_TEXT or not _NUMBER.fullmatch(text):
        raise RejectedError(reason, f"{field}: {shown(text)} is not a number")
    return Decimal(text)
