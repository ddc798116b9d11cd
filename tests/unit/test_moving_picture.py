"""The moving picture of the README: its frames are the pictures that were taken, in their order."""

from __future__ import annotations

import struct
import zlib

import pytest

from tests.support.moving_picture import SIGNATURE, _chunk, _chunks, moving


def png(gray: int, width: int = 2) -> bytes:
    rows = b"".join(b"\0" + bytes([gray] * width) for _ in range(2))
    head = struct.pack(">IIBBBBB", width, 2, 8, 0, 0, 0, 0)
    return SIGNATURE + _chunk(b"IHDR", head) + _chunk(b"IDAT", zlib.compress(rows)) + _chunk(b"IEND", b"")


def test_the_frames_are_the_pictures_in_their_order() -> None:
    chunks = list(_chunks(moving([png(10), png(20), png(30)], 500, 2_000)))
    assert [kind for kind, _ in chunks] == [b"IHDR", b"acTL", b"fcTL", b"IDAT", b"fcTL", b"fdAT", b"fcTL", b"fdAT", b"IEND"]
    shown = [zlib.decompress(data if kind == b"IDAT" else data[4:])[1] for kind, data in chunks if kind in (b"IDAT", b"fdAT")]
    assert shown == [10, 20, 30]
    numbers = [struct.unpack(">I", data[:4])[0] for kind, data in chunks if kind in (b"fcTL", b"fdAT")]
    assert numbers == [0, 1, 2, 3, 4]
    assert [struct.unpack(">H", data[20:22])[0] for kind, data in chunks if kind == b"fcTL"] == [500, 500, 2_000]


def test_pictures_of_another_size_are_refused() -> None:
    with pytest.raises(ValueError, match="differ in size"):
        moving([png(1), png(1, width=3)], 500, 500)
