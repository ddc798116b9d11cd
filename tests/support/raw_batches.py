"""Record batches as a broker with LogAppendTime stores them, as bytes that a test may spoil."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import Any

from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.record.util import calc_crc32c

Content = tuple[bytes | None, bytes | None, list[tuple[str, bytes | None]]]  # key, value, headers
RECORDS_AT = 61
_CRC_AT, _ATTRIBUTES_AT, _MAX_TIMESTAMP_AT, _APPEND_TIME = 17, 21, 35, 0x08
_CRC, _INT16, _INT64 = struct.Struct(">I"), struct.Struct(">h"), struct.Struct(">q")


def stored(contents: Iterable[Content], base_offset: int, arrived: int, codec: int = 0) -> bytes:
    """A batch whose records all arrived at `arrived` (epoch ms)."""
    builder = DefaultRecordBatchBuilder(
        magic=2,
        compression_type=codec,
        is_transactional=0,
        producer_id=-1,
        producer_epoch=-1,
        base_sequence=0,
        batch_size=1 << 24,
    )
    for number, (key, value, headers) in enumerate(contents):
        builder.append(number, arrived - number, key, value, headers)
    made = bytearray(builder.build())
    _INT64.pack_into(made, 0, base_offset)
    _INT64.pack_into(made, _MAX_TIMESTAMP_AT, arrived)
    attributes = _INT16.unpack_from(made, _ATTRIBUTES_AT)[0] | _APPEND_TIME
    _INT16.pack_into(made, _ATTRIBUTES_AT, attributes)
    return with_crc(made)


def with_crc(batch: bytes | bytearray) -> bytes:
    """The batch with the checksum that belongs to it."""
    made = bytearray(batch)
    _CRC.pack_into(made, _CRC_AT, calc_crc32c(bytes(made[_ATTRIBUTES_AT:])))
    return bytes(made)


def read_by_aiokafka(batch: bytes) -> Any:
    """The batch as aiokafka reads it."""
    return MemoryRecords(batch).next_batch()
