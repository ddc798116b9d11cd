"""The log of one partition: a file of record batches, an index in memory, and the state of its producers.

A batch is written before it is acknowledged. A killed process loses nothing, because the kernel has the bytes. There is no
fsync, so a power failure may lose the newest batches. An incomplete last batch is cut off when the log is opened.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from errno import ENOSPC
from pathlib import Path
from typing import Any

from aiokafka.record import MemoryRecords

from app.pocket.batch import (
    APPEND_TIME,
    HEADER,
    MAGIC,
    BatchHeader,
    crc_is_right,
    is_commit,
    read_header,
    set_append_time,
    set_place,
    transaction_marker,
)
from app.pocket.compaction import Keys, batches_to_keep
from app.pocket.index import BatchIndex
from app.pocket.leader_epochs import LeaderEpochs

logger = logging.getLogger("pocket")
KEPT_BATCHES = 5  # last batches of a producer that are remembered to recognize a repeat, as in Kafka


def _write_all(file: int, raw: bytes | bytearray) -> None:
    """Raises `OSError` if the disk takes only a part."""
    written = os.write(file, raw)
    if written != len(raw):
        raise OSError(ENOSPC, f"{written} of {len(raw)} bytes written")


@dataclass
class ProducerState:
    """The last batches of an idempotent producer: (first sequence, last sequence, base offset)."""

    epoch: int
    batches: list[tuple[int, int, int]] = field(default_factory=list)


class PartitionLog:
    """The batches of one partition by offset."""

    def __init__(self, path: Path, leader_epoch: int = 0, *, start: int = 0) -> None:
        """`leader_epoch`: of everything that is appended from now on. `start`: the records before it have been deleted."""
        self.path = path
        self.start = self.end = 0  # the first offset, and one after the last
        self.last_append = 0  # epoch ms; it goes back with the clock, as Kafka's does
        self.producers: dict[int, ProducerState] = {}
        self.ongoing: dict[int, int] = {}  # producer -> first offset of its open transaction
        self.aborted: list[tuple[int, int, int]] = []  # producer, first and last offset
        self._index = BatchIndex()
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        self._bytes = 0  # size of the file
        self.leader_epochs = LeaderEpochs()
        self._load()
        self.end = max(self.end, start)
        self._compacted_to = self.end  # the offset at which the last compaction stopped
        self.leader_epochs.begin(leader_epoch, self.end)
        self.trim(start)

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)

    @property
    def size(self) -> int:
        """Size of the file in bytes."""
        return self._bytes

    @property
    def stable_end(self) -> int:
        """The last stable offset: consumers of committed records must stop there."""
        return min(self.ongoing.values(), default=self.end)

    # ---- appending

    def append(self, raw: bytearray, header: BatchHeader, *, append_time: bool) -> int:
        """Write a batch and note what its producer did; returns its base offset.

        The batch gets its offsets, and with `append_time` the broker's time. Raises `OSError` if the disk is full.
        """
        base = self.end
        set_place(raw, base, self.leader_epochs.latest)
        latest = header.max_timestamp
        if append_time:
            latest = self.last_append = int(time.time() * 1_000)
            set_append_time(raw, header.attributes, latest)
        self._write(raw)
        self._add_to_index(base, base + header.last_delta, self._bytes, len(raw), latest)
        self._bytes += len(raw)
        self._note_producer(header, base)
        return base

    def append_marker(self, producer: int, epoch: int, *, commit: bool) -> None:
        """End a producer's transaction in this log."""
        raw = transaction_marker(producer, epoch, int(time.time() * 1_000), commit=commit)
        self.append(raw, read_header(raw), append_time=False)

    def _write(self, raw: bytearray) -> None:
        try:
            _write_all(self._file, raw)
        except OSError:
            os.ftruncate(self._file, self._bytes)  # remove the part that was written; the producer gets an error
            raise

    def _add_to_index(self, base: int, last: int, position: int, size: int, latest: int) -> None:
        self._index.add(base, last, position, size, latest)
        self.end = last + 1

    def _note_producer(self, header: BatchHeader, base: int) -> None:
        """Keep the producer's sequences and its transaction, after the batch was added to the index."""
        if header.producer < 0:
            return
        if header.control:
            first = self.ongoing.pop(header.producer, None)
            if first is not None and not is_commit(self._batch(len(self._index) - 1)):
                self.aborted.append((header.producer, first, base + header.last_delta))
            return
        state = self.producers.get(header.producer)
        if state is None or state.epoch != header.epoch:
            state = self.producers[header.producer] = ProducerState(header.epoch)
        if header.sequence >= 0:
            state.batches.append((header.sequence, (header.sequence + header.records - 1) & 0x7FFFFFFF, base))
            del state.batches[:-KEPT_BATCHES]
        if header.transactional:
            self.ongoing.setdefault(header.producer, base)

    # ---- reading

    def read(self, offset: int, max_bytes: int, end: int) -> bytes:
        """Whole batches from the one that holds `offset`, up to `end`; at least one, however large."""
        position, size = self._index.span(offset, max_bytes, end)
        return os.pread(self._file, size, position) if size else b""

    def aborted_from(self, offset: int) -> list[tuple[int, int]]:
        """Aborted transactions (producer, first offset) that end at this offset or after it."""
        return [(producer, first) for producer, first, last in self.aborted if last >= offset]

    def offset_for_time(self, timestamp: int) -> tuple[int, int] | None:
        """Offset and timestamp of the first record that is not older than a time, epoch ms; None if there is none."""
        for number, latest in enumerate(self._index.times):
            if latest >= timestamp and self._index.lasts[number] >= self.start:
                for record in self._records(number):
                    if record.timestamp >= timestamp and record.offset >= self.start:
                        return record.offset, record.timestamp
        return None

    def _batch(self, number: int) -> bytes:
        return os.pread(self._file, self._index.sizes[number], self._index.positions[number])

    def _records(self, number: int) -> list[Any]:
        return list(MemoryRecords(self._batch(number)).next_batch())

    # ---- retention and compaction

    def trim(self, offset: int) -> None:
        """Delete the records before an offset. The file gives the space back once half of it is unused."""
        self.start = max(self.start, min(offset, self.end))
        self.leader_epochs.forget_before(self.start)
        deleted = self._index.find(self.start)
        if deleted:
            self._index.drop_first(deleted)
            if sum(self._index.sizes) * 2 < self._bytes:
                try:
                    self._rewrite(range(len(self._index)))
                except OSError as error:  # the records are deleted all the same
                    logger.warning("%s: its space is not given back: %s", self.path, error)

    def expired_until(self, before_ms: int) -> int:
        """The offset up to which every record is older than this time, epoch ms."""
        offset = self.start
        for last, latest in zip(self._index.lasts, self._index.times, strict=True):
            if latest >= before_ms:
                break
            offset = last + 1
        return min(offset, self.stable_end)

    def compact(self, before_ms: int | None = None) -> int:
        """Delete the batches whose keys have all been written again; returns how many.

        Batches of an open transaction stay, and so does the last batch. With `before_ms` (epoch ms), so do the first batch with
        a later timestamp and those after it. Raises `OSError` if the disk is full.
        """
        limit = self.stable_end
        if before_ms is not None:
            young = (base for base, time in zip(self._index.bases, self._index.times, strict=True) if time > before_ms)
            limit = min(limit, next(young, limit))
        if limit <= self._compacted_to:
            return 0  # so that a log with only young records is not read again and again
        contents = [self._keys(number) if base < limit else None for number, base in enumerate(self._index.bases)]
        kept = batches_to_keep(self._index.bases, contents, limit)
        deleted = len(self._index) - len(kept)
        if deleted:
            self._rewrite(kept)
        self._compacted_to = limit
        return deleted

    def _keys(self, number: int) -> Keys | None:
        """Key and offset of a batch's records; None for markers, aborted records and what cannot be read."""
        header = read_header(os.pread(self._file, HEADER.size, self._index.positions[number]))
        base = self._index.bases[number]
        if header.control or any(p == header.producer and first <= base <= last for p, first, last in self.aborted):
            return None
        try:
            return [(record.key, record.offset) for record in self._records(number)]
        except Exception as error:  # noqa: BLE001  # each codec raises errors of its own
            logger.warning("%s: the batch at %d cannot be read, and is kept: %s", self.path, base, error)
            return None

    def _rewrite(self, kept: Sequence[int]) -> None:
        """Replace the file by one with these batches only. If that fails, nothing has changed and `OSError` is raised."""
        fresh = self.path.with_suffix(".new")
        target = os.open(fresh, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o644)
        try:
            for number in kept:
                _write_all(target, self._batch(number))
            fresh.replace(self.path)
        except OSError:
            os.close(target)
            fresh.unlink(missing_ok=True)
            raise
        os.close(self._file)
        self._file, self._bytes = target, self._index.keep(kept)

    # ---- opening

    def _load(self) -> None:
        """Build the index from the file, and cut off an incomplete last batch."""
        size, at = os.fstat(self._file).st_size, 0
        while at + HEADER.size <= size:
            header = read_header(os.pread(self._file, HEADER.size, at))
            torn = header.magic != MAGIC or header.size < HEADER.size or at + header.size > size
            if torn or (at + header.size == size and not crc_is_right(os.pread(self._file, header.size, at))):
                break
            last = header.base_offset + header.last_delta
            self.leader_epochs.begin(header.leader_epoch, header.base_offset)
            self._add_to_index(header.base_offset, last, at, header.size, header.max_timestamp)
            at += header.size
            self._note_producer(header, header.base_offset)
            if header.attributes & APPEND_TIME:
                self.last_append = header.max_timestamp
        if at < size:
            os.ftruncate(self._file, at)
        self._bytes = at
