"""The records of bars with a schema, and reading the records of bars in any format.

The header `bar` of such a record tells our own readers what they need without a registry, and recovery without the value:

    avro-1 9 idle 1399248065000 1399248060000 17

These are the schema, the scale, and of the bar close_reason, closed_at, watermark and closed_at_offset. Broker, symbol and
start are in the key. Bars in JSON have no such header: what they need is read from the value.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Protocol

import msgspec
from msgspec import UNSET

from tables.bar_formats import avro, protobuf
from tables.bar_formats.format import AVRO, PREFIX, PROTOBUF, VERSION, framing
from tables.bar_formats.numbers import BarNumbers
from tables.bars import Bar, decode_bar
from tables.emission import Closed, unpacked
from tables.records import Record

FORMATS = {AVRO: avro.FORMAT, PROTOBUF: protobuf.FORMAT}
BAR_HEADER = "bar"
_BY_SCHEMA = {f"{name}-{VERSION}": form for name, form in FORMATS.items()}
_MAGIC = b"\0"
Header = tuple[str, bytes]
Headers = Iterable[tuple[str, bytes | None]]
Outgoing = tuple[bytes, bytes, int, list[Header]]  # key, value, timestamp (epoch ms), headers


class TakeRecords(Protocol):
    """Makes the records of bars, see `tables.emission.take_runs`."""

    def __call__(self, steps: Iterable[Closed], headers: list[Header], state_header: str | None = None) -> Iterator[Any]:
        """Yield the records of the bars of these steps, in order: each an `Outgoing`, or runs of them."""


class ClosedBar(msgspec.Struct, gc=False):
    """What recovery needs of a published bar, see `Bar`."""

    broker: str
    symbol: str
    bucket_end: int
    close_reason: str
    closed_at: int
    watermark: int
    closed_at_offset: int


class BarRecords:
    """Makes the records of bars in one format. `take` has the form of `tables.emission.take_runs`."""

    def __init__(self, name: str, schema_id: int, scale: int) -> None:
        """`name`: `avro` or `protobuf`. `schema_id`: that of the registry."""
        form = FORMATS[name]
        self._prefix = framing(schema_id, form.index)
        self._encode = form.encode
        self._numbers = BarNumbers(scale)
        self._told = f"{name}-{VERSION} {scale}"

    def take(self, steps: Iterable[Closed], headers: list[Header], state_header: str | None = None) -> Iterator[Outgoing]:
        """Yield the records of the bars of these steps, in order. Each window is freed on the way.

        `headers`: those that every record has beside its own. `state_header`: see `take_runs`.
        """
        prefix, encode, scale = self._prefix, self._encode, self._numbers.scale
        for step in unpacked(steps):
            start, suffix = step.start, b"|%d" % step.start
            evidence = f"{self._told} {step.reason} {step.at} {step.watermark} {step.offset}"
            told = [*headers, (BAR_HEADER, evidence.encode())]
            corrected = step.corrected if step.revision else None
            states = step.states if state_header else None
            for place, (key, bar) in enumerate(_bars(step, self._numbers, step.revision)):
                own = told if states is None or state_header is None else [*told, (state_header, states[place])]
                yield key + suffix, prefix + encode(bar, scale, corrected, step.frame or None), start, own


def _bars(step: Closed, numbers: BarNumbers, revision: int) -> Iterator[tuple[bytes, Bar]]:
    """The bars of one step, each with its symbol's key."""
    windows = step.windows
    windows.reverse()
    for symbol in step.symbols:
        w = windows.pop()  # freed at the next turn
        (broker, name), (first_ts, last_ts) = symbol.name, step.times_of(w)
        yield (
            symbol.key,
            Bar(
                broker=broker,
                symbol=name,
                bucket_start=step.start,
                bucket_end=step.end,
                open=w.open,
                high=w.high,
                low=w.low,
                close=w.close,
                volume=w.volume,
                vwap=numbers.vwap(w),
                ticks=w.ticks,
                first_ts=first_ts,
                last_ts=last_ts,
                close_reason=step.reason,
                closed_at=step.at,
                watermark=step.watermark,
                first_offset=w.first_offset,
                last_offset=w.last_offset,
                closed_at_offset=step.offset,
                revision=revision,
                partial=True if step.is_partial(w) else UNSET,
            ),
        )


def _told(headers: Headers) -> tuple[str, list[str]] | None:
    """The schema that a record's headers name, and what follows it; None: none does."""
    for name, content in headers:
        if name == BAR_HEADER:
            schema, *rest = (content or b"").decode(errors="replace").split(" ")
            return schema, rest
    return None


def has_schema(value: bytes) -> bool:
    """Whether a bar is in a format other than JSON."""
    return value[:1] == _MAGIC


def bar_of(value: bytes, headers: Headers) -> Bar:
    """The bar in a record of any format. Raises `msgspec.MsgspecError` where it is none, and `UnicodeDecodeError` in JSON."""
    if not has_schema(value):
        return decode_bar(value)
    told = _told(headers)
    if told is None or not told[1] or not told[1][0].isdecimal():
        raise msgspec.DecodeError(f"it has no header {BAR_HEADER} that names its schema and scale")
    form = _BY_SCHEMA.get(told[0])
    if form is None:
        raise msgspec.DecodeError(f"this version does not know its schema {told[0]}")
    begin = PREFIX + len(form.index)
    if value[PREFIX:begin] != form.index:
        raise msgspec.DecodeError(f"its framing is not that of {told[0]}")
    return form.decode(value[begin:], int(told[1][0]))


def closed_bar(record: Record, size: int) -> Bar | ClosedBar:
    """What recovery needs of a bar of the base window, whose size in ms is given. Raises as `bar_of` does."""
    value = record.value or b""
    if not has_schema(value):
        return decode_bar(value)
    told, key = _told(record.headers), (record.key or b"").decode(errors="replace").split("|")
    try:
        broker, symbol, start = key
        _, reason, at, watermark, offset = told[1] if told is not None else []
        return ClosedBar(broker, symbol, int(start) + size, reason, int(at), int(watermark), int(offset))
    except ValueError:
        raise msgspec.DecodeError(f"its header {BAR_HEADER} or its key is not that of a bar") from None
