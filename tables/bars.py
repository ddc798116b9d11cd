"""The final bar, its JSON, and its record key."""

from __future__ import annotations

from decimal import Decimal

import msgspec
from msgspec import UNSET, UnsetType


class Bar(msgspec.Struct, gc=False):
    """One closed window. Times are epoch ms; prices are exact and keep the decimals of the ticks they came from."""

    broker: str
    symbol: str
    bucket_start: int
    bucket_end: int
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal | None
    vwap: Decimal | None
    ticks: int
    first_ts: int
    last_ts: int
    close_reason: str  # "watermark" or "idle"; "correction" where it is revised
    closed_at: int  # arrival ms: the due time for idle and corrections, the closing record's arrival otherwise
    watermark: int
    first_offset: int
    last_offset: int
    closed_at_offset: int  # the closing record's offset; one after the last record processed for the other two
    revision: int = 0
    partial: bool | UnsetType = UNSET  # true: its window may lack ticks; the key is absent otherwise
    corrected: int | UnsetType = UNSET  # how many late ticks this revision has more than the one before; absent in finals


_encode = msgspec.json.Encoder(decimal_format="number").encode
_decode = msgspec.json.Decoder(Bar).decode


def bar_key(broker: str, symbol: str, bucket_start: int) -> bytes:
    """The record key: `broker|symbol|<start epoch ms>`."""
    return f"{broker}|{symbol}|{bucket_start}".encode()


def encode_bar(bar: Bar) -> bytes:
    """The record value: JSON with prices as numbers, every digit kept."""
    return _encode(bar)


def decode_bar(value: bytes) -> Bar:
    """Read a bar back; raises `msgspec.MsgspecError` where the value is no bar."""
    return _decode(value)
