"""Reads times in Avro's encoding of a long without a loop over its bytes.

A time of our days takes as many bytes as others in its unit: six in milliseconds. Its last four bytes, the high ones, stay the
same for some seconds at least, so that what they stand for is remembered. For each byte before them there is a table. What has
another size, or is negative, is not in them.
"""

from __future__ import annotations

from collections.abc import Sequence

LAST = 4  # bytes that are remembered together
USUAL_SIZES = {"s": 5, "ms": 6, "us": 8, "ns": 9}  # bytes
_MOST_KNOWN = 10_000  # entries
_MORE = 128  # set in each byte that is not the last one


class _Lasts(dict[bytes, int]):
    """What the last bytes stand for. Raises `KeyError` where they are not the last ones."""

    def __init__(self, shift: int) -> None:
        """`shift`: bits of the bytes before them, without that of the sign."""
        super().__init__()
        self._shift = shift

    def __missing__(self, last: bytes) -> int:
        if [byte >= _MORE for byte in last] != [True] * (LAST - 1) + [False]:
            raise KeyError(last)
        if len(self) >= _MOST_KNOWN:
            self.clear()
        found = self[last] = sum((byte % _MORE) << (7 * n) for n, byte in enumerate(last)) << self._shift
        return found


def time_tables(size: int) -> tuple[Sequence[Sequence[int | None]], _Lasts]:
    """Tables for a long of this many bytes: their sum is the long. An entry None: it is another kind of long."""
    first = [byte % _MORE >> 1 if byte >= _MORE and byte % 2 == 0 else None for byte in range(256)]
    others = [[(byte % _MORE) << (7 * n - 1) if byte >= _MORE else None for byte in range(256)] for n in range(1, size - LAST)]
    return [first, *others], _Lasts(7 * (size - LAST) - 1)
