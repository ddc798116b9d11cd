"""Joins PNG pictures into one that moves (APNG), which browsers show like any other PNG."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Sequence

SIGNATURE = b"\x89PNG\r\n\x1a\n"


def moving(pictures: Sequence[bytes], every_ms: int, last_ms: int) -> bytes:
    """The pictures one after the other, for ever. `last_ms`: how long the last one stays.

    Raises `ValueError` if they differ in size or colors.
    """
    heads = {next(data for kind, data in _chunks(picture) if kind == b"IHDR") for picture in pictures}
    if len(heads) != 1:
        raise ValueError("the pictures differ in size or colors")
    (head,) = heads
    width, height = struct.unpack(">II", head[:8])
    made = SIGNATURE + _chunk(b"IHDR", head) + _chunk(b"acTL", struct.pack(">II", len(pictures), 0))
    number = 0  # of the chunks that must be in order
    for at, picture in enumerate(pictures):
        stays = last_ms if at == len(pictures) - 1 else every_ms
        made += _chunk(b"fcTL", struct.pack(">IIIIIHHBB", number, width, height, 0, 0, stays, 1_000, 0, 0))
        number += 1
        for kind, data in _chunks(picture):
            if kind != b"IDAT":
                continue
            if at:
                made += _chunk(b"fdAT", struct.pack(">I", number) + data)
                number += 1
            else:
                made += _chunk(b"IDAT", data)
    return made + _chunk(b"IEND", b"")


def _chunks(picture: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The chunks of a PNG: kind and data."""
    if not picture.startswith(SIGNATURE):
        raise ValueError("a picture is no PNG")
    at = len(SIGNATURE)
    while at < len(picture):
        (length,) = struct.unpack(">I", picture[at : at + 4])
        yield picture[at + 4 : at + 8], picture[at + 8 : at + 8 + length]
        at += 12 + length


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
