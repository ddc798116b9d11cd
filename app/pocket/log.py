"""The log of one partition: a file of record batches as they came, an index in memory, and what producers did in it.

Written before it is acknowledged: a killed process loses nothing, as the kernel has the bytes (there is no fsync: a machine
that loses power may). A torn last batch is cut off when the log is opened.
"""

from __future__ import annotations

import logging
import os
import struct
import time
from array import array
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field
from errno import ENOSPC
from itertools import accumulate
from pathlib import Path
from typing import Any

from aiokafka.record import MemoryRecords
from aiokafka.record.util import calc_crc32c

HEADER = struct.Struct(">qiibIhiqqqhii")  # record batch v2, 61 bytes
CRC_AT, ATTRIBUTES_AT, MAX_TIMESTAMP_AT = 17, 21, 35
APPEND_TIME, TRANSACTIONAL, CONTROL = 0x08, 0x10, 0x20
log = logging.getLogger("pocket")
KEPT_BATCHES = 5  # of a producer, for recognising repeats, as in Kafka
MAGIC = 2


@dataclass(frozen=True, slots=True)
class BatchHeader:
    """What the broker reads of a batch; times in ms."""

    base_offset: int
    size: int  # bytes, header included
    magic: int
    attributes: int
    last_delta: int
    max_timestamp: int
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
    """Read a batch's header; raises `struct.error` where there is less than one."""
    base, length, _, magic, _, attributes, delta, _, latest, producer, epoch, sequence, count = HEADER.unpack_from(data, at)
    return BatchHeader(base, length + 12, magic, attributes, delta, latest, producer, epoch, sequence, count)


def crc_is_right(raw: bytes | bytearray) -> bool:
    """Whether a batch is as its producer made it."""
    (said,) = struct.unpack_from(">I", raw, CRC_AT)
    return bool(calc_crc32c(bytes(raw[ATTRIBUTES_AT:])) == said)


def _write_all(file: int, raw: bytes | bytearray) -> None:
    """Raises `OSError` where the disk takes less than all of it."""
    written = os.write(file, raw)
    if written != len(raw):
        raise OSError(ENOSPC, f"{written} of {len(raw)} bytes written")


@dataclass
class ProducerState:
    """The last batches of an idempotent producer: (first sequence, last sequence, base offset)."""

    epoch: int
    batches: list[tuple[int, int, int]] = field(default_factory=list)


class PartitionLog:
    """Batches by offset."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.start = self.end = 0  # offsets
        self.last_append = 0  # ms, so that append times never go back
        self.producers: dict[int, ProducerState] = {}
        self.ongoing: dict[int, int] = {}  # producer -> first offset of its open transaction
        self.aborted: list[tuple[int, int, int]] = []  # producer, first and last offset
        self.dirty = False  # appended to since the last compaction
        self._bases, self._lasts, self._at, self._sizes, self._times = (array("q") for _ in range(5))
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        self._bytes = 0
        self._load()

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)

    @property
    def stable_end(self) -> int:
        """Where readers of committed records must stop."""
        return min(self.ongoing.values(), default=self.end)

    # ---- appending

    def append(self, raw: bytearray, header: BatchHeader, *, append_time: bool) -> int:
        """Give a batch its offsets (and its time), write it, and note what its producer did; its base offset."""
        base = self.end
        struct.pack_into(">q", raw, 0, base)
        struct.pack_into(">i", raw, 12, 0)
        latest = header.max_timestamp
        if append_time:
            latest = self.last_append = max(self.last_append, int(time.time() * 1_000))
            struct.pack_into(">h", raw, ATTRIBUTES_AT, header.attributes | APPEND_TIME)
            struct.pack_into(">q", raw, MAX_TIMESTAMP_AT, latest)
            struct.pack_into(">I", raw, CRC_AT, calc_crc32c(bytes(raw[ATTRIBUTES_AT:])))
        self._write(raw)
        self._index(base, base + header.last_delta, self._bytes, len(raw), latest)
        self._bytes += len(raw)
        self._note(header, base)
        self.dirty = True
        return base

    def _write(self, raw: bytearray) -> None:
        try:
            _write_all(self._file, raw)
        except OSError:
            os.ftruncate(self._file, self._bytes)  # the torn piece: the producer will hear of it
            raise

    def append_marker(self, producer: int, epoch: int, *, commit: bool) -> None:
        """End a transaction in this log."""
        now = int(time.time() * 1_000)
        record = b"\0\0\0\x08" + struct.pack(">hh", 0, int(commit)) + b"\x0c" + struct.pack(">hi", 0, 0) + b"\0"
        body = bytes([len(record) << 1]) + record
        fields = (0, HEADER.size - 12 + len(body), 0, MAGIC, 0, TRANSACTIONAL | CONTROL, 0, now, now, producer, epoch, -1, 1)
        raw = bytearray(HEADER.pack(*fields) + body)
        struct.pack_into(">I", raw, CRC_AT, calc_crc32c(bytes(raw[ATTRIBUTES_AT:])))
        self.append(raw, read_header(raw), append_time=False)

    def _note(self, header: BatchHeader, base: int) -> None:
        last = base + header.last_delta
        if header.producer < 0:
            return
        if header.control:
            first = self.ongoing.pop(header.producer, None)
            commit = self._is_commit(len(self._bases) - 1)
            if first is not None and not commit:
                self.aborted.append((header.producer, first, last))
            return
        state = self.producers.get(header.producer)
        if state is None or state.epoch != header.epoch:
            state = self.producers[header.producer] = ProducerState(header.epoch)
        if header.sequence >= 0:
            state.batches.append((header.sequence, (header.sequence + header.records - 1) & 0x7FFFFFFF, base))
            del state.batches[:-KEPT_BATCHES]
        if header.transactional:
            self.ongoing.setdefault(header.producer, base)

    def _is_commit(self, number: int) -> bool:
        raw = os.pread(self._file, self._sizes[number], self._at[number])
        # length varint, attributes, time delta, offset delta, key length, then the key: version, type
        return bool(struct.unpack_from(">h", raw, HEADER.size + 7)[0])

    # ---- reading

    def read(self, offset: int, max_bytes: int, end: int) -> bytes:
        """Whole batches from the one that holds `offset`, up to `end`; at least one, however large."""
        first = bisect_left(self._lasts, offset)
        number, size = first, 0
        while (
            number < len(self._bases)
            and self._bases[number] < end
            and (number == first or size + self._sizes[number] <= max_bytes)
        ):
            if number > first and self._at[number] != self._at[number - 1] + self._sizes[number - 1]:
                break  # something between was compacted away: one read is one stretch of the file
            size += self._sizes[number]
            number += 1
        return os.pread(self._file, size, self._at[first]) if size else b""

    def aborted_from(self, offset: int) -> list[tuple[int, int]]:
        """Aborted transactions (producer, first offset) that a reader from this offset must know of."""
        return [(producer, first) for producer, first, last in self.aborted if last >= offset]

    def records(self, number: int) -> list[Any]:
        """The records of a batch by its place in the index."""
        batch = MemoryRecords(os.pread(self._file, self._sizes[number], self._at[number])).next_batch()
        return list(batch)

    def offset_for_time(self, timestamp: int) -> tuple[int, int] | None:
        """Offset and time of the first record that is not older; None if there is none."""
        for number, latest in enumerate(self._times):
            if latest >= timestamp and self._lasts[number] >= self.start:
                for record in self.records(number):
                    if record.timestamp >= timestamp and record.offset >= self.start:
                        return record.offset, record.timestamp
        return None

    # ---- forgetting

    def trim(self, offset: int) -> None:
        """Forget what lies before this offset; the file gives the space back when half of it is dead."""
        self.start = max(self.start, min(offset, self.end))
        keep = bisect_left(self._lasts, self.start)
        if keep:
            for column in (self._bases, self._lasts, self._at, self._sizes, self._times):
                del column[:keep]
            if sum(self._sizes) * 2 < self._bytes:
                try:
                    self._rewrite(range(len(self._bases)))
                except OSError as error:  # they are forgotten all the same
                    log.warning("%s: its space is not given back: %s", self.path, error)

    def expired_until(self, before_ms: int) -> int:
        """The offset up to which every record is older than this time."""
        offset = self.start
        for last, latest in zip(self._lasts, self._times, strict=True):
            if latest >= before_ms:
                break
            offset = last + 1
        return min(offset, self.stable_end)

    def compact(self) -> int:
        """Drop the batches whose records have all been written again later; the number dropped.

        By batches, not by records: a batch stays as long as one of its records is the newest of its key. What lies in an
        open transaction, and the last batch, stay.
        """
        limit, alive = self.stable_end, []
        newest: dict[bytes | None, int] = {}
        contents: list[list[tuple[bytes | None, int]] | None] = []
        for number in range(len(self._bases)):
            header = read_header(os.pread(self._file, HEADER.size, self._at[number]))
            base = self._bases[number]
            if header.control or any(p == header.producer and first <= base <= last for p, first, last in self.aborted):
                contents.append(None)
                continue
            try:
                pairs = [(record.key, record.offset) for record in self.records(number)]
            except Exception as error:  # noqa: BLE001  # each codec has errors of its own
                log.warning("%s: the batch at %d cannot be read, and is kept: %s", self.path, base, error)
                contents.append(None)
                continue
            contents.append(pairs)
            if base < limit:
                newest.update(pairs)
        for number, rows in enumerate(contents):
            last_one = number == len(contents) - 1
            keep = last_one or rows is None or self._bases[number] >= limit
            alive.append(keep or any(key is None or newest.get(key) == offset for key, offset in rows or ()))
        dropped = alive.count(False)
        if dropped:
            self._rewrite([number for number, keep in enumerate(alive) if keep])
        self.dirty = False
        return dropped

    def _rewrite(self, kept: Sequence[int]) -> None:
        """Copy these batches to a new file and put it in the old one's place; where that fails nothing has changed."""
        fresh = self.path.with_suffix(".new")
        target = os.open(fresh, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o644)
        try:
            for number in kept:
                _write_all(target, os.pread(self._file, self._sizes[number], self._at[number]))
            fresh.replace(self.path)
        except OSError:
            os.close(target)
            fresh.unlink(missing_ok=True)
            raise
        os.close(self._file)
        self._bases, self._lasts, self._sizes, self._times = (
            array("q", (column[number] for number in kept)) for column in (self._bases, self._lasts, self._sizes, self._times)
        )
        self._at = array("q", accumulate(self._sizes, initial=0))
        self._file, self._bytes = target, self._at.pop()

    # ---- opening

    def _index(self, base: int, last: int, at: int, size: int, latest: int) -> None:
        self._bases.append(base)
        self._lasts.append(last)
        self._at.append(at)
        self._sizes.append(size)
        self._times.append(latest)
        self.end = last + 1

    def _load(self) -> None:
        size, at = os.fstat(self._file).st_size, 0
        while at + HEADER.size <= size:
            header = read_header(os.pread(self._file, HEADER.size, at))
            torn = header.magic != MAGIC or header.size < HEADER.size or at + header.size > size
            if torn or (at + header.size == size and not crc_is_right(bytearray(os.pread(self._file, header.size, at)))):
                break
            self._index(header.base_offset, header.base_offset + header.last_delta, at, header.size, header.max_timestamp)
            self._bytes = at = at + header.size
            self._note(header, header.base_offset)
            if header.attributes & APPEND_TIME:
                self.last_append = max(self.last_append, header.max_timestamp)
        if at < size:
            os.ftruncate(self._file, at)
        self._bytes = at
        self.start = self._bases[0] if self._bases else 0
