"""Ticks in Avro or Protobuf: each record is decoded by the schema that it names, or all by one schema from a file."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice
from typing import Any

from tables.layouts.config import ParsedLayout
from tables.layouts.framing import PREFIX
from tables.layouts.identity import Identities
from tables.layouts.layout import unwrapped
from tables.layouts.schema_book import SchemaBook
from tables.records import DecodedRecord, Record, is_marker
from tables.ticks import RawTick, RejectedError

MOST_OF_PASS = 200  # records: what a message holds is freed when its pass ends
_UNUSUAL = (RejectedError, KeyError, TypeError)


class SchemaLayout:
    """A `TickLayout`. The book must have an entry for every schema that the records name."""

    def __init__(self, parsed: ParsedLayout, book: SchemaBook) -> None:
        self.names = parsed.names
        self.decode: Callable[[Any], RawTick] = unwrapped
        self.no_heartbeats = (
            f"ticks_format={parsed.config.format}: heartbeats are written as JSON alone; idle_close=on closes the windows"
        )
        self._book = book
        self._identities = Identities(parsed.key, parsed.fields.sources.get("broker"), parsed.fields.sources.get("symbol"))

    def decoded(self, records: Iterable[Record]) -> Iterator[DecodedRecord]:
        """See `TickLayout`. What is usual is inline: calls for each record would cost as much as all the rest.

        Decoders are made anew for some records at a time, so that what they hold is little.
        """
        slow, identities = self._tick, self._identities
        framed = self._book.unframed is None
        head, at = slice(PREFIX if framed else 0), PREFIX if framed else 0
        by_value, by_key = identities.by_value, identities.by_key
        known, said, make = identities.known, identities.known_said, identities.of_record
        waiting = (record for record in records)  # a raw batch must not be iterated again after its last record
        for first in waiting:
            decoders, prefix = self._book.decoders(), None
            decode: Any = None  # of the last prefix
            for record in chain((first,), islice(waiting, MOST_OF_PASS - 1)):
                value: Any = record.value
                key: bytes | None
                tick: Any
                try:
                    if framed and record.headers:
                        tick = self._book.decode(record)
                    else:
                        if value[head] != prefix:
                            decode, prefix = decoders[value[head]], value[head]
                        tick = decode(value, at)
                    try:
                        if by_value and not (tick.said_broker is None is tick.said_symbol):
                            key = said[record.key if by_key else None, tick.said_broker, tick.said_symbol]
                        else:
                            key = known[record.key]
                    except KeyError:  # a new one
                        key = make(record.key, tick.said_broker, tick.said_symbol)
                except _UNUSUAL:
                    if not value and is_marker(record):
                        yield record, None, None
                        continue
                    tick, key = slow(record)
                yield record, key, tick

    def _tick(self, record: Record) -> tuple[Any, bytes | None]:
        """The tick and the identity of any record; a `RejectedError` and None where there is none."""
        try:
            tick = self._book.decode(record)
            return tick, self._identities.of_record(record.key, tick.said_broker, tick.said_symbol)
        except RejectedError as error:
            return error, None

    def name_of(self, record: Record) -> tuple[str, str]:
        """See `TickLayout`."""
        return self._identities.name_of(record.key, lambda: self._book.decode(record))

    def heartbeat(self, key: bytes, ms: int) -> tuple[bytes | None, bytes]:
        """See `TickLayout`: there is none."""
        raise ValueError(f"{key.decode()}: no heartbeat at {ms}: {self.no_heartbeats}")
