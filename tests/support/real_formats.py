"""The same real ticks as records of many formats, each with the settings by which it is read."""

from __future__ import annotations

import functools
import struct
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import msgspec

from tables.layouts.config import LayoutConfig
from tests.support.schema_ticks import AvroTicks, ProtobufTicks

BROKER, SYMBOL, ZONE = "oanda", "EURUSD", ZoneInfo("America/New_York")
HEADER = "__value_schema_id"
TIME = {"type": "long", "logicalType": "timestamp-millis"}
DECIMAL = {"type": "bytes", "logicalType": "decimal", "precision": 18, "scale": 5}


class Quote(NamedTuple):
    """One tick. Prices have no zeros at the end, which a schema with numbers would not keep."""

    ts: int
    bid: str
    ask: str


class RealFormat(NamedTuple):
    """A format: its settings, the record of a quote (key, value, headers), and its schema: an id, a kind and a text."""

    name: str
    config: LayoutConfig
    record: Callable[[Quote], tuple[bytes | None, bytes, list[tuple[str, bytes]]]]
    schema: tuple[int, str, str] | None = None


def without_zeros(price: str) -> str:
    """A price without zeros at the end of its fraction."""
    return price.rstrip("0").rstrip(".") if "." in price else price


def _json(name: str, config: LayoutConfig, key: str | None, value: Callable[[Quote], str]) -> RealFormat:
    return RealFormat(name, config, lambda quote: (None if key is None else key.encode(), value(quote).encode(), []))


def _local(ts: int) -> str:
    return f"{datetime.fromtimestamp(ts // 1_000, UTC).astimezone(ZONE):%Y-%m-%d %H:%M:%S}.{ts % 1_000:03}"


def _number(value: int) -> bytes:
    """Avro's encoding of a number that is not negative."""
    out, value = bytearray(), value << 1
    while value > 127:  # seven bits
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def _text(text: str) -> bytes:
    return _number(len(text)) + text.encode()


def _decimal(price: str) -> bytes:
    whole, _, fraction = price.partition(".")
    digits = int(whole + fraction.ljust(5, "0"))
    return _number(4) + digits.to_bytes(4, "big", signed=True)


def _avro(name: str, number: int, price: Any, encode: Callable[[str], bytes], *, header: bool, key: str) -> RealFormat:
    ticks = AvroTicks({"ask": price, "code": "string", "ts": TIME, "bid": price}, number)
    frame = b"\0" + number.to_bytes(4)
    fields = "ts=ts,bid=bid,symbol=code" + ("" if "|" in key else f",broker='{BROKER}'")
    config = LayoutConfig(format="avro", fields=fields, key="{broker}|{symbol}" if "|" in key else "{symbol}")

    def record(quote: Quote) -> tuple[bytes, bytes, list[tuple[str, bytes]]]:
        value = encode(quote.ask) + _text(SYMBOL) + _number(quote.ts) + encode(quote.bid)
        return key.encode(), value if header else frame + value, [(HEADER, frame)] if header else []

    return RealFormat(name, config, record, (number, "AVRO", ticks.text))


def _protobuf() -> RealFormat:
    ticks = ProtobufTicks(4)

    def record(quote: Quote) -> tuple[bytes, bytes, list[tuple[str, bytes]]]:
        return f"{BROKER}|{SYMBOL}".encode(), ticks.framed(ts=quote.ts, bid=quote.bid), []

    return RealFormat("Protobuf", LayoutConfig(format="protobuf"), record, (4, "PROTOBUF", ticks.text))


@functools.cache
def real_formats() -> list[RealFormat]:
    """The formats; the default is the first one."""
    own = f"{BROKER}|{SYMBOL}"
    return [
        _json("default", LayoutConfig(), own, lambda q: f'{{"ts":{q.ts},"bid":{q.bid},"ask":{q.ask}}}'),
        _json(
            "nested, with other names, microseconds and constants",
            LayoutConfig(fields=f"ts=t.event,bid=quote.best.bid,symbol='{SYMBOL}',broker='{BROKER}'", key="", number_unit="us"),
            None,
            lambda q: msgspec.json.encode({"quote": {"best": {"bid": q.bid}}, "t": {"event": q.ts * 1_000 + 999}}).decode(),
        ),
        _json(
            "seconds with a fraction, keyed by symbol",
            LayoutConfig(fields=f"ts=time,bid=b,broker='{BROKER}'", key="{symbol}", number_unit="s"),
            SYMBOL,
            lambda q: f'{{"time":{q.ts // 1_000}.{q.ts % 1_000:03},"b":{q.bid}}}',
        ),
        _json(
            "local time, names in the value",
            LayoutConfig(fields="ts=at,bid=bid,broker=venue,symbol=code", key="", zone=str(ZONE)),
            None,
            lambda q: f'{{"at":"{_local(q.ts)}","venue":"{BROKER}","bid":"{q.bid}","code":"{SYMBOL}"}}',
        ),
        _avro("Avro with decimals", 1, DECIMAL, _decimal, header=False, key=own),
        _avro(
            "Avro with doubles, keyed by symbol", 2, "double", lambda p: struct.pack("<d", float(p)), header=False, key=SYMBOL
        ),
        _avro("Avro with text, its id in a header", 3, "string", _text, header=True, key=own),
        _protobuf(),
    ]
