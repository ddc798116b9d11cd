"""Record batches of format version 2: their header, their checksum, and the control batches that end transactions.

The layout is that of Kafka's documentation, "Record Batch". Only what the broker needs is read and changed; the records
stay as their producer wrote them.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from aiokafka.record.util import calc_crc32c

HEADER = struct.Struct(">qiibIhiqqqhii")  # 61 bytes
LENGTH_FROM = 12  # the length field counts from here: after the base offset and itself
CRC_AT, ATTRIBUTES_AT, MAX_TIMESTAMP_AT = 17, 21, 35  # the checksum covers everything from the attributes on
APPEND_TIME, TRANSACTIONAL, CONTROL = 0x08, 0x10, 0x20  # bits of the attributes
MAGIC = 2  # the format version
# of a marker's record: its length (one byte), attributes, timestamp delta, offset delta and length of the key (one byte
# each), and the version in the key; the type, 0 for abort and 1 for commit, comes next
_MARKER_TYPE_AT = HEADER.size + 7


@dataclass(frozen=True, slots=True)
class BatchHeader:
    """The fields of a batch's header that the broker uses."""

    base_offset: int
    leader_epoch: int  # of the leader that appended it
    size: int  # bytes of the whole batch, header included
    magic: int
    attributes: int
    last_delta: int  # offset of the last record, relative to the base offset
    max_timestamp: int  # epoch ms
    producer: int
    epoch: int
    sequence: int
    records: int

    @property
    def transactional(self) -> bool:
        """Whether it belongs to a transaction."""
        return bool(self.attributes & TRANSACTIONAL)

    @property
    def control(self) -> bool:
        """Whether it holds a commit or abort marker."""
        return bool(self.attributes & CONTROL)


def read_header(data: bytes | bytearray | memoryview, at: int = 0) -> BatchHeader:
    """Read a batch's header; raises `struct.error` if the data is shorter than one."""
    fields = HEADER.unpack_from(data, at)
    base, length, leader, magic, _, attributes, delta, _, latest, producer, epoch, sequence, count = fields
    return BatchHeader(base, leader, length + LENGTH_FROM, magic, attributes, delta, latest, producer, epoch, sequence, count)


def crc_is_right(raw: bytes | bytearray) -> bool:
    """Whether the checksum in a batch is that of its bytes."""
    (stored,) = struct.unpack_from(">I", raw, CRC_AT)
    return bool(_crc(raw) == stored)


def set_place(raw: bytearray, base: int, leader_epoch: int) -> None:
    """Give a batch its offsets and the leader epoch. Neither is part of the checksum."""
    struct.pack_into(">q", raw, 0, base)
    struct.pack_into(">i", raw, LENGTH_FROM, leader_epoch)


def set_append_time(raw: bytearray, attributes: int, timestamp: int) -> None:
    """Give all records of a batch the broker's time, epoch ms, and renew the checksum."""
    struct.pack_into(">h", raw, ATTRIBUTES_AT, attributes | APPEND_TIME)
    struct.pack_into(">q", raw, MAX_TIMESTAMP_AT, timestamp)
    struct.pack_into(">I", raw, CRC_AT, _crc(raw))


def transaction_marker(producer: int, epoch: int, timestamp: int, *, commit: bool) -> bytearray:
    """The control batch that commits or aborts a producer's transaction."""
    record = b"\0\0\0\x08" + struct.pack(">hh", 0, int(commit)) + b"\x0c" + struct.pack(">hi", 0, 0) + b"\0"
    body = bytes([len(record) << 1]) + record
    length = HEADER.size - LENGTH_FROM + len(body)
    attributes = TRANSACTIONAL | CONTROL
    raw = bytearray(HEADER.pack(0, length, 0, MAGIC, 0, attributes, 0, timestamp, timestamp, producer, epoch, -1, 1) + body)
    struct.pack_into(">I", raw, CRC_AT, _crc(raw))
    return raw


def is_commit(marker: bytes | bytearray) -> bool:
    """Whether a control batch commits; otherwise it aborts."""
    return bool(struct.unpack_from(">h", marker, _MARKER_TYPE_AT)[0])


def _crc(raw: bytes | bytearray) -> int:
    return int(calc_crc32c(bytes(raw[ATTRIBUTES_AT:])))
