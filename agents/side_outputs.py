"""Late and rejected records on their way to the side topics: as they came, with the reason and where they came from."""

from __future__ import annotations

from app.kafka.batches import Header, Outgoing
from tables.records import SideRecord

SIDE_MARGIN = 64 * 1024  # how much larger than a source record a side record may be
CUT_TO = 64 * 1024  # bytes of a value that are kept where the whole is too large
OVERHEAD = 4 * 1024  # of a batch and a record, lengths included
PER_HEADER = 10  # bytes of a header's two lengths, at most


class SideRecords:
    """Makes the side records of one source partition."""

    def __init__(self, topic: str, partition: int, *, max_size: int, headers: list[Header]) -> None:
        """`max_size`: the largest record in bytes that may be sent; `headers`: what each side record carries at its end."""
        self._source = f"{topic}|{partition}|"
        self._max_size = max_size - OVERHEAD
        self._headers = headers

    def outgoing(self, side: SideRecord) -> Outgoing:
        """The side record: `topic|partition|offset` as its key, the value whole or, where it is too large, cut and marked.

        Where its headers alone are too large for the topic, as those of a compressed batch may be, they are left out.
        """
        record = side.record
        key, value = record.key, record.value
        headers = [
            ("reason", side.reason.encode()),
            ("detail", side.detail.encode(errors="backslashreplace")),
            ("source_arrival", str(record.timestamp).encode()),
            *self._headers,
        ]
        if key is not None:
            headers.append(("source_key", key[:CUT_TO]))
        own = [(name, text or b"") for name, text in record.headers]
        room = self._max_size - _size(headers)
        if _size(own) + len(value or b"") > room:
            if value is not None:
                headers += [("truncated", b"true"), ("original_size", str(len(value)).encode())]
                value = value[: min(CUT_TO, max(0, room))]
            if _size(own) + len(value or b"") > room:
                headers.append(("headers_left_out", str(len(own)).encode()))
                own = []
        headers = own + headers
        return f"{self._source}{side.offset}".encode(), value, None, headers


def _size(headers: list[Header]) -> int:
    return sum(len(name.encode()) + len(text) + PER_HEADER for name, text in headers)
