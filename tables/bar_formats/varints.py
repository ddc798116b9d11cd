"""Varints: numbers in groups of seven bits, the lowest first; all but the last group have the eighth bit set.

A bar has a dozen of them, and most have six bytes. So the lowest two groups come from a table, and the rest, which the bars of
a minute share, from a cache.
"""

from __future__ import annotations

from functools import lru_cache

MAX_BYTES = 10  # of 64 bits
_MORE = [bytes([number | 0x80]) for number in range(128)]
_LAST = [bytes([number]) for number in range(128)]


def varint(number: int) -> bytes:
    """A number from 0 to 2^64 - 1."""
    if number < 0x80:  # noqa: PLR2004  # one group
        return _LAST[number]
    if number < 0x4000:  # noqa: PLR2004  # two groups
        return _MORE[number & 0x7F] + _LAST[number >> 7]
    return _MORE[number & 0x7F] + _MORE[number >> 7 & 0x7F] + _higher(number >> 14)


@lru_cache(4_096)
def _higher(number: int) -> bytes:
    return varint(number)


def zigzag(number: int) -> bytes:
    """A number of 64 bits with a sign, as Avro writes it: 0, -1, 1, -2 and so on become 0, 1, 2, 3."""
    return varint(number << 1 if number >= 0 else ~(number << 1))


def read_varint(content: bytes, at: int) -> tuple[int, int]:
    """The number that begins here, and where it ends. Raises `ValueError`."""
    number = shift = 0
    for byte in content[at : at + MAX_BYTES]:
        at += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:  # noqa: PLR2004  # the last group
            return number & (1 << 64) - 1, at
        shift += 7
    raise ValueError("a number is cut off, or too long")
