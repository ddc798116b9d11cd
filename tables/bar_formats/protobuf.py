"""A bar as Protobuf, by schemas/bar-1.proto: each field with its number and kind in front, in the order of the numbers.

Decimals are `confluent.type.Decimal`: the digits as bytes, precision and scale. A text would be as exact, but Kafka Connect and
ksqlDB make decimal columns of this message, and text columns of a text.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
from msgspec import UNSET

from tables.bar_formats.format import BarFormat, with_corrected
from tables.bar_formats.numbers import PRECISION, from_unscaled, unscaled
from tables.bars import Bar

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5  # kinds
_MASK = (1 << 64) - 1
_MAX_BYTES = 10  # of a varint
_MAX_SCALE = 400  # what anybody may have written


def _varint(number: int) -> bytes:
    """A number of 64 bits; a negative one as its two's complement."""
    rest, out = number & _MASK, bytearray()
    while rest > 0x7F:  # noqa: PLR2004  # more than seven bits
        out.append(rest & 0x7F | 0x80)
        rest >>= 7
    out.append(rest)
    return bytes(out)


def _tag(number: int, kind: int) -> bytes:
    return _varint(number << 3 | kind)


_INT = [_tag(number, _VARINT) for number in range(24)]
_PART = [_tag(number, _BYTES) for number in range(24)]


def _text(number: int, text: str) -> bytes:
    content = text.encode()
    return _PART[number] + _varint(len(content)) + content


def _time(number: int, ms: int) -> bytes:
    """A google.protobuf.Timestamp: seconds since the epoch, and nanoseconds that are never negative."""
    seconds, rest = divmod(ms, 1_000)
    content = _INT[1] + _varint(seconds)
    if rest:
        content += _INT[2] + _varint(rest * 1_000_000)
    return _PART[number] + _varint(len(content)) + content


def encode(bar: Bar, scale: int, corrected: int | None = None, frame: str | None = None) -> bytes:
    """The bar, without framing."""
    shape = _INT[2] + _varint(PRECISION) + _INT[3] + _varint(scale)

    def decimal(number: int, value: Decimal | None) -> bytes:
        if value is None:
            return b""
        digits = unscaled(value, scale)
        content = _PART[1] + _varint(len(digits)) + digits + shape
        return _PART[number] + _varint(len(content)) + content

    return b"".join(
        (
            _text(1, bar.broker),
            _text(2, bar.symbol),
            _time(3, bar.bucket_start),
            _time(4, bar.bucket_end),
            decimal(5, bar.open),
            decimal(6, bar.high),
            decimal(7, bar.low),
            decimal(8, bar.close),
            decimal(9, bar.volume),
            decimal(10, bar.vwap),
            _INT[11] + _varint(bar.ticks),
            _time(12, bar.first_ts),
            _time(13, bar.last_ts),
            _text(14, bar.close_reason),
            _time(15, bar.closed_at),
            _time(16, bar.watermark),
            _INT[17] + _varint(bar.first_offset),
            _INT[18] + _varint(bar.last_offset),
            _INT[19] + _varint(bar.closed_at_offset),
            _INT[20] + _varint(bar.revision) if bar.revision else b"",
            _INT[21] + b"\1" if bar.partial is True else b"",
            b"" if corrected is None else _INT[22] + _varint(corrected),
            b"" if frame is None else _text(23, frame),
        )
    )


def _read_varint(content: bytes, at: int) -> tuple[int, int]:
    number = shift = 0
    for byte in content[at : at + _MAX_BYTES]:
        at += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:  # noqa: PLR2004  # the last one
            return number & _MASK, at
        shift += 7
    raise broken()


def _fields(content: bytes) -> dict[int, Any]:
    """The fields of a message by number: the last one where there are several. Those of other kinds are left out."""
    found: dict[int, Any] = {}
    at = 0
    while at < len(content):
        tag, at = _read_varint(content, at)
        number, kind = tag >> 3, tag & 7
        if kind == _VARINT:
            found[number], at = _read_varint(content, at)
        elif kind in (_FIXED64, _FIXED32):
            at += 8 if kind == _FIXED64 else 4
        elif kind == _BYTES:
            size, at = _read_varint(content, at)
            found[number], at = content[at : at + size], at + size
        else:
            raise broken()
    if at != len(content):
        raise broken()
    return found


def _signed(number: int) -> int:
    return number - (1 << 64) if number >> 63 else number


def _read_time(content: bytes) -> int:
    parts = _fields(content)
    return _signed(parts.get(1, 0)) * 1_000 + _signed(parts.get(2, 0)) // 1_000_000


def _read_decimal(content: bytes) -> Decimal:
    parts = _fields(content)
    scale = parts.get(3, 0)
    if scale > _MAX_SCALE:
        raise broken()
    return from_unscaled(parts.get(1, b""), scale)


def decode(content: bytes, _scale: int = 0) -> Bar:
    """The bar again; each decimal tells its scale. Raises `msgspec.DecodeError`."""
    try:
        field = _fields(content)
        decimals = {number: _read_decimal(field[number]) for number in range(5, 11) if number in field}
        times = {number: _read_time(field[number]) for number in (3, 4, 12, 13, 15, 16)}
        bar = Bar(
            broker=field[1].decode(),
            symbol=field[2].decode(),
            bucket_start=times[3],
            bucket_end=times[4],
            open=decimals[5],
            high=decimals[6],
            low=decimals[7],
            close=decimals[8],
            volume=decimals.get(9),
            vwap=decimals.get(10),
            ticks=_signed(field.get(11, 0)),
            first_ts=times[12],
            last_ts=times[13],
            close_reason=field[14].decode(),
            closed_at=times[15],
            watermark=times[16],
            first_offset=_signed(field.get(17, 0)),
            last_offset=_signed(field.get(18, 0)),
            closed_at_offset=_signed(field.get(19, 0)),
            revision=_signed(field.get(20, 0)),
            partial=True if field.get(21) else UNSET,
        )
        return with_corrected(bar, _signed(field[22]) if 22 in field else None)  # noqa: PLR2004  # its number
    except (KeyError, TypeError, AttributeError, UnicodeDecodeError):  # a field is missing, or of another kind
        raise broken() from None


def broken() -> msgspec.DecodeError:
    """The error of a value that is not what it should be."""
    return msgspec.DecodeError("the value is no bar in Protobuf")


FORMAT = BarFormat(b"\0", encode, decode)
