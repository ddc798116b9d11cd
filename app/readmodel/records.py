"""What the read model takes from a record: a bar, or a late or rejected tick."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from agents.recovery import APP_HEADER
from app.readmodel.store import BarRow, SideRow
from app.settings import Settings
from tables.bars import decode_bar
from tables.records import Record
from tables.ticks import RejectedError, decoder, event_time, name_of, read

VALUE_KEPT = 1_000  # characters of a late or rejected value


def bar_rows(settings: Settings) -> Callable[[Record, int], BarRow | None]:
    """Makes rows of this app's bars; None for what is no bar, or another app's."""
    owner = settings.app_id.encode()

    def row(record: Record, part: int) -> BarRow | None:
        value = record.value
        if value is None or not any(name == APP_HEADER and found == owner for name, found in record.headers):
            return None
        try:
            bar = decode_bar(value)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return None
        return BarRow(bar.broker, bar.symbol, part, bar.bucket_start, value)

    return row


def side_rows(settings: Settings, kind: str) -> Callable[[Record, int], SideRow | None]:
    """Makes rows of late or rejected records, as far as they can be read."""
    decode, unit, size, owner = decoder(settings.price.value), settings.time_unit.value, settings.window_size, settings.app_id

    def row(record: Record, part: int) -> SideRow | None:
        headers = {name: value or b"" for name, value in record.headers}
        offset = (record.key or b"").rpartition(b"|")[2]
        if headers.get(APP_HEADER) != owner.encode() or not offset.isdigit():
            return None
        broker = symbol = ts = start = None
        try:
            broker, symbol = name_of(headers.get("source_key"))
            ts = event_time(read(decode, record.value).ts, unit)[1]
            start = ts - ts % size
        except RejectedError:
            pass  # it is why it was rejected
        arrival = headers.get("source_arrival", b"")
        value = (record.value or b"").decode(errors="backslashreplace")
        return SideRow(
            *(
                kind,
                part,
                int(offset),
                int(arrival) if arrival.isdigit() else None,
                broker,
                symbol,
                _storable(ts),
                _storable(start),
            ),
            headers.get("reason", b"").decode(errors="replace"),
            headers.get("detail", b"").decode(errors="replace"),
            value[:VALUE_KEPT],
            len(value) > VALUE_KEPT or "truncated" in headers,
        )

    return row


def _storable(time: int | None) -> int | None:
    """A time that a database and a program can hold; a rejected one may be anything."""
    return time if time is not None and abs(time) < 1 << 53 else None
