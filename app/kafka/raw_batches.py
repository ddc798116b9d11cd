"""A record batch as its bytes, for whoever reads records without an object for each of them.

Written for aiokafka 0.14.0: for everybody else it gives aiokafka's records.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from typing import Any

from aiokafka import codec
from aiokafka.errors import CorruptRecordException

from app.kafka.records import Record

AIOKAFKA_VERSION = "0.14.0"
Checksum = Callable[[memoryview], int]  # CRC-32C
# base offset, length, leader epoch, magic, CRC, attributes, last offset delta, first and max timestamp, producer's id, epoch
# and sequence, count of records
_HEADER = struct.Struct(">qiibIhiqqqhii")
_CHECKED_FROM = 21  # the checksum covers what is behind it
_CODEC, _APPEND_TIME = 0x07, 0x08  # in the attributes
_DECODERS: dict[int, Callable[[bytes], Any]] = {
    1: codec.gzip_decode,
    2: codec.snappy_decode,
    3: codec.lz4_decode,
    4: codec.zstd_decode,
}


class RawBatch:
    """Records with offsets from `base_offset` up to, not including, `next_offset`; see `app.kafka.records.Batch`."""

    __slots__ = ("_aiokafka", "_codec", "_count", "_data", "base_offset", "max_timestamp", "next_offset", "timestamp_type")

    def __init__(self, aiokafka: Any, data: memoryview, checksum: Checksum, topic_partition: object) -> None:
        """`aiokafka`: the same batch as aiokafka reads it. Raises `CorruptRecordException` where the checksum is wrong."""
        self.base_offset, _, _, _, crc, attributes, last, _, self.max_timestamp, *_, self._count = _HEADER.unpack_from(data)
        if checksum(data[_CHECKED_FROM:]) != crc:
            raise CorruptRecordException(f"Invalid CRC - {topic_partition}")
        self._aiokafka, self._data, self._codec = aiokafka, data, attributes & _CODEC
        self.next_offset = self.base_offset + last + 1
        self.timestamp_type = 1 if attributes & _APPEND_TIME else 0

    def __iter__(self) -> Iterator[Record]:
        """The records. A batch can be iterated once."""
        return iter(self._aiokafka)

    def content(self) -> tuple[memoryview | bytes, int] | None:
        """The bytes of the records, uncompressed, and how many records there are; None where they cannot be uncompressed.

        Then iterating raises the error that says why.
        """
        data = self._data[_HEADER.size :]
        if not self._codec:
            return data, self._count
        decode = _DECODERS.get(self._codec)
        if decode is None:
            return None
        try:
            return bytes(decode(data.tobytes())), self._count
        except Exception:  # noqa: BLE001  # each codec has errors of its own
            return None
