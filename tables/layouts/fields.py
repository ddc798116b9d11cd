"""Parses `ticks_fields`: which field of a record is which part of a tick.

    ts=TimestampUtc,last=trade.price,qty=trade.size,symbol=instrument.code,broker='XNAS'

A dot goes into a nested record. Text in single quotes is a constant. A name that holds a comma, a dot, an equals sign, a quote
or a blank at an end is written in double quotes: `last="trade.price"` is one field of that name. A quote in quotes is doubled.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

TARGETS = ("ts", "bid", "ask", "last", "qty", "seq", "heartbeat", "broker", "symbol")  # the parts of a tick
CONSTANTS = ("broker", "symbol")  # those that may be the same for every record
_PLAIN = re.compile(r"""[^,.='"]+""")
_QUOTED = {quote: re.compile(f"{quote}((?:[^{quote}]|{quote}{quote})*){quote}") for quote in "'\""}
_EXAMPLE = "ts=time,last=trade.price,symbol=code,broker='XNAS'"


@dataclass(frozen=True, slots=True)
class FieldPath:
    """The field with this name; further names go into nested records."""

    names: tuple[str, ...]

    def __str__(self) -> str:
        return ".".join(self.names)


@dataclass(frozen=True, slots=True)
class Constant:
    """The same text for every record."""

    text: str


Source = FieldPath | Constant


@dataclass(frozen=True, slots=True)
class TickFields:
    """Where each part of a tick comes from. A part without a source is not read, whatever the record holds."""

    sources: Mapping[str, Source]

    def path(self, target: str) -> FieldPath | None:
        """The field that holds this part; None where there is none, or it is a constant."""
        source = self.sources.get(target)
        return source if isinstance(source, FieldPath) else None

    def constant(self, target: str) -> str | None:
        """The constant for this part, if it is one."""
        source = self.sources.get(target)
        return source.text if isinstance(source, Constant) else None


OWN_NAMES = TickFields({target: FieldPath((target,)) for target in TARGETS})  # the default: each part has its own name


def parse_fields(text: str) -> TickFields:
    """Parse `ticks_fields`; empty text is `OWN_NAMES`. Raises `ValueError` with one readable line."""
    if not text.strip():
        return OWN_NAMES
    sources: dict[str, Source] = {}
    for target, source in _entries(text):
        if target not in TARGETS:
            raise ValueError(f"{target}: there is no such part of a tick; they are {', '.join(TARGETS)}")
        if target in sources:
            raise ValueError(f"{target}: it is given twice")
        if isinstance(source, Constant) and target not in CONSTANTS:
            raise ValueError(f"{target}='{source.text}': only {' and '.join(CONSTANTS)} may be constants")
        sources[target] = source
    if "ts" not in sources:
        raise ValueError(f"ts is missing: name the field with the event time, as in {_EXAMPLE}")
    return TickFields(sources)


def _entries(text: str) -> Iterator[tuple[str, Source]]:
    at = 0
    while at < len(text):
        equals = text.find("=", at)
        if equals < 0:
            raise ValueError(f"{text[at:].strip()!r} has no equals sign: write part=field, as in {_EXAMPLE}")
        target = text[at:equals].strip()
        source, at = _source(text, equals + 1, target)
        yield target, source


def _source(text: str, at: int, target: str) -> tuple[Source, int]:
    """The source that begins here, and where the next entry begins."""
    at += len(text[at:]) - len(text[at:].lstrip())
    names: list[str] = []
    while True:
        quote = text[at : at + 1]
        found = (_QUOTED[quote] if quote in _QUOTED and quote else _PLAIN).match(text, at)
        if found is None:
            raise ValueError(f"{target}: a field name is missing or not closed at {text[at:]!r}, as in {_EXAMPLE}")
        at = found.end()
        if quote == "'":
            if names:
                raise ValueError(f"{target}: a constant cannot be inside a field")
            return Constant(_unquoted(found[1], quote, target)), _next(text, at, target)
        names.append(_unquoted(found[1], quote, target) if quote == '"' else found[0].strip())
        if not names[-1]:
            raise ValueError(f"{target}: a field name is empty, as in {_EXAMPLE}")
        if text[at : at + 1] != ".":
            return FieldPath(tuple(names)), _next(text, at, target)
        at += 1


def _unquoted(inside: str, quote: str, target: str) -> str:
    if not inside:
        raise ValueError(f"{target}: there is nothing between the quotes")
    return inside.replace(quote * 2, quote)


def _next(text: str, at: int, target: str) -> int:
    rest = text[at:].lstrip()
    if rest and not rest.startswith(","):
        raise ValueError(f"{target}: a comma is missing before {rest!r}")
    if rest == ",":
        raise ValueError("it ends with a comma")
    return len(text) if not rest else len(text) - len(rest) + 1
