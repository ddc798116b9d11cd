"""Late and rejected records on their way to the side topics: as they came, with the reason and where they came from."""

from __future__ import annotations

from app.outbox import Header, Outgoing
from tables.windows import SideRecord

SIDE_MARGIN = 64 * 1024  # how much larger than a source record a side record may be
CUT_TO = 64 * 1024  # bytes of a value that are kept where the whole is too large
HEADER_ROOM = 4 * 1024


class SideRecords:
    """Makes the side records of one source partition."""

    def __init__(self, topic: str, partition: int, *, max_record: int, headers: list[Header]) -> None:
        """`max_record`: the largest source record in bytes; `headers`: what each side record carries at its end."""
        self._source = f"{topic}|{partition}|"
        self._max_size = max_record + SIDE_MARGIN - HEADER_ROOM
        self._headers = headers

    def outgoing(self, side: SideRecord) -> Outgoing:
        """The side record: `topic|partition|offset` as its key, the value whole or, where it is too large, cut and marked."""
        record = side.record
        headers = [
            *((name, value or b"") for name, value in record.headers),
            ("reason", side.reason.encode()),
            ("detail", side.detail.encode(errors="backslashreplace")),
            ("source_arrival", str(record.timestamp).encode()),
            *self._headers,
        ]
        key, value = record.key, record.value
        size = sum(len(name) + len(text) for name, text in headers) + len(key or b"") + len(value or b"")
        if value is not None and size > self._max_size:
            headers += [("truncated", b"true"), ("original_size", str(len(value)).encode())]
            value = value[:CUT_TO]
        if key is not None:
            headers.append(("source_key", key[:CUT_TO]))
        return f"{self._source}{side.offset}".encode(), value, None, headers
