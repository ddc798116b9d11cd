"""A bar as Avro, by schemas/bar-1.avsc: the fields one after another, in the order of the schema.

A number is a zigzag varint; a text is its length and its bytes; a decimal is the length and the bytes of its digits. In front
of what may be null stands 0 for null, else 2.
"""

from __future__ import annotations

from decimal import Decimal

import msgspec
from msgspec import UNSET

from tables.bar_formats.format import BarFormat, with_corrected
from tables.bar_formats.numbers import from_unscaled, unscaled
from tables.bars import Bar

_NULL, _VALUE = b"\0", b"\2"
_SMALL = [bytes([number << 1]) for number in range(64)]  # numbers of one byte
_MAX_BYTES = 10  # of a varint


def _long(number: int) -> bytes:
    """A number of 64 bits."""
    if 0 <= number < 64:  # noqa: PLR2004  # see `_SMALL`
        return _SMALL[number]
    rest, out = (number << 1) ^ (number >> 63), bytearray()
    while rest > 0x7F:  # noqa: PLR2004  # more than seven bits
        out.append(rest & 0x7F | 0x80)
        rest >>= 7
    out.append(rest)
    return bytes(out)


def _text(text: str) -> bytes:
    content = text.encode()
    return _long(len(content)) + content


def _decimal(number: Decimal, scale: int) -> bytes:
    content = unscaled(number, scale)
    return _SMALL[len(content)] + content


def _maybe(number: Decimal | None, scale: int) -> bytes:
    return _NULL if number is None else _VALUE + _decimal(number, scale)


def encode(bar: Bar, scale: int, corrected: int | None = None, frame: str | None = None) -> bytes:
    """The bar, without framing."""
    return b"".join(
        (
            _text(bar.broker),
            _text(bar.symbol),
            _long(bar.bucket_start),
            _long(bar.bucket_end),
            _decimal(bar.open, scale),
            _decimal(bar.high, scale),
            _decimal(bar.low, scale),
            _decimal(bar.close, scale),
            _maybe(bar.volume, scale),
            _maybe(bar.vwap, scale),
            _long(bar.ticks),
            _long(bar.first_ts),
            _long(bar.last_ts),
            _text(bar.close_reason),
            _long(bar.closed_at),
            _long(bar.watermark),
            _long(bar.first_offset),
            _long(bar.last_offset),
            _long(bar.closed_at_offset),
            _long(bar.revision),
            b"\1" if bar.partial is True else b"\0",
            _NULL if corrected is None else _VALUE + _long(corrected),
            _NULL if frame is None else _VALUE + _text(frame),
        )
    )


class _Reader:
    """Reads one value after another."""

    def __init__(self, content: bytes, scale: int) -> None:
        self._content, self._scale = content, scale
        self.at = 0

    def long(self) -> int:
        number = shift = 0
        for byte in self._content[self.at : self.at + _MAX_BYTES]:
            self.at += 1
            number |= (byte & 0x7F) << shift
            if byte < 0x80:  # noqa: PLR2004  # the last one
                return (number >> 1) ^ -(number & 1)
            shift += 7
        raise broken()

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
    except UnicodeDecodeError:
        raise broken() from None


def broken() -> msgspec.DecodeError:
    """The error of a value that is not what it should be."""
    return msgspec.DecodeError("the value is no bar in Avro")


FORMAT = BarFormat(b"", encode, decode)
