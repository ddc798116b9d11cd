"""A bar as Avro, by schemas/bar-1.avsc: the fields one after another, in the order of the schema.

A number is a zigzag varint; a text is its length and its bytes; a decimal is the length and the bytes of its digits. In front
of what may be null stands 0 for null, else 2.
"""

from __future__ import annotations

from decimal import Decimal
from functools import lru_cache

import msgspec
from msgspec import UNSET

from tables.bar_formats.format import BarFormat, with_corrected
from tables.bar_formats.numbers import from_unscaled, unscaled
from tables.bar_formats.varints import read_varint, zigzag
from tables.bars import Bar

_NULL, _VALUE = b"\0", b"\2"


def _text(text: str) -> bytes:
    content = text.encode()
    return zigzag(len(content)) + content


_shared_text, _shared_long = lru_cache(256)(_text), lru_cache(256)(zigzag)  # of all bars of a step


def _decimal(number: Decimal, scale: int) -> bytes:
    content = unscaled(number, scale)
    return zigzag(len(content)) + content


def encode(bar: Bar, scale: int, corrected: int | None = None, frame: str | None = None) -> bytes:
    """The bar, without framing."""
    opened, high, low, close, volume, vwap = bar.open, bar.high, bar.low, bar.close, bar.volume, bar.vwap
    first = _decimal(opened, scale)  # often the only price
    return b"".join(
        (
            _shared_text(bar.broker),
            _text(bar.symbol),
            _shared_long(bar.bucket_start),
            _shared_long(bar.bucket_end),
            first,
            first if high is opened else _decimal(high, scale),
            first if low is opened else _decimal(low, scale),
            first if close is opened else _decimal(close, scale),
            _NULL if volume is None else _VALUE + _decimal(volume, scale),
            _NULL if vwap is None else _VALUE + _decimal(vwap, scale),
            zigzag(bar.ticks),
            zigzag(bar.first_ts),
            zigzag(bar.last_ts),
            _shared_text(bar.close_reason),
            _shared_long(bar.closed_at),
            _shared_long(bar.watermark),
            zigzag(bar.first_offset),
            zigzag(bar.last_offset),
            _shared_long(bar.closed_at_offset),
            zigzag(bar.revision),
            b"\1" if bar.partial is True else b"\0",
            _NULL if corrected is None else _VALUE + zigzag(corrected),
            _NULL if frame is None else _VALUE + _text(frame),
        )
    )


class _Reader:
    """Reads one value after another."""

    def __init__(self, content: bytes, scale: int) -> None:
        self._content, self._scale = content, scale
        self.at = 0

    def long(self) -> int:
        number, self.at = read_varint(self._content, self.at)
        return (number >> 1) ^ -(number & 1)

    def part(self) -> bytes:
        size = self.long()
        end = self.at + size
        if size < 0 or end > len(self._content):
            raise broken()
        part, self.at = self._content[self.at : end], end
        return part

    def text(self) -> str:
        return self.part().decode()

    def decimal(self) -> Decimal:
        return from_unscaled(self.part(), self._scale)

    def present(self) -> bool:
        """Whether what may be null is not."""
        branch = self.long()
        if branch not in (0, 1):
            raise broken()
        return bool(branch)

    def maybe(self) -> Decimal | None:
        return self.decimal() if self.present() else None

    def boolean(self) -> bool:
        byte = self._content[self.at : self.at + 1]
        self.at += 1
        if byte not in (b"\0", b"\1"):
            raise broken()
        return byte == b"\1"

    def end(self) -> int | None:
        """Read the last two fields; nothing follows. Returns how many ticks a correction added."""
        corrected = self.long() if self.present() else None
        if self.present():  # the frame, which the topic's name says
            self.part()
        if self.at != len(self._content):
            raise broken()
        return corrected


def decode(content: bytes, scale: int) -> Bar:
    """The bar again. Raises `msgspec.DecodeError`."""
    read = _Reader(content, scale)
    try:
        bar = Bar(
            broker=read.text(),
            symbol=read.text(),
            bucket_start=read.long(),
            bucket_end=read.long(),
            open=read.decimal(),
            high=read.decimal(),
            low=read.decimal(),
            close=read.decimal(),
            volume=read.maybe(),
            vwap=read.maybe(),
            ticks=read.long(),
            first_ts=read.long(),
            last_ts=read.long(),
            close_reason=read.text(),
            closed_at=read.long(),
            watermark=read.long(),
            first_offset=read.long(),
            last_offset=read.long(),
            closed_at_offset=read.long(),
            revision=read.long(),
            partial=True if read.boolean() else UNSET,
        )
        return with_corrected(bar, read.end())
    except ValueError:  # UnicodeDecodeError is one as well
        raise broken() from None


def broken() -> msgspec.DecodeError:
    """The error of a value that is not what it should be."""
    return msgspec.DecodeError("the value is no bar in Avro")


FORMAT = BarFormat(b"", encode, decode)
