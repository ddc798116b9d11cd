"""Broker and symbol of a tick: from the record's key, from fields of the value, or constants."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from tables.layouts.fields import Constant, FieldPath, Source
from tables.ticks import MAX_KEY, RejectedError, shown

_PLACE = re.compile(r"(\{\w*\})")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_PARTS = {"{broker}": "broker", "{symbol}": "symbol"}
MOST_KNOWN = 500_000  # identities that are remembered; beyond that, all are forgotten

Said = str | int | None  # what a field says: a number stands for its text


def bad_name(name: str) -> str:
    """What is wrong with the name of a broker or a symbol; empty: nothing."""
    if not name:
        return "is empty"
    if "|" in name:
        return "holds a |"
    return "has control characters" if _CONTROL.search(name) else ""


class KeyPattern:
    """A form of record keys, such as `{broker}|{symbol}`. Empty: the key says nothing.

    The broker never holds the text that follows or precedes it; the symbol may: under `{broker}.{symbol}`, the key NYSE.BRK.B
    has the symbol BRK.B.
    """

    def __init__(self, text: str) -> None:
        """Raises `ValueError` with one readable line."""
        self.text = text
        pieces = _PLACE.split(text)
        self.parts = tuple(_PARTS[piece] for piece in pieces if piece in _PARTS)
        unknown = [piece for piece in pieces if _PLACE.fullmatch(piece) and piece not in _PARTS]
        if unknown:
            raise ValueError(f"{unknown[0]} is unknown; there are {{broker}} and {{symbol}}")
        if text and not self.parts:
            raise ValueError("it has neither {broker} nor {symbol}; leave it empty where the key says nothing")
        if len(set(self.parts)) < len(self.parts):
            raise ValueError("{broker} and {symbol} may be there once each")
        if len(self.parts) == len(_PARTS) and not pieces[2]:
            raise ValueError("there must be a text between {broker} and {symbol}")
        between = re.escape(pieces[2]) if len(self.parts) == len(_PARTS) else ""
        broker = f"(?P<broker>(?:(?!{between}).)+)" if between else "(?P<broker>.+)"
        form = {"{broker}": broker, "{symbol}": "(?P<symbol>.+)"}
        self._form = re.compile("".join(form.get(piece, re.escape(piece)) for piece in pieces), re.DOTALL)

    def parse(self, key: bytes | None) -> dict[str, str]:
        """The parts that a key holds. Raises `RejectedError`."""
        if not self.parts:
            return {}
        if key is None:
            raise RejectedError("key", f"key: missing, it must be {self.text}")
        if len(key) > MAX_KEY:
            raise RejectedError("key", f"key: {shown(key[:MAX_KEY])} has {len(key)} bytes, more than {MAX_KEY}")
        try:
            match = self._form.fullmatch(key.decode())
        except UnicodeDecodeError:
            raise RejectedError("key", f"key: {shown(key)} is not UTF-8") from None
        if match is None:
            raise RejectedError("key", f"key: {shown(key)} is not {self.text}")
        return match.groupdict()

    def format(self, broker: str, symbol: str) -> bytes | None:
        """The key of a symbol; None where keys say nothing."""
        if not self.parts:
            return None
        return self.text.replace("{broker}", "\0").replace("{symbol}", symbol).replace("\0", broker).encode()


class Identities:
    """Makes `broker|symbol` of what a record's key and its fields say. It remembers those that it has made."""

    def __init__(self, pattern: KeyPattern, broker: Source | None, symbol: Source | None) -> None:
        self.pattern = pattern
        self._sources = {"broker": broker, "symbol": symbol}
        self.by_value = isinstance(broker, FieldPath) or isinstance(symbol, FieldPath)  # fields say something
        self.by_key = bool(pattern.parts)  # keys do
        self.known: dict[bytes | None, bytes] = {}  # those that are remembered: where the fields say nothing, by the key
        self.known_said: dict[tuple[bytes | None, Said, Said], bytes] = {}  # others by (the key or None, broker, symbol)

    def of_record(self, key: bytes | None, broker: Said, symbol: Said) -> bytes:
        """`broker|symbol`, which is then known. `broker`, `symbol`: what fields say, None where they are absent.

        Raises `RejectedError`.
        """
        made = self._make(key, {"broker": broker, "symbol": symbol})
        if len(self.known) + len(self.known_said) >= MOST_KNOWN:
            self.known.clear()
            self.known_said.clear()
        if broker is None and symbol is None:
            self.known[key] = made
        else:
            self.known_said[key if self.by_key else None, broker, symbol] = made
        return made

    def name_of(self, key: bytes | None, decode: Callable[[], Any]) -> tuple[str, str]:
        """Broker and symbol; by the key alone where `decode`, which gives the record's tick, raises `RejectedError`.

        Raises `RejectedError`.
        """
        broker = symbol = None
        try:
            tick = decode()
            broker, symbol = tick.said_broker, tick.said_symbol
        except RejectedError:
            pass  # the key may tell
        name = self.of_record(key, broker, symbol).decode().partition("|")
        return name[0], name[2]

    def _make(self, key: bytes | None, said: dict[str, Said]) -> bytes:
        parsed = self.pattern.parse(key)
        names = [self._name(part, parsed.get(part), said[part]) for part in ("broker", "symbol")]
        try:
            made = "|".join(names).encode()
        except UnicodeEncodeError:
            raise RejectedError("key", f"broker and symbol: {shown('|'.join(names))} are no text") from None
        if len(made) > MAX_KEY:
            raise RejectedError("key", f"broker and symbol: {shown(made)} have {len(made)} bytes, more than {MAX_KEY}")
        return made

    def _name(self, part: str, in_key: str | None, said: Said) -> str:
        """The one name that all sources give."""
        source = self._sources[part]
        label = f"{source}" if isinstance(source, FieldPath) else part
        value = source.text if isinstance(source, Constant) else None if said is None else str(said)
        if in_key is not None and value is not None and in_key != value:
            what = "the setting" if isinstance(source, Constant) else "the value"
            raise RejectedError("key", f"{label}: {what} says {shown(value)}, the key says {shown(in_key)}")
        name = in_key if value is None else value
        if name is None:
            raise RejectedError("missing", f"{label}: the field is missing")
        problem = bad_name(name)
        if problem:
            where = "key" if value is None else label
            raise RejectedError("key", f"{where}: the {part} {shown(name)} {problem}")
        return name
