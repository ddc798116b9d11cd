"""A bar as Protobuf, by schemas/bar-1.proto: each field with its number and kind in front, in the order of the numbers.

Decimals are `confluent.type.Decimal`: the digits as bytes, precision and scale. A text would be as exact, but Kafka Connect and
ksqlDB make decimal columns of this message, and text columns of a text.
"""

from __future__ import annotations

from decimal import Decimal
from functools import lru_cache
from typing import Any

import msgspec
from msgspec import UNSET

from tables.bar_formats.format import BarFormat, with_corrected
from tables.bar_formats.numbers import PRECISION, from_unscaled, unscaled
from tables.bar_formats.varints import read_varint, varint
from tables.bars import Bar

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5  # kinds
_MASK = (1 << 64) - 1
_MAX_SCALE = 400  # what anybody may have written
_INT, _PART = (
    [varint(number << 3 | kind) for number in range(24)] for kind in (_VARINT, _BYTES)
)  # what is in front of a field


def _signed(number: int) -> bytes:
    """A number of 64 bits; a negative one as its two's complement."""
    return varint(number & _MASK)


def _part(number: int, content: bytes) -> bytes:
    return _PART[number] + varint(len(content)) + content


def _time(number: int, ms: int) -> bytes:
    """A google.protobuf.Timestamp: seconds since the epoch, and nanoseconds that are never negative."""
    seconds, rest = divmod(ms, 1_000)
    content = _INT[1] + _signed(seconds)
    return _part(number, content + _INT[2] + varint(rest * 1_000_000) if rest else content)


_shared_time = lru_cache(256)(_time)  # of all bars of a step


@lru_cache(64)
def _shape(scale: int) -> bytes:
    """Precision and scale of a decimal."""
    return _INT[2] + varint(PRECISION) + _INT[3] + varint(scale)


def _decimal(number: Decimal, scale: int) -> bytes:
    """The length of a confluent.type.Decimal, and its content."""
    content = _part(1, unscaled(number, scale)) + _shape(scale)
    return varint(len(content)) + content


def encode(bar: Bar, scale: int, corrected: int | None = None, frame: str | None = None) -> bytes:
    """The bar, without framing."""
    opened, high, low, close, volume, vwap = bar.open, bar.high, bar.low, bar.close, bar.volume, bar.vwap
    first = _decimal(opened, scale)  # often the only price
    return b"".join(
        (
            _part(1, bar.broker.encode()),
            _part(2, bar.symbol.encode()),
            _shared_time(3, bar.bucket_start),
            _shared_time(4, bar.bucket_end),
            _PART[5],
            first,
            _PART[6],
            first if high is opened else _decimal(high, scale),
            _PART[7],
            first if low is opened else _decimal(low, scale),
            _PART[8],
            first if close is opened else _decimal(close, scale),
            b"" if volume is None else _PART[9] + _decimal(volume, scale),
            b"" if vwap is None else _PART[10] + _decimal(vwap, scale),
            _INT[11] + varint(bar.ticks),
            _time(12, bar.first_ts),
            _time(13, bar.last_ts),
            _part(14, bar.close_reason.encode()),
            _shared_time(15, bar.closed_at),
            _shared_time(16, bar.watermark),
            _INT[17] + varint(bar.first_offset),
            _INT[18] + varint(bar.last_offset),
            _INT[19] + varint(bar.closed_at_offset),
            _INT[20] + varint(bar.revision) if bar.revision else b"",
            _INT[21] + b"\1" if bar.partial is True else b"",
            b"" if corrected is None else _INT[22] + varint(corrected),
            b"" if frame is None else _part(23, frame.encode()),
        )
    )


def _fields(content: bytes) -> dict[int, Any]:
    """The fields of a message by number: the last one where there are several. Those of other kinds are left out."""
    found: dict[int, Any] = {}
    at = 0
    while at < len(content):
        tag, at = read_varint(content, at)
        number, kind = tag >> 3, tag & 7
        if kind == _VARINT:
            found[number], at = read_varint(content, at)
        elif kind in (_FIXED64, _FIXED32):
            at += 8 if kind == _FIXED64 else 4
        elif kind == _BYTES:
            size, at = read_varint(content, at)
            found[number], at = content[at : at + size], at + size
        else:
            raise broken()
    if at != len(content):
        raise broken()
    return found


def _with_sign(number: int) -> int:
    return number - (1 << 64) if number >> 63 else number


def _read_time(content: bytes) -> int:
    parts = _fields(content)
    return _with_sign(parts.get(1, 0)) * 1_000 + _with_sign(parts.get(2, 0)) // 1_000_000


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
            ticks=_with_sign(field.get(11, 0)),
            first_ts=times[12],
            last_ts=times[13],
            close_reason=field[14].decode(),
            closed_at=times[15],
            watermark=times[16],
            first_offset=_with_sign(field.get(17, 0)),
            last_offset=_with_sign(field.get(18, 0)),
            closed_at_offset=_with_sign(field.get(19, 0)),
            revision=_with_sign(field.get(20, 0)),
            partial=True if field.get(21) else UNSET,
        )
        return with_corrected(bar, _with_sign(field[22]) if 22 in field else None)  # noqa: PLR2004  # its number
    except (KeyError, TypeError, AttributeError, ValueError):  # a field is missing, or of another kind
        raise broken() from None


def broken() -> msgspec.DecodeError:
    """The error of a value that is not what it should be."""
    return msgspec.DecodeError("the value is no bar in Protobuf")


FORMAT = BarFormat(b"\0", encode, decode)
