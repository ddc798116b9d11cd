"""How large a record is on the wire, at most, and how much is kept of one that is too large for its topic."""

from __future__ import annotations

from collections.abc import Iterable

CUT_TO = 64 * 1024  # bytes that are kept of a value that is too large, at most
OVERHEAD = 4 * 1024  # upper bound of a batch's and a record's bytes apart from key, value and headers
PER_HEADER = 10  # upper bound of the bytes of a header's two lengths


def headers_size(headers: Iterable[tuple[str, bytes | None]]) -> int:
    """Upper bound of the bytes of headers."""
    return sum(len(name.encode()) + len(content or b"") + PER_HEADER for name, content in headers)
