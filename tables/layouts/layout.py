"""How the records of a topic hold ticks: the interface between a layout and the engine.

`decoded` goes over the records of a batch, before the engine, and gives each one with `broker|symbol`, whatever the topic's
keys are, and with its tick or the error that rejects it. Nothing is fetched there.

The default layout has no such step: its keys are `broker|symbol` already, and the engine calls `decode` for the JSON.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Protocol

from tables.records import DecodedRecord, Record, TickRecord
from tables.ticks import OWN_FIELDS, FieldNames, RawTick, RejectedError, decoder, name_of, read


class TickLayout(Protocol):
    """How the records of a topic hold ticks. An engine has one, chosen when the engine is made."""

    @property
    def names(self) -> FieldNames:
        """What the topic calls the parts of a tick, for messages."""

    @property
    def decoded(self) -> Callable[[Iterable[Record]], Iterable[DecodedRecord]] | None:
        """Decodes records, lazily: no record is asked for before the one before it was taken. None: the engine decodes."""

    @property
    def decode(self) -> Callable[[Any], RawTick]:
        """The tick of a record's value, or of that of a `TickRecord`. Broker and symbol are those still to be compared.

        Raises `RejectedError`, or an error of msgspec that `read` makes one.
        """

    def name_of(self, record: Record) -> tuple[str, str]:
        """Broker and symbol of a record of the topic, of its key alone where the value cannot be read.

        Raises `RejectedError`.
        """

    @property
    def no_heartbeats(self) -> str:
        """Why no heartbeat can be written in this layout, in one line with a remedy; empty: it can."""

    def heartbeat(self, key: bytes, ms: int) -> tuple[bytes | None, bytes]:
        """Key and value of a heartbeat for a symbol (`broker|symbol`) at an event time, epoch ms, rounded up.

        Raises `ValueError` with one line where no record of this layout can name the symbol.
        """


class OwnLayout:
    """The default: JSON with our names, under a key `broker|symbol`."""

    names = OWN_FIELDS
    decoded: Callable[[Iterable[Record]], Iterable[DecodedRecord]] | None = None
    no_heartbeats = ""

    def __init__(self, price: str, units_per_second: int) -> None:
        """`price`: the setting. `units_per_second`: of the times."""
        self.decode: Callable[[Any], RawTick] = decoder(price)
        self._units = units_per_second

    def name_of(self, record: Record) -> tuple[str, str]:
        """See `TickLayout`."""
        return name_of(record.key)

    def heartbeat(self, key: bytes, ms: int) -> tuple[bytes | None, bytes]:
        """See `TickLayout`."""
        return key, b'{"ts":%d,"heartbeat":true}' % -(-ms * self._units // 1_000)


def is_own_layout(layout: TickLayout | None) -> bool:
    """Whether this is the default layout; None is."""
    return layout is None or (isinstance(layout, OwnLayout) and layout.decoded is None)


def unwrapped(value: RawTick | RejectedError) -> RawTick:
    """The `decode` of a layout that has decoded before: the tick, or the error raised."""
    if isinstance(value, RejectedError):
        raise value.with_traceback(None)
    return value


def tick_of(layout: TickLayout, record: Record) -> RawTick:
    """The tick of one record of the topic, for readers other than the engine. Its price, quantity and time are not checked.

    Raises `RejectedError`.
    """
    if layout.decoded is not None:
        ((record, key, tick),) = layout.decoded((record,))
        record = TickRecord.of(record, key, tick)
    return read(layout.decode, record.value)
