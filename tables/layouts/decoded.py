"""What the decoders of schemas share: the decoded tick, its exact numbers, and the schemas that they cannot use."""

from __future__ import annotations

import functools
import struct
from collections.abc import Callable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, Protocol, cast

import msgspec

from tables.layouts.config import ParsedLayout
from tables.layouts.fields import CONSTANTS, OWN_NAMES, FieldPath
from tables.ticks import EXACT, RawTick, RejectedError, shown

_WHOLE = 1e16  # below it, every whole double is exact as an integer
_SHORT, _LONG = 6, 9  # digits: any float keeps 6, and 9 tell all floats apart
MAX_TEXT = 100  # characters of a number
_COMMA, _SLASH = b",/"  # all signs before the minus, and all before the digits
_FLOAT = struct.Struct("<f")
Tree = dict[str, Any]  # field names; inside each a tree, or the attribute of a tick that the field holds


class DecodedTick(RawTick, Protocol):
    """A tick as a decoder gives it. The names that fields say are compared with the key before the engine."""

    said_broker: str | int | None
    said_symbol: str | int | None


DEFAULTS: Mapping[str, Any] = {  # the attributes of a tick, and their values where nothing is read
    "ts": None,
    "price": None,
    "other": None,
    "qty": None,
    "seq": 0,
    "heartbeat": False,
    "said_broker": None,
    "said_symbol": None,
}


@functools.cache
def tick_type(attributes: tuple[str, ...]) -> Callable[..., DecodedTick]:
    """Ticks of which these attributes are given, in this order. The others are the same for all of them."""
    same = {name: default for name, default in DEFAULTS.items() if name not in attributes}
    names = {"broker": None, "symbol": None}  # the engine has nothing to compare
    made = msgspec.defstruct("Tick", [(name, Any) for name in attributes], namespace=same | names, gc=False)
    return cast("Callable[..., DecodedTick]", made)


NUMBERS = frozenset({"price", "other", "qty"})


class UnfitSchemaError(ValueError):
    """Ticks cannot be read by this schema. The text is one line that names the field."""


def field_tree(paths: Mapping[str, FieldPath]) -> Tree:
    """The fields to read, as a tree with the attributes of a tick as its leaves. No field is inside another one."""
    tree: Tree = {}
    for attribute, path in paths.items():
        inside = tree
        for name in path.names[:-1]:
            inside = inside.setdefault(name, {})
        inside[path.names[-1]] = attribute
    return tree


def required(parsed: ParsedLayout) -> Mapping[str, FieldPath]:
    """The fields that a schema must have: those that `ticks_fields` names; without it, time, price and missing names."""
    wanted = {"ts", "price", "other"}
    wanted |= {f"said_{part}" for part in CONSTANTS if part not in parsed.key.parts}
    own = parsed.fields is OWN_NAMES
    return {attribute: path for attribute, path in parsed.paths.items() if attribute in wanted or not own}


def part_of(attribute: str, price: str) -> str:
    """What `ticks_fields` calls an attribute of a tick."""
    names = {"price": "bid" if price == "mid" else price, "other": "ask"}
    return names.get(attribute, attribute.removeprefix("said_"))


def trimmed(digits: int, scale: int) -> Decimal:
    """A decimal without trailing zeros after the point: what a schema's scale adds says nothing about the price."""
    while scale and not digits % 10:
        digits //= 10
        scale -= 1
    return EXACT.scaleb(Decimal(digits), -scale)


digits_of = msgspec.json.Encoder().encode  # it finds the digits of a double in less time than `repr`
number_of = msgspec.json.Decoder(Decimal).decode


def from_double(number: float) -> Decimal:
    """A double with the fewest digits that give it back."""
    if number.is_integer() and -_WHOLE < number < _WHOLE:
        return Decimal(int(number))
    return Decimal(repr(number))


def double_expression(value: Callable[[Any], str]) -> Callable[[str], str]:
    """The same as `from_double`, as an expression without a call of ours. `value` gives the name of a value.

    Digits whose last one is not 0 are neither those of a whole number nor `null`, which stands for what is no number.
    """
    number, digits, others = value(number_of), value(digits_of), value(from_double)
    return f"({number}(y) if 48 < (y := {digits}({{0}}))[-1] < 58 else {others}({{0}}))".format


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


NOT_JSON = (msgspec.MsgspecError, IndexError)


def ascii_lines(name: str, text: str, other: str, value: Callable[[Any], str]) -> list[str]:
    """Lines that assign to `name` the number in the bytes of a text, without a call of ours where it is a usual one.

    `value` gives the name of a value. `other`: an expression for all else.
    """
    usual = f"{text}[0] > {_COMMA} and {text}[-1] > {_SLASH} and len({text}) <= {MAX_TEXT}"  # no blanks or quotes around it
    return [
        f"try: {name} = {value(number_of)}({text}) if {usual} else {other}",
        f"except {value(NOT_JSON)}: {name} = {other}",
    ]


def text_lines(name: str, other: str, value: Callable[[Any], str]) -> list[str]:
    """The same for a text that is in `name` already: with the tests of `from_text`."""
    usual = f"len({name}) <= {MAX_TEXT} and {name}.isascii() and '_' not in {name} and {name}[0] > ' ' < {name}[-1]"
    return [
        f"try: {name} = {value(Decimal)}({name}) if {usual} else {other}",
        f"except {value(NOT_DECIMAL)}: {name} = {other}",
    ]


NOT_DECIMAL = (InvalidOperation, IndexError)


class TextNumber:
    """Reads the numbers of a field that holds them as text."""

    def __init__(self, field: str, reason: str) -> None:
        self._field = field
        self._reason = reason

    def __call__(self, text: str) -> Decimal:
        """The number in a text. Raises `RejectedError`."""
        return from_text(text, self._field, self._reason)

    def of_bytes(self, text: bytes) -> Decimal:
        """The number in the bytes of a text. Raises `RejectedError`, and `ValueError` where it is no text."""
        return from_text(text.decode(), self._field, self._reason)


def from_text(text: str, field: str, reason: str) -> Decimal:
    """The number in a text. Raises `RejectedError`."""
    if len(text) <= MAX_TEXT and text.isascii() and "_" not in text and text == text.strip():  # what Decimal takes as well
        try:
            return Decimal(text)
        except InvalidOperation:
            pass
    raise RejectedError(reason, f"{field}: {shown(text)} is not a number")
